"""Evaluators on a tiny untrained model, and with predictors whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from omnitrain.api import BatchPlan
from omnitrain.errors import UsageError
from omnitrain_language.configs.models import CausalConfig, T5Config
from omnitrain_language.models import build_causal, build_t5
from omnitrain_language.objectives import model_inputs
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_ul2.configs.data import ArmConfig, CompareConfig, CrossDenoisingConfig, SamplesConfig, TokensSeenConfig
from omnitrain_ul2.evaluators.cross_denoising import TaskLoss, content_weights, task_batches, unigram_losses, worst_regret
from omnitrain_ul2.evaluators.samples import build_cross_denoising, build_samples, build_tokens_seen, prompt_ids
from omnitrain_ul2.paper.denoisers import PREFIX_LM, SPAN_CORRUPTION, Denoiser
from omnitrain_ul2.stages.compare import evaluation

LAYOUTS = ["encoder-decoder", "decoder-only"]


def predictor_of(data, context, layout):
    context.facts = data.facts()
    if layout == "decoder-only":
        model = build_causal(CausalConfig(size="tiny", style="llama", prefix_attention=True), context)
    else:
        model = build_t5(T5Config(size="tiny"), context)
    return LanguagePredictor(model.eval(), data.tokenizer)


class Uniform:
    """Gives every target token of the loss the same log-probability, a better one among fewer ids."""

    def score(self, batch):
        return torch.where(batch["loss_weights"] > 0, -2.0, 0.0)

    def score_without(self, batch, excluded):
        return torch.where(torch.isin(batch["labels"], excluded), -torch.inf, 0.5 * self.score(batch))


class ScoresOnly:
    """Cannot leave ids out."""

    score = Uniform.score


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
    error = np.sqrt(2 * ((2 - 8 / 3) ** 2 + (6 - 16 / 3) ** 2)) / 3
    assert metric.interval == pytest.approx((8 / 3 - 1.96 * error, 8 / 3 + 1.96 * error))
    assert TaskLoss([2.0], [1.0]).metric().interval is None


def test_regret_is_the_largest_distance_to_the_best_arm():
    losses = {"a": {"x": 1.0, "y": 5.0}, "b": {"x": 3.0, "y": 4.0}}
    assert worst_regret(losses) == {"a": 1.0, "b": 2.0}


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prompts_are_what_training_reads_and_decoding_goes_on_from_them(make_data, context, layout):
    data = make_data(layout=layout)
    predictor = predictor_of(data, context, layout)
    batch = next(iter(data.batches("train", BatchPlan(6, 0))))
    with torch.no_grad():
        expected = predictor.model(**model_inputs(batch), use_cache=False).logits
    prompts = prompt_ids(batch)
    started = predictor.decoder().start(prompts)
    for row, ids in enumerate(prompts):
        if layout == "decoder-only":
            assert ids[0] == data.vocabulary.eos_id
            first = len(ids) - 1
        else:
            assert ids[-1] == data.vocabulary.eos_id
            first = 0
        assert batch["loss_weights"][row, first] == 1
        assert torch.allclose(started[row], expected[row, first], atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_saved_tokenizer_encodes_a_prompt_with_its_mode_as_training_does(make_data, context, layout, tmp_path):
    data = make_data(layout=layout)
    data.save_assets(tmp_path)
    predictor = LanguagePredictor(predictor_of(data, context, layout).model, load_tokenizer(tmp_path))
    text = data.tokenizer.decode(data.files["valid"].document(0)[:20])
    wanted = [data.vocabulary.mode_ids["S"][0], *data.files["valid"].document(0)[:20].tolist()]
    ids = predictor.encode_prompts(["[S]" + text], 8)[0]
    eos = [data.vocabulary.eos_id]
    assert ids == (wanted + eos if layout == "encoder-decoder" else eos + wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_show_each_mode(make_data, context, layout):
    data = make_data(layout=layout)
    predictor = predictor_of(data, context, layout)
    found = build_samples(SamplesConfig(count=2, max_new_tokens=4), context)(predictor, data, context)
    assert list(found.samples) == ["mode R", "mode X", "mode S"]
    for name, samples in found.samples.items():
        assert len(samples) == 2
        assert all(sample.fields["inputs"].startswith(f"[{name[-1]}]") for sample in samples)
        assert all(("<extra_id_0>" in sample.fields["held out"]) == (name != "mode S") for sample in samples)


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


def test_comparison_has_a_column_per_arm_and_the_regret():
    tasks = {"R": TaskLoss([2.0, 4.0], [1.0, 1.0], 10.0), "S": TaskLoss([1.0, 1.0], [1.0, 1.0], 8.0)}
    other = {"R": replace(tasks["R"], rows=[8.0, 8.0]), "S": tasks["S"]}
    found = evaluation({"one": tasks, "two": other}, CompareConfig(arms={"one": ArmConfig(model="language/t5")}))
    assert found.metrics["two/worst-case regret"].value == 5.0
    assert found.tables["denoisers"].columns == ("denoiser", "unigram", "one", "two", "tokens")
    assert found.tables["denoisers"].rows[0] == ["R", 5.0, 3.0, 8.0, 2]


def test_denoisers_of_a_custom_evaluation(make_data, context):
    config = CrossDenoisingConfig.model_validate(
        {"mixture": "custom", "denoisers": [{"kind": "X", "mean_span": 24.0, "rate": 0.5}], "rows": 4}
    )
    found = build_cross_denoising(config, context)(Uniform(), make_data(), context)
    assert list(found.metrics) == [Denoiser("X", 24.0, 0.5).name]
