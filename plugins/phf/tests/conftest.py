"""Scored records, data prepared from them, and a context as core gives it."""

import json
import os
import warnings

# Read when the hub's library is imported: without it, looking for the paper's data waits for a network.
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch

from omnitrain_language.predictor import LanguagePredictor
from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.data.scored_text import ScoredTextData
from omnitrain_phf.models.causal import build
from omnitrain_testing.contexts import FakeContext

with warnings.catch_warnings():
    # Old escapes in a dependency of scrubadub, reported when it is first compiled.
    warnings.simplefilter("ignore")
    import scrubadub  # noqa: F401


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    return FakeContext(tmp_path_factory.mktemp("workspace"))


def _write_records(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


@pytest.fixture(scope="session")
def write_records():
    return _write_records


@pytest.fixture
def make_context(tmp_path):
    return lambda **facts: FakeContext(tmp_path / "workspace", facts)


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """300 documents of 2 to 8 segments, a third of them bad with score 0.3, the rest 0."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghij"), random.integers(2, 7))) for _ in range(100)]
    found = []
    for _ in range(300):
        texts = [" ".join(random.choice(words, random.integers(3, 9))) + ". " for _ in range(random.integers(2, 9))]
        scores = [0.3 if bad else 0.0 for bad in random.random(len(texts)) < 1 / 3]
        found.append({"texts": texts, "scores": scores, "avg_score": float(np.mean(scores)), "num_sents": len(texts)})
    return _write_records(tmp_path_factory.mktemp("records") / "records.jsonl", found)


@pytest.fixture(scope="session")
def make_data(records, context):
    """Return prepared data; equal settings are tokenised once."""

    def make(path=None, prepare=True, **settings):
        settings = {"length": 32, "tokenizer": {"vocabulary_size": 300}, "shuffle_buffer": 50, **settings}
        config = ScoredTextConfig.model_validate_json(json.dumps({"path": str(path or records), **settings}))
        data = ScoredTextData(config, 5)
        if prepare:
            data.prepare(context.workspace, context)
        return data

    return make


@pytest.fixture
def make_predictor(make_data, make_context):
    """Return a small fresh model that writes, with the tokenizer of some data."""

    def make(**settings):
        data = make_data(**settings)
        model = build(CausalWithValuesConfig(size="tiny", max_length=64), make_context(**data.facts()))
        return LanguagePredictor(model, data.tokenizer)

    return make


@pytest.fixture
def predictor(make_predictor):
    """One with control tokens."""
    return make_predictor(control={"threshold": 0.0, "drop_token_fraction": 0.1})


@pytest.fixture
def plain_predictor(make_predictor):
    """One without."""
    return make_predictor()


@pytest.fixture
def run(make_context):
    return make_context()
