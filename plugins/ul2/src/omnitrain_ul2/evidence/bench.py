"""Speed of the corruption beside a row-by-row numpy collator, and of whole training batches."""

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import torch
import transformers

from omnitrain.api import Bar, BatchPlan, Bench
from omnitrain_language.configs.data import TextConfig
from omnitrain_language.data.text import TextData
from omnitrain_ul2.configs.data import DenoisingConfig
from omnitrain_ul2.data.denoising import DenoisingData
from omnitrain_ul2.data.segments import Documents
from omnitrain_ul2.paper.corruption import DenoisingPlan, denoise_batch, plan_batches
from omnitrain_ul2.paper.denoisers import UL2_DENOISERS, Denoiser
from omnitrain_ul2.paper.mixtures import MixtureSampler, mixture
from omnitrain_ul2.paper.sentinels import Tokens
from omnitrain_ul2.paper.vocabulary import Vocabulary

SENTINELS = 128
VOCABULARY = Vocabulary(first_sentinel=32127, sentinels=SENTINELS, ordinary_size=32000)
INPUTS_LENGTH = 512
TOKENS_PER_ROUND = 400_000
BATCHES = (8, 128)
LEAST_SPEEDUP = {8: 6.0, 128: 8.0}


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
    start = mask - np.roll(mask, 1) * mask
    start[0] = mask[0]
    marks = np.where(start != 0, np.cumsum(start, axis=-1), start)
    marks = np.where(marks != 0, VOCABULARY.first_sentinel + 1 - marks, 0)
    marks -= mask - start
    if not sentinels:
        marks = np.where(mask != 0, -1, 0)
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
        sides[0].append(_row_side(row, mask.astype(np.int8), sentinels))
        sides[1].append(_row_side(row, (~mask).astype(np.int8), sentinels))
    return _pad(sides[0]), _pad(sides[1])


def split_rows(ids: Tokens, denoiser: Denoiser, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """A peer for S alone, in which nothing is masked: each row is cut in two at a drawn place."""
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for row in ids:
        mask = _row_mask(len(row), denoiser, random)
        for side, chosen in zip(sides, (~mask, mask), strict=True):
            side.append(np.concatenate([row[chosen], [VOCABULARY.eos_id]]))
    return _pad(sides[0]), _pad(sides[1])


def _pad(rows: list[np.ndarray]) -> np.ndarray:
    out = np.full((len(rows), max(len(row) for row in rows)), VOCABULARY.pad_id, np.int32)
    for number, row in enumerate(rows):
        out[number, : len(row)] = row
    return out


def _timed(work: Callable[[], Any], tokens: int, repeats: int) -> Callable[[], float]:
    """A variant that gives million raw tokens a second of one core (CPU time)."""

    def measure() -> float:
        begin = process_time()
        for _ in range(repeats):
            work()
        return tokens * repeats / max(process_time() - begin, 1e-9) / 1e6

    return measure


def _bench(name: str, works: dict[str, Callable[[], Any]], ids: np.ndarray, bars: tuple[Bar, ...] = ()) -> Bench:
    repeats = max(1, TOKENS_PER_ROUND // ids.size)
    variants = {variant: _timed(work, ids.size, repeats) for variant, work in works.items()}
    summary = "full segments for 512 inputs"
    return Bench(name, summary, "M tokens/s", "denoise_batch", variants, higher_is_better=True, rounds=7, bars=bars)


def _alone(number: int, batch: int, plan: DenoisingPlan, generator: np.random.Generator) -> Bench:
    segment = plan.segments[number]
    ids = generator.integers(2, VOCABULARY.ordinary_size, (batch, segment.tokens_length), dtype=np.int32)
    index, random = np.full(batch, number), np.random.RandomState(0)
    works: dict[str, Callable[[], Any]] = {
        "denoise_batch": lambda: denoise_batch(ids, index, plan, generator),
        "row by row": lambda: row_by_row(ids, segment.denoiser, random),
    }
    if segment.denoiser.mean_span is None:
        works["two slices a row"] = lambda: split_rows(ids, segment.denoiser, random)
    return _bench(f"{segment.denoiser.name}, batch {batch}", works, ids, (Bar("row by row", LEAST_SPEEDUP[batch]),))


def _mixed(batch: int, plan: DenoisingPlan, generator: np.random.Generator) -> Bench:
    index = MixtureSampler(mixture("balanced"), 0).draw(batch)
    lengths = np.array([plan.segments[i].tokens_length for i in index])
    flat = generator.integers(2, VOCABULARY.ordinary_size, lengths.sum(), dtype=np.int32)
    rows, random = np.split(flat, np.cumsum(lengths)[:-1]), np.random.RandomState(0)
    return _bench(
        f"balanced mixture, batch {batch}",
        {
            "denoise_batch": lambda: denoise_batch(flat, index, plan, generator, lengths),
            "row by row": lambda: [
                row_by_row(row[None], plan.segments[i].denoiser, random) for row, i in zip(rows, index, strict=True)
            ],
        },
        flat,
    )


@dataclass(frozen=True)
class _Stream:
    """Random documents in the layout of `omnitrain_language.tokens`."""

    tokens: np.ndarray
    offsets: np.ndarray


def _documents(generator: np.random.Generator) -> Documents:
    lengths = generator.integers(200, 3000, 2000)
    tokens = generator.integers(2, VOCABULARY.ordinary_size, 1 + int((lengths + 1).sum()), dtype=np.uint16)
    return Documents(_Stream(tokens, 1 + np.append(0, np.cumsum(lengths + 1))))


def _stream(batch: int, documents: Documents, pack: bool) -> Callable[[], float]:
    """A variant that times whole batches: segments gathered, corrupted and laid out as tensors."""
    packed = {"pack": True, "packed_inputs_length": 2048, "packed_targets_length": 1024} if pack else {}
    # Never read: the documents below take its place.
    text: Any = TextData(TextConfig())
    data = DenoisingData(DenoisingConfig.model_validate(packed), text)
    data.use_documents(VOCABULARY, {"train": documents})
    stream = data.batches("train", BatchPlan(batch, 0))
    batches = iter(stream)

    def measure() -> float:
        before, begin = stream.seen.by_task[:, 1:].sum(), process_time()
        for _ in range(max(1, 2048 // batch)):
            next(batches)
        return float(stream.seen.by_task[:, 1:].sum() - before) / (process_time() - begin) / 1e6

    return measure


STEP_LENGTH, STEP_ROWS = 128, 32


def _share() -> Bench:
    """Mask, sentinels and layout of a batch beside a forward and backward pass of a T5 of a million parameters."""
    config = transformers.T5Config(
        vocab_size=2048,
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-silu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(config)
    generator = np.random.default_rng(0)
    plan = plan_batches(UL2_DENOISERS, VOCABULARY, STEP_LENGTH, STEP_LENGTH)
    index = MixtureSampler(mixture("balanced"), 0).draw(STEP_ROWS)
    lengths = np.array([plan.segments[i].tokens_length for i in index])
    flat = generator.integers(2, 2000, lengths.sum(), dtype=np.int32)
    ids = torch.from_numpy(generator.integers(2, 2000, (STEP_ROWS, STEP_LENGTH)))

    def corruption() -> float:
        begin = process_time()
        for _ in range(20):
            denoise_batch(flat, index, plan, generator, lengths)
        return (process_time() - begin) / 20 * 1e3

    def step() -> float:
        begin = process_time()
        model(input_ids=ids, labels=ids).loss.backward()
        model.zero_grad()
        return (process_time() - begin) * 1e3

    name = "corruption beside a training step"
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    summary = f"mixed batch of {STEP_ROWS} x {STEP_LENGTH}; step: forward and backward of a T5 of {millions:.1f} M parameters"
    variants = {"denoise_batch": corruption, "step": step}
    return Bench(name, summary, "ms a batch", "denoise_batch", variants, bars=(Bar("step", 100.0),), rounds=7)


def benches() -> list[Bench]:
    """Corruption of each denoiser and of the mixture beside the peer, its share of a step, and whole training batches."""
    generator = np.random.default_rng(0)
    plan = plan_batches(UL2_DENOISERS, VOCABULARY, INPUTS_LENGTH, INPUTS_LENGTH)
    found = [_alone(n, batch, plan, generator) for batch in BATCHES for n in range(len(UL2_DENOISERS))]
    found += [_mixed(batch, plan, generator) for batch in BATCHES]
    found.append(_share())
    documents = _documents(generator)
    for batch in BATCHES:
        variants = {"one example a row": _stream(batch, documents, False), "packed": _stream(batch, documents, True)}
        summary = "tokens of inputs and targets, gathered, corrupted and laid out"
        name = f"training batches, batch {batch}"
        found.append(Bench(name, summary, "M tokens/s", "one example a row", variants, higher_is_better=True))
    return found
