"""A context as core gives it, and data prepared with it."""

import json

import pytest
import torch

from omnitrain_omnitab.configs.data import PretrainingConfig, QuestionsConfig
from omnitrain_omnitab.data.pretraining import PretrainingData
from omnitrain_omnitab.data.questions import QuestionsData
from omnitrain_testing.contexts import FakeContext

TOKENIZER = {"vocabulary_size": 400, "extra_tokens": ["<mask>"]}
EMBEDDED = {"tables": 40, "rows": 3, "texts": 4}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    return FakeContext(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def make_questions(context):
    def make(prepare=True, **settings):
        data = QuestionsData(QuestionsConfig.model_validate({"tokenizer": TOKENIZER, "embedded": EMBEDDED, **settings}), None)
        if prepare:
            data.prepare(context.workspace, context)
        return data

    return make


@pytest.fixture(scope="session")
def make_pretraining(context):
    def make(prepare=True, **settings):
        settings = {"inputs_length": 128, "context_length": 48, "tokenizer": TOKENIZER, "embedded": EMBEDDED, **settings}
        data = PretrainingData(PretrainingConfig.model_validate(settings), None)
        if prepare:
            data.prepare(context.workspace, context)
        return data

    return make


@pytest.fixture
def lines(tmp_path):
    """Write records as JSON lines and return the path."""

    def write(*records, name="lines.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
        return path

    return write
