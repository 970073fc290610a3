"""Golden vectors to functions: each adapter runs one case of the official outputs through our code."""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np

from omnitrain.errors import DataError
from omnitrain_ul2.evaluators import t5_metrics as task_metrics
from omnitrain_ul2.evidence.t5_packing import pack_decoder_only, pack_encoder_decoder
from omnitrain_ul2.paper.corruption import shift_right
from omnitrain_ul2.paper.lengths import random_spans_lengths
from omnitrain_ul2.paper.prefix import prefix_bounds, prefix_masks
from omnitrain_ul2.paper.sentinels import Frame, corrupt, select, sides, write
from omnitrain_ul2.paper.spans import (
    ends_from_permutation,
    mask_from_spans,
    noise_counts,
    noise_masks,
    roll_masks,
    spans_from_ends,
    spans_from_mask,
)

Case = Mapping[str, Any]
STATISTICS_SEED = 20220510


def _digits(mask: np.ndarray) -> str:
    return "".join("1" if bit else "0" for bit in mask)


def _bits(text: str) -> np.ndarray:
    return np.array([[character == "1" for character in text]], dtype=bool)


def _noise_masks(case: Case, shared: Case) -> dict[str, Any]:
    length = np.array([case["length"]])
    padded = np.maximum(length, 2)
    tokens, spans = noise_counts(length, case["mean_noise_span_length"], case["noise_density"])
    count = int(spans[0])
    noise_ends = ends_from_permutation(case["noise_perm"], int(tokens[0]), count)
    kept_ends = ends_from_permutation(case["nonnoise_perm"], int((padded - tokens)[0]), count)
    result: dict[str, Any] = {"num_noise_tokens": int(tokens[0]), "num_noise_spans": count}
    if case["random_roll"]:
        mask = roll_masks(mask_from_spans(spans_from_ends(padded, kept_ends, noise_ends)), padded, [case["roll_offset"]])
        result["roll_offset_bounds"] = [0, int(padded[0])]
    else:
        mask = mask_from_spans(spans_from_ends(length, kept_ends, noise_ends))
    return {**result, "mask": _digits(mask[0, : case["length"]])}


def _noise_counts(case: Case, shared: Case) -> dict[str, Any]:
    generator = np.random.default_rng(STATISTICS_SEED)
    found: list[list[int] | None] = []
    for length in case["lengths"]:
        try:
            mask = noise_masks(length, 1, case["mean_noise_span_length"], case["noise_density"], generator)
        except DataError:
            found.append(None)
            continue
        starts = np.diff(mask[0].astype(np.int8), prepend=0) == 1
        found.append([int(mask.sum()), int(starts.sum())])
    return {"noise_tokens_and_spans": found}


def _run_statistics(mask: np.ndarray, kind: bool, items: int, spans: int) -> dict[str, Any]:
    padded = np.pad(mask == kind, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    lengths = np.nonzero(change == -1)[1] - np.nonzero(change == 1)[1]
    exact = (spans - 1) / (items - 1) if items > 1 else 1.0
    return {
        "mean": float(lengths.mean()),
        "std": float(lengths.std()),
        "P(length=1)": float((lengths == 1).mean()),
        "exact": {"mean": items / spans, "P(length=1)": exact},
    }


def _noise_statistics(case: Case, shared: Case) -> dict[str, Any]:
    length, draws = case["length"], case["draws"]
    generator = np.random.default_rng(STATISTICS_SEED)
    mask = noise_masks(length, draws, case["mean_noise_span_length"], case["noise_density"], generator)
    tokens = np.unique(mask.sum(axis=1))
    spans = np.unique((np.diff(mask.astype(np.int8), axis=1, prepend=0) == 1).sum(axis=1))
    # Every draw has the same counts; anything else shows as a list.
    noise = int(tokens[0]) if len(tokens) == 1 else tokens.tolist()
    count = int(spans[0]) if len(spans) == 1 else spans.tolist()
    return {
        "noise_tokens_every_draw": noise,
        "noise_spans_every_draw": count,
        "P(first token noise)": float(mask[:, 0].mean()),
        "P(last token noise)": float(mask[:, -1].mean()),
        "noise_span_length": _run_statistics(mask, True, int(tokens[0]), int(spans[0])),
        "nonnoise_span_length": _run_statistics(mask, False, length - int(tokens[0]), int(spans[0])),
        "mean_mask_rate_in_tenths_of_sequence": [float(p.mean()) for p in np.array_split(mask, 10, axis=1)],
    }


def _lengths_helper(case: Case, shared: Case) -> dict[str, Any]:
    tokens, targets = random_spans_lengths(
        case["inputs_length"],
        case["noise_density"],
        case["mean_noise_span_length"],
        case["extra_tokens_per_span_inputs"],
        case["extra_tokens_per_span_targets"],
    )
    return {"tokens_length": tokens, "targets_length": targets}


def _sentinels(case: Case, shared: Case) -> dict[str, Any]:
    tokens, mask = np.array([case["tokens"]]), _bits(case["mask"])
    both = corrupt(tokens, mask, case["vocab_size"])
    return {
        "inputs": both.inputs[0].tolist(),
        "targets": both.targets[0].tolist(),
        "drop_noise": select(tokens, ~mask)[0][0].tolist(),
        "drop_nonnoise": select(tokens, mask)[0][0].tolist(),
    }


def _prefix_split(case: Case, shared: Case) -> dict[str, Any]:
    low, high = prefix_bounds(case["length"], case["noise_density"])
    mask = prefix_masks([case["length"]], [case["drawn_prefix_length"]])
    return {"uniform_low_inclusive": int(low), "uniform_high_exclusive": int(high), "mask": _digits(mask[0])}


def _examples(case: Case, shared: Case) -> dict[str, Any]:
    mask = _bits(case["mask"])
    marked = np.array([case["mode"] != "[S2S]"])
    into_inputs, into_targets = sides(spans_from_mask(mask if marked[0] else ~mask), marked)
    flat, starts = np.array(case["tokens"]), np.zeros(1, np.int64)
    sentinel, eos, mode = case["vocab_size"] - 1, case["eos_id"], np.array([case["mode_token_ids"]])
    lead = np.array([mode.shape[1]])
    inputs, _ = write(into_inputs, flat, starts, Frame(sentinel, 0, eos, case["max_inputs"], lead, mode))
    targets, lengths = write(into_targets, flat, starts, Frame(sentinel, 0, eos, case["max_targets"]))
    decoder = shift_right(targets, lengths)
    return {"inputs": inputs[0].tolist(), "targets": targets[0].tolist(), "decoder_input_ids": decoder[0].tolist()}


def _pack_decoder_only(case: Case, shared: Case) -> dict[str, Any]:
    pack = pack_decoder_only(
        np.array([case["targets"]]), [case["split_point"]], loss_on_targets_only=case["loss_on_targets_only"]
    )
    return {
        "decoder_target_tokens": pack.target_tokens[0].tolist(),
        "decoder_input_tokens": pack.input_tokens[0].tolist(),
        "decoder_loss_weights": pack.loss_weights[0].tolist(),
        "decoder_causal_attention": pack.bidirectional[0].tolist(),
    }


def _pack_encoder_decoder(case: Case, shared: Case) -> dict[str, Any]:
    first, second = (np.array([tokens]) for tokens in case["targets_pair"])
    pack = pack_encoder_decoder(first, second, [case["split_point"]])
    return {name: getattr(pack, name)[0].tolist() for name in type(pack).__dataclass_fields__}


def _metrics(case: Case, shared: Case) -> dict[str, float]:
    targets, predictions = case["targets"], case["predictions"]
    match case["metric"]:
        case "mean_group_metric(accuracy)":
            return task_metrics.mean_group_metric(task_metrics.accuracy, targets, predictions)
        case "mean_multiclass_f1(num_classes=3)":
            return task_metrics.mean_multiclass_f1(targets, predictions, 3)
        case "accuracy" | "f1_score_with_invalid" | "squad" | "trivia_qa" | "pearson_corrcoef" | "rouge" as name:
            scores: dict[str, float] = getattr(task_metrics, name)(targets, predictions)
            return scores
        case other:
            raise DataError(f"Golden file metrics names the metric {other!r}, which has no function here.")


def _relative_buckets(case: Case, shared: Case) -> list[int]:
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    bucket_of: Any = T5Attention._relative_position_bucket
    buckets = bucket_of(
        torch.tensor(case["relative_positions"]),
        bidirectional=case["bidirectional"],
        num_buckets=case["num_buckets"],
        max_distance=case["max_distance"],
    )
    return [int(bucket) for bucket in buckets]


def adafactor(case: Case, shared: Case, dtype: str = "float64") -> dict[str, Any]:
    """Run transformers' Adafactor, which fits take by the name adafactor, on one parameter of a float type."""
    import torch
    from transformers import optimization

    parameter = torch.nn.Parameter(torch.tensor(case["param"], dtype=getattr(torch, dtype)))
    # transformers leaves these functions without types.
    make: Any = optimization.Adafactor
    optimiser = make(
        [parameter],
        lr=case["lr"],
        eps=tuple(case["eps"]),
        clip_threshold=case["clip_threshold"],
        decay_rate=case["decay_rate"],
        scale_parameter=case["scale_parameter"],
        relative_step=False,
        warmup_init=False,
    )
    after = []
    for gradient in case["grads_per_step"]:
        parameter.grad = torch.tensor(gradient, dtype=parameter.dtype)
        optimiser.step()
        after.append(parameter.detach().tolist())
    return {"param_after_each_step": after}


def first_difference(expected: Any, actual: Any, tolerance: float, where: str = "output") -> str | None:
    """The first place where two JSON structures differ by more than `tolerance` (numbers), or None."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            return f"{where}: keys {sorted(actual)}, expected {sorted(expected)}"
        pairs = ((expected[key], actual[key], f"{where}.{key}") for key in expected)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}: {len(actual)} entries, expected {len(expected)}"
        pairs = ((e, a, f"{where}[{i}]") for i, (e, a) in enumerate(zip(expected, actual, strict=True)))
    else:
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (expected, actual))
        same = abs(expected - actual) <= tolerance if numbers else expected == actual
        return None if same else f"{where}: {actual}, expected {expected}"
    return next((found for e, a, place in pairs if (found := first_difference(e, a, tolerance, place))), None)


def _compare_metrics(expected: Any, actual: Any, case: Case) -> str | None:
    return first_difference(expected, actual, TOLERANCES["metrics"]["rouge" if case["metric"] == "rouge" else "other"])


def _compare_adafactor(expected: Any, actual: Any, case: Case) -> str | None:
    return first_difference(expected, actual, TOLERANCES["adafactor"]["absolute"])


def _compare_statistics(expected: Case, actual: Case, case: Case) -> str | None:
    """Counts and exact values must agree; sampled values within 4 standard errors of a difference of two samples."""
    errors = TOLERANCES["noise_statistics"]["standard_errors"]
    spans, draws = expected["noise_spans_every_draw"], case["draws"]
    one_span = spans == 1

    def limit(variance: float, samples: int) -> float:
        return 1e-12 if one_span else errors * sqrt(2.0 * variance / samples)

    for key in ("noise_tokens_every_draw", "noise_spans_every_draw", "P(first token noise)", "P(last token noise)"):
        if expected[key] != actual[key]:
            return f"output.{key}: {actual[key]}, expected {expected[key]}"
    for key in ("noise_span_length", "nonnoise_span_length"):
        wanted, found = expected[key], actual[key]
        probability = wanted["exact"]["P(length=1)"]
        # The length is close to geometric, whose kurtosis of 9 gives Var(std) = 2 std^2 / samples.
        limits = {
            "mean": 1e-9,
            "std": limit(2.0 * wanted["std"] ** 2, draws * spans),
            "P(length=1)": limit(probability * (1.0 - probability), draws * spans),
        }
        for name, bound in limits.items():
            if abs(wanted[name] - found[name]) > bound:
                return f"output.{key}.{name}: {found[name]}, expected {wanted[name]} within {bound:.3g}"
        difference = first_difference(wanted["exact"], found["exact"], 1e-12, f"output.{key}.exact")
        if difference:
            return difference
    key = "mean_mask_rate_in_tenths_of_sequence"
    for tenth, (rate, found) in enumerate(zip(expected[key], actual[key], strict=True)):
        bound = limit(max(rate * (1.0 - rate), 1.0 / draws), draws)
        if abs(rate - found) > bound:
            return f"output.{key}[{tenth}]: {found}, expected {rate} within {bound:.3g}"
    return None


ADAPTERS: dict[str, Callable[[Any, Case], Any]] = {
    "noise_masks": _noise_masks,
    "noise_counts": _noise_counts,
    "noise_statistics": _noise_statistics,
    "lengths_helper": _lengths_helper,
    "sentinels": _sentinels,
    "prefix_split": _prefix_split,
    "ul2_examples": _examples,
    "pack_decoder_only": _pack_decoder_only,
    "pack_encoder_decoder": _pack_encoder_decoder,
    "metrics": _metrics,
    "relative_buckets": _relative_buckets,
    "adafactor": adafactor,
}

# Files that are not named here agree exactly.

TEST_ONLY: dict[str, str] = {
    "noise_masks": "a mask of each drawing; training uses the drawn spans themselves (`draw_spans`, which makes the mask)",
    "sentinels": "`corrupt` and `select`; training writes examples with `sides` and `write`, which ul2_examples checks",
    "prefix_split": "`prefix_masks`; training uses the bounds, which are checked too",
    "pack_decoder_only": "the official pipeline's packing; training packs rows in its own way",
    "pack_encoder_decoder": "the official pipeline's packing; training packs rows in its own way",
    "metrics": "the cases of `mean_group_metric` and `trivia_qa`, which no evaluator uses; the others are used",
}

TOLERANCES: dict[str, dict[str, float]] = {
    "noise_statistics": {"standard_errors": 4.0},
    "metrics": {"other": 1e-9, "rouge": 0.5},
    "adafactor": {"absolute": 1e-12},
}

COMPARE: dict[str, Callable[[Any, Any, Any], str | None]] = {
    "noise_statistics": _compare_statistics,
    "metrics": _compare_metrics,
    "adafactor": _compare_adafactor,
}
