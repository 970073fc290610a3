"""Graphon estimators on the mean of aligned matrices: SAS, largest gap, matrix completion, USVT (section 4.1)."""

from __future__ import annotations

import math

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats
from omnitrain_w2pgnn.paper.graphons.denoising import total_variation


def block_width(nodes: int) -> int:
    """Return h = int(log2(nodes) + 1), the width of a block; 1 for no nodes."""
    return int(math.log2(nodes) + 1) if nodes > 0 else 1


def block_count(nodes: int) -> int:
    """Return k = int(nodes / h), at least 1: how many blocks a graphon of graphs with that many nodes has."""
    return max(int(nodes / block_width(nodes)), 1)


def pooled(mean: Floats, width: int) -> Floats:
    """Return the means of width x width windows; a remainder at the end is dropped."""
    blocks = len(mean) // width
    cut = mean[: blocks * width, : blocks * width]
    return np.asarray(cut.reshape(blocks, width, blocks, width).mean(axis=(1, 3)), np.float64)


def sort_and_smooth(blocks: Floats, tv_weight: float) -> Floats:
    """SAS (Chan and Airoldi): total-variation denoising of the block means float64[k, k].

    tv_weight: the official code has the block width here, which flattens graphons of small graphs; see the README.
    """
    return total_variation(blocks, tv_weight)


def largest_gap(mean: Floats, blocks: int) -> Floats:
    """LG (Channarond et al.): blocks between gaps in the normalised degrees; returns block means float64[n, n].

    As in the official code the largest of d[i + 1] - d[i] are taken. Degrees are sorted descending, so these are the
    smallest drops, contrary to the name.
    """
    size = len(mean)
    if size < 2:
        return np.array(mean, np.float64)
    # float32, as in the official code: equal degrees must stay equal, or rounding decides where the cuts are.
    degrees = mean.sum(axis=1).astype(np.float32) / np.float32(size - 1)
    gaps = np.diff(degrees)
    cuts = np.sort(np.argsort(-gaps, kind="stable")[: blocks - 1]) + 1
    edges = np.concatenate([[0], cuts])
    lengths = np.diff(np.append(edges, size))
    sums = np.add.reduceat(np.add.reduceat(mean, edges, axis=0), edges, axis=1)
    means = sums / np.outer(lengths, lengths)
    return np.asarray(np.repeat(np.repeat(means, lengths, axis=0), lengths, axis=1), np.float64)


def _spectrum(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (left, singular values descending, right); a symmetric matrix takes the faster way over eigenvectors."""
    if np.array_equal(matrix, matrix.T):
        values, vectors = np.linalg.eigh(matrix)
        order = np.argsort(-np.abs(values), kind="stable")
        values, vectors = values[order], vectors[:, order]
        return vectors * np.sign(values), np.abs(values), vectors.T
    left, singular, right = np.linalg.svd(matrix)
    return left, singular, right


def matrix_completion(mean: Floats, rank: int | None = None) -> Floats:
    """MC: the best approximation of 2 M - 1 of a low rank, back on [0, 1], float64[n, n].

    rank: by default int(n / int(ln n)), and n for n < 3.
    """
    size = len(mean)
    if rank is None:
        rank = size if size < 3 else int(size / int(math.log(size)))
    left, singular, right = _spectrum(2 * mean - 1)
    low = (left[:, :rank] * singular[:rank]) @ right[:rank]
    return np.clip((low + 1) / 2, 0, 1)


def singular_value_threshold(mean: Floats, threshold: float) -> Floats:
    """USVT (Chatterjee): singular values below threshold * sqrt(n) are zeroed; clipped to [0, 1], float64[n, n]."""
    left, singular, right = _spectrum(mean)
    kept = singular >= threshold * math.sqrt(len(mean))
    return np.clip((left[:, kept] * singular[kept]) @ right[kept], 0, 1)
