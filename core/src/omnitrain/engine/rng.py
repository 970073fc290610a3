"""The global random generators (python, numpy, torch) as state that can be saved, and blocks that leave them alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators from one 63-bit seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if _has_gpu():
        torch.cuda.manual_seed_all(seed)


def _has_gpu() -> bool:
    """Whether this process draws on GPUs; a forked data worker must not touch them."""
    return torch.utils.data.get_worker_info() is None and torch.cuda.is_available()


def rng_state() -> dict[str, Any]:
    """Return the state of every global generator as plain data and tensors."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": {"version": version, "internal": list(internal), "gauss": gauss},
        "numpy": {"name": name, "keys": keys, "position": position, "has_gauss": has_gauss, "cached": cached},
        "torch": torch.get_rng_state(),
    }
    if _has_gpu():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Continue every global generator from a saved state."""
    python, array = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["internal"]), python["gauss"]))
    np.random.set_state((array["name"], array["keys"], array["position"], array["has_gauss"], array["cached"]))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and _has_gpu():
        torch.cuda.set_rng_state_all(list(state["cuda"]))


@contextmanager
def isolated(seed: int | None = None) -> Iterator[None]:
    """Run a block with its own randomness: afterwards the global generators stand where they stood before.

    seed: seed them for the block.
    """
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    cuda = torch.cuda.get_rng_state_all() if _has_gpu() else None
    if seed is not None:
        seed_everything(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return where a numpy generator stands, as plain data that a checkpoint or a JSON file keeps exactly."""
    return {name: _as_text(value) for name, value in generator.bit_generator.state.items()}


def set_generator_state(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Continue a generator from a state of `generator_state`.

    Raises ValueError for the state of another kind of generator.
    """
    generator.bit_generator.state = {name: _as_numbers(value) for name, value in state.items()}


class Streams:
    """Named numpy generators whose states are saved together.

    seed_of: the seed of each name, as `Run.seed` tells it. One purpose, one name: then a draw more for one purpose leaves
    the others as they were.

        streams = Streams(run.seed)
        order = streams["order"].permutation(n)
    """

    def __init__(self, seed_of: Callable[[str], int]) -> None:
        self._seed_of = seed_of
        self._generators: dict[str, np.random.Generator] = {}

    def __getitem__(self, name: str) -> np.random.Generator:
        """Return the generator of that name, made on first use from the run's seed for it."""
        if name not in self._generators:
            self._generators[name] = np.random.Generator(np.random.PCG64(self._seed_of(name)))
        return self._generators[name]

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the generators used so far."""
        return {name: generator_state(generator) for name, generator in self._generators.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the generators from saved states."""
        for name, value in state.items():
            set_generator_state(self[name], value)


def _as_text(value: Any) -> Any:
    """Write the 128-bit integers of a generator's state as text, which every JSON reader keeps exact."""
    if isinstance(value, dict):
        return {k: _as_text(v) for k, v in value.items()}
    return f"int:{value}" if isinstance(value, int) and value >= 2**63 else value


def _as_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _as_numbers(v) for k, v in value.items()}
    return int(value[4:]) if isinstance(value, str) and value.startswith("int:") else value
