"""Running out of memory, said in terms of the settings that help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from omnitrain.errors import EnvironmentFault

_CPU_MESSAGES = ("can't allocate memory", "not enough memory", "Cannot allocate memory")


def is_shortage(error: BaseException) -> bool:
    """Whether an error is one of those by which memory runs out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, (RuntimeError, OSError)) and any(text in str(error) for text in _CPU_MESSAGES)


@contextmanager
def explained_shortage(batch_size: int, accumulate: int) -> Iterator[None]:
    """Turn the various ways of running out of memory in a block into one error.

    Raises EnvironmentFault that names the batch size and what to change.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_shortage(error):
            raise
        rows = -(-batch_size // accumulate)
        raise EnvironmentFault(
            f"Out of memory with micro-batches of {rows} (fit.batch_size {batch_size}, fit.accumulate {accumulate}): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}. Raise fit.accumulate, which changes "
            "memory and not the result, or choose a smaller model. Checkpoints are whole; the same command goes on."
        ) from error
