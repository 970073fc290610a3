"""A context as core gives it, without core's engine, and small texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from omnitrain.api import load_reference
from omnitrain_language.plugin import PLUGIN
from omnitrain_testing import contexts


class FakeContext(contexts.FakeContext):
    """A context that builds components of this package."""

    def make(self, name: str, kind: str, facts: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        component = next(c for c in PLUGIN.components if (c.name, c.kind) == (name, kind))
        config = load_reference(component.config).model_validate(settings)
        context = FakeContext(self.workspace, facts if facts is not None else self.facts, self.run_seed)
        return load_reference(component.build)(config, context)

    def build(self, use: Any, facts: Mapping[str, Any] | None = None) -> Any:
        return self.make(use.use.removeprefix("language/"), use.kind, facts, **use.raw)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "workspace")


WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "while",
    "seven",
    "grey",
    "owls",
    "sang",
    "old",
    "songs",
    "about",
    "rivers",
    "and",
    "stones",
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """120 documents of different lengths."""
    path = tmp_path / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for i in range(120):
            words = [WORDS[(i * 7 + j * (i % 5 + 1)) % len(WORDS)] for j in range(3 + i * 13 % 60)]
            out.write(json.dumps({"text": f"Story {i}: " + " ".join(words)}) + "\n")
    return path
