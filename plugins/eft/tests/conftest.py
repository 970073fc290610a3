"""Small models, ensembles of them, and a context as core gives it."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from eft_models import MAKERS, ensemble_of, gpt2

from omnitrain_testing.contexts import FakeContext


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    return FakeContext(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(params=list(MAKERS))
def family(request):
    return MAKERS[request.param]


@pytest.fixture(scope="session")
def ensemble():
    """A large model of two layers and a pair of one."""
    return ensemble_of(gpt2(2, 32, 0), gpt2(1, 16, 1), gpt2(1, 16, 2))
