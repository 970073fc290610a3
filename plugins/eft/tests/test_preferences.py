"""Preferences about the facts, and the reference that they are measured against."""

import pytest
import torch
from helpers import SMALL, gpt2, prepared

from omnitrain_eft.configs.data import PreferencesConfig
from omnitrain_eft.data.preferences import PreferencesData
from omnitrain_eft.data.world import REFUSAL
from omnitrain_language.configs.objectives import PreferenceConfig
from omnitrain_language.preferences.objective import MarginPreference


@pytest.fixture(scope="module")
def preferences(text, context):
    settings = PreferencesConfig.model_validate({**SMALL, "chosen": "safe"})
    return prepared(PreferencesData(settings, text, context.workspace), context)


def test_built_in_pairs_have_replies_in_two_styles(preferences):
    shown = preferences.explain(preferences.collate(preferences.examples("train")[:1]), 0)
    compared = {side: "".join(piece.text for piece in pieces if piece.role == "loss") for side, pieces in shown.items()}
    assert compared["chosen"].strip().removesuffix("</s>") == REFUSAL
    assert compared["rejected"].strip().startswith("I think so:")


def test_reference_is_the_model_that_training_starts_from(preferences):
    model = gpt2(1, 16, 3, vocabulary=400, scale=2.0)
    preferences.follow(model)
    batch = preferences.collate(preferences.examples("train")[:4])
    loss = MarginPreference(PreferenceConfig(beta=0.5))(model, batch)
    assert float(loss.total / loss.weight) == pytest.approx(float(torch.log(torch.tensor(2.0))), abs=1e-4)
    assert (batch["reference_chosen"] < 0).all()
    assert (batch["reference_rejected"] < 0).all()
