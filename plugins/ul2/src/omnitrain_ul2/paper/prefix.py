"""The S denoiser's split of a text into a prefix (inputs) and a continuation (targets)."""

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError

Ints = npt.NDArray[np.int64]


def prefix_bounds(lengths: npt.ArrayLike, rate: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Bounds [low, high) of the uniformly drawn prefix length.

    lengths: tokens of the text, any shape, at least 1; rate: noise density, at most 0.5, broadcast against it.
    low = min(L - 1, max(1, round_half_even((1 - 2 rate)(L - 1)))), high = L; a text of one token has low = 0.
    """
    length = np.asarray(lengths, dtype=np.int64)
    if length.size and length.min() < 1:
        raise DataError("A prefix-LM text has no tokens; drop empty texts before splitting.")
    rounded = np.rint((1.0 - 2.0 * np.asarray(rate, dtype=np.float64)) * (length - 1)).astype(np.int64)
    return np.minimum(length - 1, np.maximum(1, rounded)), length


def draw_prefix_lengths(lengths: npt.ArrayLike, rate: npt.ArrayLike, generator: np.random.Generator) -> Ints:
    """One prefix length a row, uniform within `prefix_bounds`; lengths: int[rows], rate: one number or float[rows]."""
    low, high = prefix_bounds(lengths, rate)
    return generator.integers(low, high)


def prefix_masks(lengths: npt.ArrayLike, prefix_lengths: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mask [rows, longest length] that is true on the prefix, as the official task has it (true = inputs)."""
    length, prefix = np.asarray(lengths, dtype=np.int64), np.asarray(prefix_lengths, dtype=np.int64)
    return np.arange(int(length.max()))[None, :] < np.minimum(prefix, length)[:, None]
