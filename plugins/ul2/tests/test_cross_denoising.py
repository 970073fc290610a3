"""Evaluators on a tiny untrained model, and with predictors whose answers are known."""

import numpy as np
import pytest
import torch
from helpers import LAYOUTS, ScoresOnly, Uniform, predictor_of

from omnitrain.errors import UsageError
from omnitrain_ul2.configs.evaluators import CrossDenoisingConfig, SamplesConfig, TokensSeenConfig
from omnitrain_ul2.evaluators.cross_denoising import (
    TaskLoss,
    content_weights,
    task_batches,
    unigram_losses,
)
from omnitrain_ul2.evaluators.cross_denoising import (
    build as build_cross_denoising,
)
from omnitrain_ul2.evaluators.samples import build as build_samples
from omnitrain_ul2.evaluators.tokens_seen import build as build_tokens_seen
from omnitrain_ul2.paper.denoisers import PREFIX_LM, SPAN_CORRUPTION, Denoiser


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_content_tokens_are_counted(make_data, layout):
    data = make_data(layout=layout)
    vocabulary = data.vocabulary
    for denoiser in (SPAN_CORRUPTION, PREFIX_LM):
        batch = next(task_batches(data, denoiser, "valid", 8, 8, "matching", 0))
        labels, weights = batch["labels"], content_weights(batch, vocabulary)
        special = (labels == vocabulary.eos_id) | (labels > vocabulary.first_sentinel - vocabulary.sentinels)
        assert torch.equal(weights > 0, (batch["loss_weights"] > 0) & ~special)
        assert weights.sum() > 0


def test_the_same_texts_are_measured_whatever_the_batch_size_and_model(make_data):
    data = make_data()
    wholes, parts = (
        torch.cat([b["task_ids"] for b in task_batches(data, SPAN_CORRUPTION, "valid", 10, size, "matching", 3)])
        for size in (10, 4)
    )
    assert len(wholes) == len(parts) == 10
    first, again = (next(task_batches(data, SPAN_CORRUPTION, "valid", 10, 10, "matching", 3)) for _ in range(2))
    assert torch.equal(first["input_ids"], again["input_ids"])


def test_modes_of_an_evaluation_are_chosen_by_the_user(make_data):
    data = make_data()
    ids = data.vocabulary.mode_ids
    for mode, expected in (("matching", ids["R"]), ("S", ids["S"])):
        batch = next(task_batches(data, SPAN_CORRUPTION, "valid", 4, 4, mode, 0))
        assert set(batch["input_ids"][:, 0].tolist()) == set(expected)
    bare = next(task_batches(data, SPAN_CORRUPTION, "valid", 4, 4, "none", 0))
    assert not {i for pieces in ids.values() for i in pieces} & set(bare["input_ids"].flatten().tolist())


def test_unigram_reference_of_a_hand_case(make_data):
    data = make_data()
    data.token_counts = lambda split: np.array([0, 2, 1, 5])
    # The unseen id counts as seen once: shares 1/9, 2/9, 1/9, 5/9.
    assert unigram_losses(data).tolist() == pytest.approx([np.log(9), np.log(4.5), np.log(9), np.log(1.8)])


def test_mean_and_interval_of_a_hand_case():
    task = TaskLoss([2.0, 6.0], [1.0, 2.0], 9.0)
    metric = task.metric()
    assert metric.value == pytest.approx(8 / 3)
    assert metric.n == 3
    student = 12.706204736432095  # 97.5 % of Student with one degree of freedom
    error = np.sqrt(2 * ((2 - 8 / 3) ** 2 + (6 - 16 / 3) ** 2)) / 3
    assert metric.interval == pytest.approx((8 / 3 - student * error, 8 / 3 + student * error))
    assert TaskLoss([2.0], [1.0]).metric().interval is None


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("tokens", "loss"), [("targets", 2.0), ("text", 1.0)])
def test_cross_denoising_gives_the_mean_log_probability_of_content(make_data, context, layout, tokens, loss):
    data = make_data(layout=layout)
    config = CrossDenoisingConfig(rows=12, batch_size=8, tokens=tokens)
    found = build_cross_denoising(config, context)(Uniform(), data, context)
    assert len(found.metrics) == 7
    assert all(metric.value == pytest.approx(loss) for metric in found.metrics.values())
    rows = {row[0]: row for row in found.tables["cross-denoising"].rows}
    assert rows["S(0.25)"][3] == found.metrics["S(0.25)"].n > 0
    assert all(3 < row[2] < 7 for row in rows.values())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pack", [False, True])
def test_cross_denoising_scores_an_untrained_model_near_uniform(make_data, context, layout, pack):
    data = make_data(layout=layout, pack=pack)
    predictor = predictor_of(data, context, layout)
    config = CrossDenoisingConfig(rows=6, batch_size=4, mixture="span_corruption")
    found = build_cross_denoising(config, context)(predictor, data, context)
    assert found.metrics["R(3,0.15)"].value == pytest.approx(np.log(len(data.tokenizer)), rel=0.2)


def test_evaluators_refuse_what_they_can_not_measure(make_data, context):
    data = make_data()
    cross, samples = build_cross_denoising(CrossDenoisingConfig(), context), build_samples(SamplesConfig(), context)
    seen = build_tokens_seen(TokensSeenConfig(), context)
    with pytest.raises(UsageError, match="ability `score`"):
        cross(object(), data, context)
    with pytest.raises(UsageError, match="set it to targets"):
        cross(ScoresOnly(), data, context)
    with pytest.raises(UsageError, match="ul2/denoising data"):
        cross(Uniform(), object(), context)
    with pytest.raises(UsageError, match="starts from token ids"):
        samples(Uniform(), data, context)
    with pytest.raises(UsageError, match="evaluators of a core/fit stage"):
        seen(Uniform(), data, context)


def test_denoisers_of_a_custom_evaluation(make_data, context):
    config = CrossDenoisingConfig.model_validate(
        {"mixture": "custom", "denoisers": [{"kind": "X", "mean_span": 24.0, "rate": 0.5}], "rows": 4}
    )
    found = build_cross_denoising(config, context)(Uniform(), make_data(), context)
    assert list(found.metrics) == [Denoiser("X", 24.0, 0.5).name]
