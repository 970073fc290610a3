"""A context as core gives it, without core's engine, and small texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from omnitrain.api.descriptors import load_reference
from omnitrain_language.plugin import PLUGIN


class Quiet:
    def advance(self, amount: float = 1, **values: float) -> None:
        pass


@dataclass
class FakeContext:
    workspace: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    run_seed: int = 0

    def seed(self, name: str) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self.run_seed}/{name}".encode(), digest_size=6).digest(), "big")

    def make(self, name: str, kind: str, facts: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        component = next(c for c in PLUGIN.components if (c.name, c.kind) == (name, kind))
        config = load_reference(component.config).model_validate(settings)
        context = FakeContext(self.workspace, facts if facts is not None else self.facts, self.run_seed)
        return load_reference(component.build)(config, context)

    def build(self, use: Any, facts: Mapping[str, Any] | None = None) -> Any:
        return self.make(use.use.removeprefix("language/"), use.kind, facts, **use.raw)

    @contextmanager
    def progress(self, label: str, total: float | None = None) -> Iterator[Quiet]:
        yield Quiet()


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
