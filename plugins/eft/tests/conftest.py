"""Small models, ensembles of them, and a context as core gives it."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from helpers import (
    FACTS,
    MAKERS,
    SMALL,
    config,
    ensemble_of,
    gpt2,
    prepared,
    with_lora,
)

from omnitrain_eft.configs.data import DialoguesConfig, FactsConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.facts import FactsData
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.wrapper import ComposedCausalLM
from omnitrain_eft.paper.composition import Dials
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


@pytest.fixture(scope="session")
def text(context):
    return FactsData(FactsConfig(facts=40), context.workspace)


@pytest.fixture(scope="session")
def dialogues(text, context):
    return prepared(DialoguesData(DialoguesConfig.model_validate(SMALL), text, context.workspace), context)


@pytest.fixture(scope="session")
def adapted():
    return CompositionModel(config(), {"large": gpt2(2, 32, 0), "expert-0": with_lora(gpt2(1, 16, 1))}, FACTS)


@pytest.fixture
def composed(family):
    ensemble = ensemble_of(family(2, 32, 0), family(1, 16, 1), family(1, 16, 2))
    return ensemble, ComposedCausalLM(ensemble, Dials())
