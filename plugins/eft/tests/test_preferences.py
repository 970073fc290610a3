"""Preferences, and the reference that they are measured against."""

import pytest
import torch
from helpers import SMALL, gpt2, prepared

from omnitrain_eft.configs.data import PreferencesConfig
from omnitrain_eft.configs.objectives import DpoConfig
from omnitrain_eft.data.preferences import PreferencesData, reply_log_probs
from omnitrain_eft.objectives import Dpo


@pytest.fixture(scope="module")
def preferences(text, context):
    return prepared(PreferencesData(PreferencesConfig.model_validate(SMALL), text, context.workspace), context)


def test_reference_is_the_model_that_training_starts_from(preferences):
    model = gpt2(1, 16, 3, vocabulary=400, scale=2.0)
    preferences.follow(model)
    batch = preferences.collate(preferences.examples("train")[:4])
    loss = Dpo(DpoConfig(beta=0.5))(model, batch)
    assert float(loss.total / loss.weight) == pytest.approx(float(torch.log(torch.tensor(2.0))), abs=1e-4)
    margin = reply_log_probs(model, batch, "chosen") - reply_log_probs(model, batch, "rejected")
    torch.testing.assert_close(batch["reference_margin"], margin, rtol=1e-4, atol=1e-4)
