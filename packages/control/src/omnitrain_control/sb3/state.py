"""The state of an algorithm of Stable-Baselines3 as trees of tensors, arrays and numbers, without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise, OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecTransposeImage

from omnitrain.engine import generator_state, set_generator_state

_COUNTERS = ("num_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining", "_n_calls", "exploration_rate")
_ROWS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def optimisers_of(algorithm: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    """Return every optimiser of an algorithm by the name under which Stable-Baselines3 saves it."""
    names, _ = algorithm._get_torch_save_params()
    found = {name: recursive_getattr(algorithm, name) for name in names}
    return {name: part for name, part in found.items() if isinstance(part, torch.optim.Optimizer)}


def state_of(algorithm: BaseAlgorithm) -> dict[str, Any]:
    """Return networks, optimisers, variables, counters, replay, noise, and what was noted of episodes and updates."""
    _, variables = algorithm._get_torch_save_params()
    buffer = getattr(algorithm, "replay_buffer", None)
    return {
        "parameters": algorithm.get_parameters(),
        "variables": {name: recursive_getattr(algorithm, name) for name in variables},
        "counters": {name: getattr(algorithm, name) for name in _COUNTERS if hasattr(algorithm, name)},
        "starts": np.asarray(algorithm._last_episode_starts),
        "told": {
            "episodes": list(algorithm.ep_info_buffer or ()),
            "successes": list(algorithm.ep_success_buffer or ()),
            "values": {name: float(value) for name, value in algorithm.logger.name_to_value.items()},
        },
        "noise": [noise.noise_prev for noise in _wandering(algorithm.action_noise)],
        "action_draws": generator_state(algorithm.action_space.np_random),
        "replay": None if buffer is None else _replay(buffer),
    }


def load_state(algorithm: BaseAlgorithm, state: Mapping[str, Any], observations: Any) -> None:
    """Put a state back. observations: where the environments stand, as they give them; None leaves them as they are."""
    algorithm.set_parameters(state["parameters"])
    for name, value in state["variables"].items():
        recursive_getattr(algorithm, name).data.copy_(value)
    for name, value in state["counters"].items():
        setattr(algorithm, name, value)
    algorithm._last_episode_starts = np.asarray(state["starts"])
    told = state["told"]
    for buffer, kept in ((algorithm.ep_info_buffer, told["episodes"]), (algorithm.ep_success_buffer, told["successes"])):
        assert buffer is not None
        buffer.clear()
        buffer.extend(kept)
    algorithm.logger.name_to_value.clear()
    algorithm.logger.name_to_value.update(told["values"])
    for noise, value in zip(_wandering(algorithm.action_noise), state["noise"], strict=True):
        noise.noise_prev = np.array(value)
    set_generator_state(algorithm.action_space.np_random, state["action_draws"])
    if state["replay"] is not None:
        _load_replay(algorithm.replay_buffer, state["replay"])  # type: ignore[attr-defined]
    if observations is not None:
        wrapped = algorithm.env
        if isinstance(wrapped, VecTransposeImage):
            observations = wrapped.transpose_observations(observations)
        algorithm._last_obs = observations


def _wandering(noise: ActionNoise | None) -> list[OrnsteinUhlenbeckActionNoise]:
    """Return the noises that have a state."""
    every = noise.noises if isinstance(noise, VectorizedActionNoise) else [noise]
    return [one for one in every if isinstance(one, OrnsteinUhlenbeckActionNoise)]


def arrays_of(buffer: ReplayBuffer) -> Iterator[tuple[str, Any]]:
    """Yield the buffer's arrays [row, environment, ...], those of a Dict one by one."""
    for name in _ROWS:
        value = getattr(buffer, name, None)
        if isinstance(value, dict):
            yield from ((f"{name}/{key}", part) for key, part in value.items())
        elif value is not None:
            yield name, value


def _replay(buffer: ReplayBuffer) -> dict[str, Any]:
    """Return the rows that were written; the one behind them too, in which a buffer may keep the newest observation."""
    rows = buffer.buffer_size if buffer.full else min(buffer.pos + 1, buffer.buffer_size)
    arrays = {name: values[:rows] for name, values in arrays_of(buffer)}
    return {"position": buffer.pos, "full": buffer.full, "arrays": arrays}


def _load_replay(buffer: ReplayBuffer, state: Mapping[str, Any]) -> None:
    buffer.pos, buffer.full = int(state["position"]), bool(state["full"])
    for name, values in arrays_of(buffer):
        kept = state["arrays"][name]
        values[: len(kept)] = kept
