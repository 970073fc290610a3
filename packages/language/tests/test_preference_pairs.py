"""Pairs as one batch, both sides in one forward pass, and the objective on them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import FakeContext
from pydantic import ValidationError
from torch import Tensor

from omnitrain.api import Batch, Loss
from omnitrain_language.configs.objectives import PreferenceConfig
from omnitrain_language.dialogues.rows import Row
from omnitrain_language.preferences import log_probs, losses
from omnitrain_language.preferences.batches import REFERENCE, SIDES, Pair, collate_pairs
from omnitrain_language.preferences.log_probs import pair_log_probs
from omnitrain_language.preferences.objective import preference

GOLDEN = Path(__file__).parent / "golden"
FACTS = {"vocabulary_size": 61, "pad_id": 0, "eos_id": 1}
SHAPES = [(3, 4, 2), (5, 2, 6), (2, 3, 3)]


def row(prompt: list[int], reply: list[int]) -> Row:
    return Row(prompt, reply, [0] * len(reply))


def some_pairs() -> list[Pair]:
    """Pairs of prompts, chosen and rejected responses of different lengths."""
    draw = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(2, 61, (count,), generator=draw).tolist()

    return [
        Pair(row(prompt, ids(chosen)), row(prompt, ids(rejected)))
        for first, chosen, rejected in SHAPES
        for prompt in [ids(first)]
    ]


def model_of(context: FakeContext, **settings: Any) -> Any:
    return context.make("causal", "model", FACTS, **{"size": "tiny", "max_length": 32, **settings}).double().eval()


def alone(model: Any, one: Row) -> Tensor:
    """Return the log-probability of each token of a row's response, taken through the model by itself."""
    whole = torch.tensor([[*one.prompt, *one.reply]])
    given = model(input_ids=whole).logits.log_softmax(-1)[0, len(one.prompt) - 1 : -1]
    found: Tensor = given.gather(-1, torch.tensor(one.reply)[:, None]).squeeze(-1)
    return found


def measured(model: Any, batch: Batch, **settings: Any) -> Loss:
    doubled = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
    return preference(PreferenceConfig.model_validate(settings))(model, doubled)


def with_reference(batch: Batch, chosen: float = -3.0, rejected: float = -2.0) -> Batch:
    pairs = len(batch["pair_weights"])
    return {**batch, **dict(zip(REFERENCE, (torch.full((pairs,), value) for value in (chosen, rejected)), strict=True))}


@pytest.mark.parametrize("style", ["gpt2", "llama"])
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_one_forward_pass_gives_what_each_row_alone_gives(context: FakeContext, style: str, lora: Any) -> None:
    model, pairs = model_of(context, style=style, lora=lora), some_pairs()
    seen: list[int] = []
    model.register_forward_hook(lambda module, args, output: seen.append(output.logits.shape[1]))
    batch = collate_pairs(pairs, 0)
    found, whole = pair_log_probs(model, batch), pair_log_probs(model, batch, prompts=True)
    # Of the longest row, 10 positions, and of them those behind the shortest prompt.
    assert seen == [9, 10]
    for side, name in enumerate(SIDES):
        expected = torch.stack([alone(model, pair.sides[side]).sum() for pair in pairs])
        for one in (getattr(found, name), getattr(whole, name)):
            torch.testing.assert_close(one.sums.double(), expected)
            assert one.counts.tolist() == [len(pair.sides[side].reply) for pair in pairs]
            torch.testing.assert_close(one.means.double(), expected / one.counts)
    nll = [-alone(model, row([*pair.chosen.prompt[:1]], [*pair.chosen.prompt[1:], *pair.chosen.reply])).sum() for pair in pairs]
    assert whole.nll is not None
    torch.testing.assert_close(whole.nll.double(), torch.stack(nll))
    assert whole.nll_tokens is not None
    assert whole.nll_tokens.tolist() == [first + chosen - 1 for first, chosen, _ in SHAPES]


def test_a_model_that_makes_all_logits_gives_the_same(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = model_of(context), collate_pairs(some_pairs(), 0)
    few = pair_log_probs(model, batch)
    monkeypatch.setattr(log_probs, "_takes", lambda kind: False)
    torch.testing.assert_close(pair_log_probs(model, batch).rejected.sums, few.rejected.sums)


def test_masked_tokens_get_no_gradient_and_still_count_as_what_the_rest_is_read_after(context: FakeContext) -> None:
    model = model_of(context)
    chosen, rejected = row([5, 6], [7, 8, 9]), row([5, 6], [10, 11])
    batch = collate_pairs([Pair(chosen, rejected, ([0, 1, 1], [1, 1]))], 0)
    kept: list[Tensor] = []
    model.register_forward_hook(lambda module, args, output: kept.append(output.logits) or output.logits.retain_grad())
    found = pair_log_probs(model, batch)
    found.chosen.sums.sum().backward()
    assert kept[0].grad is not None
    assert kept[0].grad[0].abs().sum(-1).gt(0).tolist() == [False, True, True]
    torch.testing.assert_close(found.chosen.sums[0].double(), alone(model, chosen)[1:].sum())
    thought = Pair(row([5, 6], [12, 8, 9]), rejected, ([0, 1, 1], [1, 1]))
    other = pair_log_probs(model, collate_pairs([thought], 0))
    assert not torch.allclose(other.chosen.sums, found.chosen.sums, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="2 weights for the 3 tokens of a chosen response"):
        collate_pairs([Pair(chosen, rejected, ([1, 1], [1, 1]))], 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_orpo_of_a_pair_is_that_of_trl(dtype: torch.dtype) -> None:
    for case in json.loads((GOLDEN / "orpo_batch.json").read_text("utf-8"))["cases"]:
        given, expected = case["input"], case["output"]
        logits = torch.tensor(given["logits_chosen_row_then_rejected_row"], dtype=dtype, requires_grad=True)

        class Table(torch.nn.Module):
            def forward(self, logits: Tensor = logits, **inputs: Any) -> Any:
                return SimpleNamespace(logits=logits[:, : inputs["input_ids"].shape[1]])

        pair = Pair(*(row(given["prompt"], given[side]) for side in SIDES))
        objective = preference(PreferenceConfig(loss="orpo", beta=given["beta"]))
        loss = objective(Table(), collate_pairs([pair], given["pad_token_id"]))
        odds, near, told = loss.auxiliary["odds_ratio"], {"rel": 2e-6, "abs": 2e-6}, expected["metrics"]
        assert odds.weight is not None
        nll, ratio = loss.total / loss.weight, odds.total / odds.weight
        assert float((nll + odds.coefficient * ratio).detach()) == pytest.approx(expected["loss"], **near)
        assert float(nll.detach()) == pytest.approx(told["nll_loss"], **near)
        assert float(-ratio.detach()) == pytest.approx(told["log_odds_ratio"], **near)
        parts = {name: float(part.total) / float(part.weight) for name, part in loss.parts.items()}
        assert parts == pytest.approx(
            {
                "accuracy": told["rewards/accuracies"],
                "reward_margin": told["rewards/margins"],
                "reward_chosen": told["rewards/chosen"],
                "reward_rejected": told["rewards/rejected"],
                "log_odds_ratio": told["log_odds_chosen"],
            },
            **near,
        )


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
@pytest.mark.parametrize("length_normalised", [False, True])
def test_losses_of_the_margin_are_summed_over_pairs(context: FakeContext, name: str, length_normalised: bool) -> None:
    model, batch = model_of(context), with_reference(collate_pairs(some_pairs(), 0))
    smoothing = 0.1 if name in ("dpo", "robust", "exo") else 0.0
    batch["pair_weights"][1] = 0
    loss = measured(model, batch, loss=name, beta=0.3, label_smoothing=smoothing, length_normalised=length_normalised)
    found = pair_log_probs(model, batch)
    sizes = (found.chosen.counts, found.rejected.counts) if length_normalised else (1, 1)
    chosen, rejected = found.chosen.sums / sizes[0], found.rejected.sums / sizes[1]
    h = losses.margin(chosen, rejected, -3.0 / sizes[0], -2.0 / sizes[1])  # type: ignore[arg-type]
    expected = losses.LOSSES[name](h, 0.3, smoothing)[[0, 2]].sum()
    torch.testing.assert_close(loss.total.double(), expected.double(), rtol=1e-6, atol=1e-6)
    assert float(loss.weight) == 2
    assert float(loss.parts["accuracy"].total) == float((h[[0, 2]] > 0).sum())


def test_orpo_weighs_tokens_and_pairs_and_zero_beta_leaves_the_nll(context: FakeContext) -> None:
    model, batch = model_of(context), collate_pairs(some_pairs(), 0)
    batch["pair_weights"][2] = 0
    objective = preference(PreferenceConfig(loss="orpo"))
    loss = objective(model, batch)
    tokens = sum(first + chosen - 1 for first, chosen, _ in SHAPES[:2])
    assert objective.weights(batch) == {"": tokens, "odds_ratio": 2}  # type: ignore[attr-defined]
    assert (float(loss.weight), float(loss.auxiliary["odds_ratio"].weight)) == (tokens, 2)  # type: ignore[arg-type]
    alone = measured(model, batch, loss="orpo", beta=0.0)
    assert alone.auxiliary["odds_ratio"].coefficient == 0
    assert float(alone.parts["accuracy"].total) == float(loss.parts["accuracy"].total)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"loss": "sigmoid"}, "loss 'sigmoid' is called 'dpo' here"),
        ({"loss": "ipo", "label_smoothing": 0.1}, "the loss ipo knows no label_smoothing"),
        ({"beta": 0.0}, "beta 0 leaves nothing of the loss dpo"),
        ({"label_smoothing": 0.5}, "less than 0.5"),
    ],
)
def test_settings_without_effect_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        PreferenceConfig.model_validate(settings)
