"""Speed of the corruption beside a row-by-row numpy collator and beside one copy of the ids."""

from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from omnitrain_ul2.denoisers import UL2_DENOISERS, Denoiser, mixture
from omnitrain_ul2.examples import BatchPlan, denoise_batch, join_segments, plan_batches
from omnitrain_ul2.mixture import MixtureSampler
from omnitrain_ul2.sentinels import Tokens
from omnitrain_ul2.vocabulary import Vocabulary

SENTINELS = 128
VOCABULARY = Vocabulary(first_sentinel=32127, sentinels=SENTINELS, ordinary_size=32000)
INPUTS_LENGTH = 512
TOKENS_PER_ROUND = 400_000


def _row_segments(items: int, parts: int, random: np.random.RandomState) -> np.ndarray:
    flags = np.arange(items - 1) < parts - 1
    random.shuffle(flags)
    numbers = np.cumsum(np.pad(flags, (1, 0)))
    return np.unique(numbers, return_counts=True)[1]


def _row_mask(length: int, denoiser: Denoiser, random: np.random.RandomState) -> np.ndarray:
    """Mask of one row, the way collators do it that were ported from the official TensorFlow code."""
    if denoiser.mean_span is None:
        return np.arange(length) >= random.randint((length - 1) // 2, length)
    noise = min(max(int(np.round(length * denoiser.rate)), 1), length - 1)
    spans = max(int(np.round(noise / denoiser.mean_span)), 1)
    lengths = np.stack([_row_segments(length - noise, spans, random), _row_segments(noise, spans, random)], axis=1).reshape(-1)
    change = np.zeros(length, np.int8)
    change[np.cumsum(lengths)[:-1]] = True
    return np.equal(np.cumsum(change) % 2, 1)


def _row_side(ids: np.ndarray, mask: np.ndarray, sentinels: bool) -> np.ndarray:
    """One row with each run of the mask replaced by a sentinel (or dropped), and EOS."""
    if not sentinels:
        return np.concatenate([ids[~mask], [VOCABULARY.eos_id]])
    start = mask - np.roll(mask, 1) * mask
    start[0] = mask[0]
    marks = np.where(start != 0, np.cumsum(start, axis=-1), start)
    marks = np.where(marks != 0, VOCABULARY.first_sentinel + 1 - marks, 0)
    marks -= mask - start
    merged = np.where(marks != 0, marks, ids)
    return np.concatenate([merged[merged >= 0], [VOCABULARY.eos_id]])


def row_by_row(ids: Tokens, denoiser: Denoiser, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """The peer: a collator that masks, marks and filters one row after the other.

    ids: int[rows, length]; returns padded inputs and targets. Written in the manner of the usual T5-MLM collators.
    """
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for row in ids:
        mask = _row_mask(len(row), denoiser, random)
        sentinels = denoiser.mean_span is not None
        sides[0].append(_row_side(row, mask.astype(np.int8) if sentinels else mask, sentinels))
        sides[1].append(_row_side(row, (~mask).astype(np.int8) if sentinels else ~mask, sentinels))
    return _pad(sides[0]), _pad(sides[1])


def _pad(rows: list[np.ndarray]) -> np.ndarray:
    out = np.full((len(rows), max(len(row) for row in rows)), VOCABULARY.pad_id, np.int32)
    for number, row in enumerate(rows):
        out[number, : len(row)] = row
    return out


def _rate(work: Callable[[], Any], tokens: int, repeats: int) -> float:
    begin = process_time()
    for _ in range(repeats):
        work()
    return tokens * repeats / max(process_time() - begin, 1e-9)


def _variants(
    denoiser_index: int, batch: int, plan: BatchPlan, ids: Tokens, generator: np.random.Generator
) -> dict[str, Callable[[], Any]]:
    index = np.full(batch, denoiser_index)
    denoiser = plan.segments[denoiser_index].denoiser
    random = np.random.RandomState(0)
    return {
        "own": lambda: denoise_batch(ids, index, plan, generator),
        "row_by_row": lambda: row_by_row(ids, denoiser, random),
        "copy": ids.copy,
    }


def corruption_rounds(batch: int, rounds: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Raw tokens a second of one core (CPU time), per denoiser, at inputs of 512 tokens, full segments.

    batch: rows; rounds: repetitions, the variants in turn within each. Every entry has own, row_by_row and copy (one
    copy of the ids) with median, min and max, and `ratio` = own / row_by_row of the medians.
    The entry `mixture` is one batch of the balanced mixture: rows of different denoisers and lengths together.
    """
    generator = np.random.default_rng(seed)
    plan = plan_batches(UL2_DENOISERS, VOCABULARY, INPUTS_LENGTH, INPUTS_LENGTH)
    results: dict[str, dict[str, Any]] = {}
    for number, segment in enumerate(plan.segments):
        ids = generator.integers(2, VOCABULARY.ordinary_size, (batch, segment.tokens_length), dtype=np.int32)
        results[segment.denoiser.name] = _measure(_variants(number, batch, plan, ids, generator), ids.size, rounds)
    results["mixture"] = _measure(*_mixed(batch, plan, generator, seed), rounds)
    return results


def _mixed(batch: int, plan: BatchPlan, generator: np.random.Generator, seed: int) -> tuple[dict[str, Callable[[], Any]], int]:
    index = MixtureSampler(mixture("balanced"), seed).draw(batch)
    lengths = [plan.segments[i].tokens_length for i in index]
    rows = [generator.integers(2, VOCABULARY.ordinary_size, length, dtype=np.int32) for length in lengths]
    flat = join_segments(rows)[0]

    random = np.random.RandomState(seed)

    def peer() -> list[tuple[np.ndarray, np.ndarray]]:
        return [row_by_row(row[None], plan.segments[i].denoiser, random) for row, i in zip(rows, index, strict=True)]

    own = {"own": lambda: denoise_batch(rows, index, plan, generator), "row_by_row": peer, "copy": flat.copy}
    return own, len(flat)


def _measure(variants: dict[str, Callable[[], Any]], tokens: int, rounds: int) -> dict[str, Any]:
    repeats = max(1, TOKENS_PER_ROUND // tokens)
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for work in variants.values():
        work()
    for _ in range(rounds):
        for name, work in variants.items():
            taken[name].append(_rate(work, tokens, repeats if name != "copy" else repeats * 8))
    result: dict[str, Any] = {
        name: {"median": median(rates), "min": min(rates), "max": max(rates)} for name, rates in taken.items()
    }
    result["ratio"] = result["own"]["median"] / result["row_by_row"]["median"]
    return result
