"""Small texts, data prepared from them, and a context as core gives it."""

import json
import os

# Read when the hub's library is imported: without it, looking for C4 waits for a network.
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch

from omnitrain_language.configs.data import TextConfig
from omnitrain_language.data.text import TextData
from omnitrain_language.tokens import TokenFile
from omnitrain_testing.contexts import FakeContext
from omnitrain_ul2.configs.data import DenoisingConfig
from omnitrain_ul2.data.denoising import DenoisingData


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    return FakeContext(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A text of 600 documents of 20 to 400 words, 200 different ones."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghij"), random.integers(2, 7))) for _ in range(200)]
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for _ in range(600):
            text = " ".join(random.choice(words, random.integers(20, 400)))
            file.write(json.dumps({"text": text}) + "\n")
    return path


@pytest.fixture(scope="session")
def make_data(corpus, context):
    """Return prepared data; the tokenizer of equal settings is trained once."""

    def make(prepare=True, text=None, **settings):
        settings = {"inputs_length": 64, "tokenizer": {"vocabulary_size": 700, "sentinels": 32}, **settings}
        source = TextData(TextConfig(path=str(text or corpus)))
        data = DenoisingData(DenoisingConfig.model_validate(settings), source)
        if prepare:
            data.prepare(context.workspace, context)
        return data

    return make


@pytest.fixture
def token_file(tmp_path):
    """Return a token file of documents given as lists of ids, in the layout of omnitrain-language."""

    def write(documents, vocabulary=32128):
        eos = np.array([1], "<u2")
        parts = [eos, *(np.append(np.asarray(d, "<u2"), eos) for d in documents)]
        np.concatenate(parts).astype("<u2").tofile(tmp_path / "tokens.bin")
        np.cumsum([len(part) for part in parts]).astype("<i8").tofile(tmp_path / "offsets.bin")
        details = {"dtype": "<u2", "vocabulary_size": vocabulary, "eos_id": 1}
        (tmp_path / "details.json").write_text(json.dumps(details), "utf-8")
        return TokenFile(tmp_path)

    return write
