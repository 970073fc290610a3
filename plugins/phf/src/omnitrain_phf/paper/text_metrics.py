"""Metrics of generated texts: how bad they are, and how different from each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from omnitrain.errors import UsageError

REFERENCES = 200
# Numerator of a precision without a match (Chen and Cherry's method 1).
EPSILON = 0.1


def max_at_k(scores: Sequence[float], k: int) -> float:
    """Return the mean over groups of the largest score in a group of k.

    Groups are strided, as in the official code: with c = len // k groups, element i < c k belongs to group i mod c; what is
    left over does not count. Raises UsageError for fewer than k scores.
    """
    groups = len(scores) // k
    if groups == 0:
        raise UsageError(f"max_at_k needs at least {k} samples, there are {len(scores)}; lower k or take more samples")
    return float(np.asarray(scores[: groups * k]).reshape(k, groups).max(axis=0).mean())


def share_of_hits(scores: Sequence[float], threshold: float) -> float:
    """Return the share of scores above the threshold."""
    return sum(score > threshold for score in scores) / len(scores)


def score_per_character(scores: Sequence[float], texts: Sequence[str]) -> float:
    """Return sum(score x characters) / sum(characters): for scores that are counts per character, all counts over all text.

    A plain mean of such scores is ruled by the shortest texts.
    """
    characters = sum(map(len, texts))
    return sum(s * len(t) for s, t in zip(scores, texts, strict=True)) / characters if characters else 0.0


def ngrams(tokens: Sequence[Hashable], n: int) -> Counter[tuple[Hashable, ...]]:
    """Count the n-grams of a sequence."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def distinct_ngrams(texts: Sequence[str], n: int) -> float:
    """Return the mean over texts of different n-grams / n-grams, over blank-separated words; 0 for a text without any."""
    counts = [ngrams(text.split(), n) for text in texts]
    return sum(len(count) / count.total() if count else 0.0 for count in counts) / len(counts)


def ngram_entropy(texts: Sequence[str], n: int) -> float:
    """Return the entropy in nats of the n-grams of all texts together, 0 without any."""
    pooled: Counter[tuple[Hashable, ...]] = Counter()
    for text in texts:
        pooled.update(ngrams(text.split(), n))
    total = pooled.total()
    return -sum(c / total * math.log(c / total) for c in pooled.values()) if total else 0.0


class _Grams:
    """The n-grams of one text up to an order, counted once for all comparisons."""

    def __init__(self, tokens: Sequence[Hashable], order: int) -> None:
        self.length = len(tokens)
        self.counts = [ngrams(tokens, n) for n in range(1, order + 1)]


def _largest_counts(grams: Sequence[_Grams], order: int) -> list[dict[tuple[Hashable, ...], list[tuple[int, int]]]]:
    """For each order and n-gram, the two largest counts with the numbers of their texts: enough to leave one text out."""
    tables: list[dict[tuple[Hashable, ...], list[tuple[int, int]]]] = [{} for _ in range(order)]
    for number, gram in enumerate(grams):
        for table, counts in zip(tables, gram.counts, strict=True):
            for key, count in counts.items():
                best = table.setdefault(key, [])
                best.append((count, number))
                best.sort(key=lambda pair: -pair[0])
                del best[2:]
    return tables


def _bleu(own: _Grams, references: Sequence[_Grams], clipped: Sequence[int], order: int) -> float:
    """Return BLEU from clipped matches by order, with uniform weights and smoothing of empty precisions."""
    if not references or own.length == 0 or clipped[0] == 0:
        return 0.0
    totals = [max(1, own.length - n + 1) for n in range(1, order + 1)]
    precision = [(match or EPSILON) / total for match, total in zip(clipped, totals, strict=True)]
    closest = min((r.length for r in references), key=lambda length: (abs(length - own.length), length))
    penalty = 1.0 if own.length > closest else math.exp(1 - closest / own.length)
    return penalty * math.exp(sum(math.log(p) for p in precision) / order)


def self_bleu(texts: Sequence[str], order: int = 5, unit: str = "characters") -> float:
    """Return the mean BLEU of each text against the others, NaN for fewer than two texts; high means alike.

    At most the first 200 others are references. unit: n-grams of "characters", as the official code does by handing over
    raw strings, or of "words".
    """
    if len(texts) < 2:
        return math.nan
    tokens = [list(text) if unit == "characters" else text.split() for text in texts]
    grams = [_Grams(token, order) for token in tokens]
    # A text among the first 201 has the other 200 of them as references, a later one the first 200.
    pools = {size: _largest_counts(grams[:size], order) for size in {min(len(grams), REFERENCES + 1), REFERENCES}}
    scores = []
    for number, own in enumerate(grams):
        size = min(len(grams), REFERENCES + 1) if number <= REFERENCES else REFERENCES
        clipped = [
            sum(min(count, _best(table.get(key), number)) for key, count in counts.items())
            for counts, table in zip(own.counts, pools[size], strict=True)
        ]
        references = [g for i, g in enumerate(grams[:size]) if i != number]
        scores.append(_bleu(own, references, clipped, order))
    return sum(scores) / len(scores)


def _best(largest: Sequence[tuple[int, int]] | None, left_out: int) -> int:
    return next((count for count, number in largest or () if number != left_out), 0)


def text_metrics(texts: Sequence[str]) -> dict[str, float]:
    """Return length in characters, distinct-n and entropy for n = 1, 2, and Self-BLEU-5, by the official names."""
    found = {"length": sum(map(len, texts)) / len(texts)}
    for n in (1, 2):
        found[f"distinct-{n}-grams"] = distinct_ngrams(texts, n)
        found[f"entropy-{n}-grams"] = ngram_entropy(texts, n)
    return {**found, "Self-BLEU-5": self_bleu(texts)}


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased estimate 1 - C(n - c, k) / C(n, k) that one of k samples is right (arXiv 2107.03374, eq. 1).

    Raises UsageError for k above the number of samples.
    """
    if not 1 <= k <= samples:
        raise UsageError(f"pass@{k} needs at least {k} samples of each problem, there are {samples}")
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)
