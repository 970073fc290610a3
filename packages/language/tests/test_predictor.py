from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FakeContext
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.api import Generates, Scores, ratio_metric
from omnitrain.errors import DataError, UsageError
from omnitrain_language.evaluators import TokenMean, unigram_entropy
from omnitrain_language.generating import generate_rows
from omnitrain_language.objectives import model_inputs
from omnitrain_language.predictor import build_predictor
from omnitrain_language.sampling import GenerationSettings, choose, kept_tokens, uniform_draws

KINDS = ["gpt2", "llama", "prefix", "t5"]


def data_of(context: FakeContext, corpus: Path) -> Any:
    text = {"use": "language/text", "path": str(corpus), "valid_fraction": 0.2}
    data = context.make("blocks", "data", text=text, tokenizer={"vocabulary_size": 300}, length=16)
    data.prepare(context.workspace, context)
    return data


def predictor_of(context: FakeContext, data: Any, folder: Path, kind: str) -> Any:
    if kind == "t5":
        model = context.make("t5", "model", data.facts(), size="tiny")
    else:
        style = "gpt2" if kind == "gpt2" else "llama"
        settings = {"size": "tiny", "style": style, "prefix_attention": kind == "prefix", "max_length": 64}
        model = context.make("causal", "model", data.facts(), **settings)
    data.save_assets(folder)
    return build_predictor(model, folder, context)


def naive(model: Any, prompt: list[int], count: int) -> list[int]:
    """Greedy continuation without cache or padding."""
    out: list[int] = []
    for _ in range(count):
        with torch.no_grad():
            if model.config.is_encoder_decoder:
                logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[0, *out]])).logits
            else:
                ids = torch.tensor([prompt + out])
                prefix = (torch.arange(ids.shape[1]) < len(prompt))[None]
                logits = model(input_ids=ids, prefix_mask=prefix).logits
        out.append(int(logits[0, -1].argmax()))
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_cached_padded_decoding_equals_recomputing_everything(
    context: FakeContext, corpus: Path, tmp_path: Path, kind: str
) -> None:
    predictor = predictor_of(context, data_of(context, corpus), tmp_path, kind)
    model = predictor.model.eval()
    prompts = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
    found = generate_rows(model, prompts, GenerationSettings(max_new_tokens=6), eos_ids=[], pad=0)
    assert found == [naive(model, prompt, 6) for prompt in prompts]


@pytest.mark.parametrize("kind", KINDS)
def test_samples_depend_on_the_seed_alone(context: FakeContext, corpus: Path, tmp_path: Path, kind: str) -> None:
    predictor = predictor_of(context, data_of(context, corpus), tmp_path, kind)
    assert isinstance(predictor, Generates)
    assert isinstance(predictor, Scores)
    prompts = ["Story 1", "the cat sat on a mat while", "owls"]
    settings: dict[str, Any] = {"max_new_tokens": 8, "temperature": 1.0, "top_k": 20, "top_p": 0.9}
    before = torch.get_rng_state()
    first = predictor.generate_text(prompts, seed=1, **settings)
    assert torch.equal(torch.get_rng_state(), before)
    assert predictor.generate_text(prompts, seed=1, batch_size=1, **settings) == first
    assert predictor.generate_text(prompts[:2], seed=1, **settings) == first[:2]
    assert predictor.generate_text(prompts, seed=2, **settings) != first


def test_streamed_pieces_join_to_the_output(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    predictor = predictor_of(context, data_of(context, corpus), tmp_path, "gpt2")
    pieces: dict[int, str] = {}
    outputs = predictor.generate_text(
        ["the cat", "songs"],
        max_new_tokens=12,
        temperature=2.0,
        batch_size=1,
        on_text=lambda row, text: pieces.update({row: pieces.get(row, "") + text}),
    )
    for row, output in enumerate(outputs):
        assert output.startswith(pieces.get(row, ""))
        assert output.rstrip("\ufffd") == pieces.get(row, "") or "\ufffd" in output


def test_long_prompt_loses_its_beginning_and_no_room_is_refused(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    predictor = predictor_of(context, data_of(context, corpus), tmp_path, "gpt2")
    assert len(predictor.encode_prompts(["cat " * 200], 10)[0]) == 54
    assert predictor.encode_prompts([""], 10) == [[1]]
    with pytest.raises(UsageError, match="max_new_tokens"):
        predictor.generate_text(["cat"], max_new_tokens=64)


def test_banned_tokens_and_an_early_end_are_never_written(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    data = data_of(context, corpus)
    predictor = predictor_of(context, data, tmp_path, "gpt2")
    model = predictor.model.eval()
    first = generate_rows(model, [[5, 6]], GenerationSettings(max_new_tokens=1), [], 0)[0]
    banned = generate_rows(model, [[5, 6]], GenerationSettings(max_new_tokens=4, banned_ids=first), [], 0)[0]
    assert first[0] not in banned
    everything = list(range(len(data.tokenizer)))
    settings = GenerationSettings(max_new_tokens=9, min_new_tokens=3, banned_ids=everything[2:])
    found = generate_rows(model, [[5, 6]], settings, [1], 0)[0]
    assert len(found) >= 3
    assert 1 not in found
    with pytest.raises(UsageError, match="tokens"):
        predictor.generate_text(["a"], banned=["two words of text"])


def test_scores_are_log_probabilities_of_labels_in_the_loss(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    data = data_of(context, corpus)
    predictor = predictor_of(context, data, tmp_path, "llama")
    predictor.model.train()
    batch = data.collate(list(data.examples("valid"))[:3])
    batch["loss_weights"][:, :4] = 0
    scores = predictor.score(batch)
    loss = context.make("causal-nll", "objective", data.facts())(predictor.model, batch)
    torch.testing.assert_close(-scores.sum(), loss.total.detach())
    assert (scores[:, :4] == 0).all()
    assert scores.dtype == torch.float32
    assert predictor.model.training


def test_probabilities_without_some_ids_are_renormalised_over_the_others(
    context: FakeContext, corpus: Path, tmp_path: Path
) -> None:
    data = data_of(context, corpus)
    predictor = predictor_of(context, data, tmp_path, "llama")
    batch = data.collate(list(data.examples("valid"))[:2])
    excluded = torch.unique(batch["labels"])[:3]
    with torch.no_grad():
        logits = predictor.model.eval()(**model_inputs(batch)).logits
    kept = torch.ones(logits.shape[-1], dtype=torch.bool)
    kept[excluded] = False
    log_mass = logits[..., kept].logsumexp(-1)
    wanted = logits.gather(-1, batch["labels"][..., None])[..., 0] - log_mass
    wanted[torch.isin(batch["labels"], excluded)] = -torch.inf
    wanted = torch.where(batch["loss_weights"] != 0, wanted, 0.0)
    torch.testing.assert_close(predictor.score_without(batch, excluded), wanted)


def test_predictor_without_a_tokenizer_is_a_data_error(context: FakeContext, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        build_predictor(torch.nn.Linear(1, 1), tmp_path, context)


@settings(deadline=None)
@given(st.integers(0, 9), st.floats(0.05, 1.0), st.integers(0, 1000))
def test_drawn_tokens_come_from_the_smallest_sufficient_set(top_k: int, top_p: float, seed: int) -> None:
    logits = torch.randn(1, 8, generator=torch.Generator().manual_seed(seed))
    probabilities, ids = kept_tokens(logits, 1.0, top_k, top_p)
    order = logits[0].sort(descending=True).indices[: top_k or 8]
    shares = logits[0][order].double().softmax(0)
    expected = order[: int((shares.cumsum(0) - shares < top_p).sum())]
    assert set(ids[0][probabilities[0] > 0].tolist()) == set(expected.tolist())
    for draw in (0.0, 0.5, 1 - 2**-53):
        token = choose(logits, GenerationSettings(1, 1.0, top_k, top_p), torch.tensor([draw], dtype=torch.float64))
        assert int(token) in expected.tolist()


def test_draws_follow_the_distribution_and_extend_with_length() -> None:
    assert torch.equal(uniform_draws(3, 1, 50)[:10], uniform_draws(3, 1, 10))
    assert not torch.equal(uniform_draws(3, 1, 10), uniform_draws(3, 2, 10))
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(20_000, 3)
    tokens = choose(logits, GenerationSettings(1, 1.0), uniform_draws(0, 0, 20_000))
    shares = torch.bincount(tokens, minlength=3) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), atol=0.02, rtol=0)


def test_evaluators_measure_and_write(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    data = data_of(context, corpus)
    predictor = predictor_of(context, data, tmp_path, "gpt2")
    evaluation = context.make("nll", "evaluator", unigram=True)(predictor, data, context)
    metric = evaluation.metrics["valid/nll"]
    tokens = len(data.files["valid"].tokens) - 1
    assert metric.n == tokens
    assert metric.interval[0] < metric.value < metric.interval[1]
    assert abs(metric.value - math.log(len(data.tokenizer))) < 1
    assert evaluation.metrics["valid/perplexity"].value == pytest.approx(math.exp(metric.value))
    assert {row[0] for row in evaluation.tables["nll"].rows} == {"valid", "test", "unigram"}
    samples = context.make("samples", "evaluator", count=3, prompt_tokens=4, max_new_tokens=5)(predictor, data, context)
    assert len(samples.samples["samples"]) == 3
    assert set(samples.samples["samples"][0].fields) == {"prompt", "output", "reference"}
    with pytest.raises(UsageError):
        context.make("nll", "evaluator")(object(), data, context)
    with pytest.raises(UsageError):
        context.make("samples", "evaluator")(object(), data, context)


def test_mean_of_weighted_rows_and_entropy_are_their_formulas() -> None:
    mean = TokenMean()
    assert not mean.weight
    mean.add_tokens(torch.tensor([[2.0, 4.0], [3.0, 0.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    mean.add_tokens(torch.tensor([[5.0, 5.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    metric = mean.metric()
    assert metric == ratio_metric([6.0, 3.0, 10.0, 0.0], [2.0, 1.0, 2.0, 0.0], "lower", "nats/token", n=5)
    assert metric.value == 3.8
    import numpy as np

    assert unigram_entropy(np.asarray([2, 2, 0, 4])) == pytest.approx(1.5 * math.log(2))


@pytest.mark.parametrize(
    "setting", [{"top_p": 0.0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"max_new_tokens": 0}]
)
def test_settings_of_generation_that_mean_nothing_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="max_new_tokens must be at least 1"):
        GenerationSettings(**setting)
