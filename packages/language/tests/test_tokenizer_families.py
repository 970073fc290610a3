"""Tokenizers of the six families that people bring, each with a model of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnitrain_language.tokenizers import Encoder, load_tokenizer
from omnitrain_testing.tokenizers import FAMILIES, documents


@pytest.fixture(params=list(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    FAMILIES[request.param](tmp_path / request.param)
    return tmp_path / request.param


def test_every_family_is_loaded_and_gives_back_text_in_lower_case(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    texts = [text.lower().replace("\n", " ") for text in documents(20)]
    for text, ids in zip(texts, Encoder(tokenizer)(texts), strict=True):
        assert "".join(tokenizer.decode(ids).split()) == "".join(text.split())
