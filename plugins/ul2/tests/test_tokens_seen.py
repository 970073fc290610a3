"""Counts of what training has used."""

import pytest

from omnitrain.api import BatchPlan
from omnitrain_ul2.configs.evaluators import TokensSeenConfig
from omnitrain_ul2.evaluators.tokens_seen import build as build_tokens_seen


@pytest.mark.parametrize("pack", [False, True])
def test_tokens_seen_are_those_of_the_training_batches(make_data, context, pack):
    data = make_data(pack=pack)
    stream = data.batches("train", BatchPlan(8, 0))
    batches = [batch for _, batch in zip(range(4), stream, strict=False)]
    list(data.batches("valid", BatchPlan(8, 0, train=False)))
    found = build_tokens_seen(TokensSeenConfig(), context)(None, data, context).metrics
    targets = sum(float(b["loss_weights"].sum()) for b in batches)
    inputs = sum(int((b["input_segment_ids"] > 0).sum() if pack else b["attention_mask"].sum()) for b in batches)
    names = [denoiser.name for denoiser in data.mixture.denoisers]
    assert sum(found[f"{name}/target tokens"].value for name in names) == targets
    assert sum(found[f"{name}/input tokens"].value for name in names) == inputs
    room = sum(b["labels"].numel() for b in batches)
    assert found["fill of targets"].value == pytest.approx(targets / room)
