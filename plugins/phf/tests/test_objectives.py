"""The objectives as components: what they need, what they refuse, one gradient however a batch is cut."""

import json

import pytest
import torch

from omnitrain.api import BatchPlan, misfits
from omnitrain.engine.batches import split_rows
from omnitrain.errors import UsageError
from omnitrain_language.objectives import CAUSAL_NEEDS
from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.configs.objectives import AwrConfig, ConditionalConfig, RwrConfig, UnlikelihoodConfig
from omnitrain_phf.data.scored_text import FIELDS
from omnitrain_phf.models.causal import build
from omnitrain_phf.objectives import Awr, Conditional, Mle, Rwr, Unlikelihood

OBJECTIVES = {
    "mle": Mle(),
    "conditional": Conditional(ConditionalConfig()),
    "unlikelihood": Unlikelihood(UnlikelihoodConfig()),
    "soft": Unlikelihood(UnlikelihoodConfig(mode="soft")),
    "rwr": Rwr(RwrConfig()),
    "offset": Rwr(RwrConfig(official_value_offset=True)),
    "awr": Awr(AwrConfig()),
}


@pytest.fixture(scope="module")
def batch(make_data):
    return next(iter(make_data().batches("train", BatchPlan(8, 0))))


@pytest.fixture
def model(make_context, make_data):
    config = CausalWithValuesConfig.model_validate_json(json.dumps({"size": "tiny", "max_length": 64, "value_head": {}}))
    made = build(config, make_context(**make_data().facts())).double()
    torch.nn.init.normal_(made.value_head.weight)
    return made


def gradient(objective, model, batches):
    model.zero_grad(set_to_none=True)
    weight = 0.0
    for part in batches:
        part = {k: v.double() if v.is_floating_point() else v for k, v in part.items()}
        loss = objective(model, part)
        loss.total.backward()
        weight += float(loss.weight)
    return torch.cat([p.grad.flatten() / weight for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_two_and_eight_parts_give_one_gradient(name, model, batch):
    whole = gradient(OBJECTIVES[name], model, [batch])
    for parts in (2, 8):
        cut = split_rows(batch, FIELDS, parts)
        assert len(cut) == parts
        torch.testing.assert_close(gradient(OBJECTIVES[name], model, cut), whole, rtol=1e-9, atol=1e-12)


def test_every_objective_takes_scored_batches_and_names_what_others_lack():
    unscored = {name: spec.rstrip("?") for name, spec in CAUSAL_NEEDS.items()}
    for name, objective in OBJECTIVES.items():
        assert misfits(FIELDS, objective.needs) == []
        missing = misfits(unscored, objective.needs)
        if name == "mle":
            assert missing == []
        else:
            assert missing == ["field 'token_scores' (float32[batch, length]) is missing"]


def test_advantages_are_not_normalised_over_a_part_of_an_update(model, batch):
    objective = Awr(AwrConfig(normalize_advantage=True))
    assert "update_rows" in objective.needs
    gradient(objective, model, [batch])
    with pytest.raises(UsageError, match=r"set fit\.accumulate to 1"):
        gradient(objective, model, split_rows(batch, FIELDS, 2))


def test_model_without_value_head_is_told(batch, make_context, make_data):
    plain = build(CausalWithValuesConfig(size="tiny", max_length=64), make_context(**make_data().facts()))
    with pytest.raises(UsageError, match="value_head"):
        Awr(AwrConfig())(plain, batch)


def test_conditional_reports_good_and_bad_tokens_apart(model, batch):
    loss = OBJECTIVES["conditional"](model, {k: v.double() if v.is_floating_point() else v for k, v in batch.items()})
    parts = loss.parts
    assert float(parts["aligned"].total + parts["misaligned"].total) == pytest.approx(float(loss.total.detach()))
    assert float(parts["aligned"].weight + parts["misaligned"].weight) == float(loss.weight)


def test_awr_without_value_head_needs_alpha_one():
    with pytest.raises(ValueError, match="alpha: 1"):
        AwrConfig(use_value_head=False, alpha=0.5)
