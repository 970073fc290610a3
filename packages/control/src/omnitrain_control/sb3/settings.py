"""Settings of an algorithm as a recipe holds them, checked against its signature and made what it takes."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from omnitrain.engine import isolated
from omnitrain.errors import UsageError, nearest
from omnitrain_control.environments import named_words

OURS = {
    "policy": "policy is a setting of the stage",
    "env": "the environment is a setting of the stage",
    "seed": "it follows from the seed of the recipe",
    "device": "device is a setting of the stage",
    "verbose": "omnitrain shows the progress",
    "tensorboard_log": "omnitrain writes the metrics, to trackers too",
    "monitor_wrapper": "omnitrain notes the episodes",
    "_init_setup_model": "omnitrain makes the networks",
}
ACTIVATIONS = ("ELU", "GELU", "LeakyReLU", "Mish", "ReLU", "SELU", "SiLU", "Sigmoid", "Softplus", "Tanh")
_SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")
_NOISES = {"normal": NormalActionNoise, "ornstein_uhlenbeck": OrnsteinUhlenbeckActionNoise}
_NOT_POSITIVE = ("gradient_steps", "sde_sample_freq", "learning_starts")


def algorithm_class(name: str) -> type[BaseAlgorithm]:
    """Return the class of an algorithm."""
    found: type[BaseAlgorithm] = getattr(stable_baselines3, name)
    return found


def made_algorithm(
    name: str, policy: str | type[Any], environment: VecEnv, settings: Mapping[str, Any], seed: int, device: str
) -> BaseAlgorithm:
    """Return an algorithm with new networks; their initial weights and all its draws follow from the seed.

    environment: where it will learn, or only its spaces. settings: keyword arguments as a recipe holds them.
    Raises UsageError that names the setting which the algorithm does not have or take.
    """
    kind = algorithm_class(name)
    arguments = _arguments(name, kind, settings, environment)
    try:
        made = kind(policy, environment, seed=seed % 2**31, device=device, **arguments)
    except (TypeError, ValueError, AssertionError, AttributeError, KeyError) as error:
        raise UsageError(f"settings: {name} of Stable-Baselines3 refuses them: {named_words(error)}.") from error
    frequency = getattr(made, "train_freq", None)
    if isinstance(frequency, TrainFreq):
        if frequency.frequency < 1:
            raise UsageError(f"settings.train_freq: expected 1 or more, not {frequency.frequency}.")
        if frequency.unit.value == "episode" and environment.num_envs > 1:
            raise UsageError(
                f"settings.train_freq: training after whole episodes takes one environment, and environment.count is "
                f"{environment.num_envs}; set it to 1, or train_freq to a number of steps."
            )
    return made


def tried_algorithm(
    name: str, policy: str, environment: VecEnv, settings: Mapping[str, Any]
) -> tuple[BaseAlgorithm, list[str]]:
    """Return an algorithm made to check its settings, and what Stable-Baselines3 warns of; the generators stay as they are.

    Raises UsageError as `made_algorithm` does.
    """
    with isolated(), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        made = made_algorithm(name, policy, environment, settings, 0, "cpu")
    return made, [" ".join(str(warning.message).split()) for warning in heard if warning.category is UserWarning]


def _arguments(name: str, kind: type[BaseAlgorithm], settings: Mapping[str, Any], environment: VecEnv) -> dict[str, Any]:
    """Return settings as arguments. Raises UsageError for one that is unknown, omnitrain's own, or of another type."""
    signature = inspect.signature(kind.__init__).parameters
    offered = [key for key in signature if key not in (*OURS, "self") and not key.endswith("_class")]
    found = {}
    for key, value in settings.items():
        if key in OURS:
            raise UsageError(f"settings.{key}: {OURS[key]}; leave it out.")
        if key in signature and key.endswith("_class"):
            raise UsageError(f"settings.{key}: it is a class of Python, which a recipe can't hold; leave it out.")
        if key not in offered:
            version = stable_baselines3.__version__
            hint = nearest(key, offered)
            raise UsageError(f"settings.{key}: {name} of Stable-Baselines3 {version} has no such setting. {hint}")
        found[key] = _argument(key, value, signature[key].default, environment)
    return found


def _argument(key: str, value: Any, default: Any, environment: VecEnv) -> Any:
    if key == "policy_kwargs":
        return policy_arguments(value, "settings.policy_kwargs")
    if key == "action_noise":
        return None if value is None else _noise(value, environment)
    if key == "train_freq" and isinstance(value, list):
        return tuple(value)
    if key in _SCHEDULED and isinstance(value, Mapping):
        return _schedule(key, value)
    _check_type(key, value, default)
    return value


def _check_type(key: str, value: Any, default: Any) -> None:
    """Refuse a value that is of another type than the default, or no number where one is wanted."""
    wanted: tuple[type, ...] | None = None
    if isinstance(default, bool):
        wanted, words = (bool,), "true or false"
    elif isinstance(default, int):
        wanted, words = (int,), "a whole number"
    elif isinstance(default, float):
        wanted, words = (int, float), "a number"
    elif isinstance(default, str):
        wanted, words = (int, float, str), f"a number or text like {default!r}"
    if wanted is None:
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise UsageError(f"settings.{key}: expected {words}, not {value!r}.")
    whole = isinstance(default, int) and not isinstance(default, bool)
    if whole and key not in _NOT_POSITIVE and isinstance(value, int) and value < 1:
        raise UsageError(f"settings.{key}: expected 1 or more, not {value}.")


def _schedule(key: str, value: Mapping[str, Any]) -> Callable[[float], float]:
    """Return a rate that falls in a straight line to 0 at the last step. Raises UsageError for another mapping."""
    first = value.get("linear")
    if set(value) != {"linear"} or isinstance(first, bool) or not isinstance(first, (int, float)):
        raise UsageError(f"settings.{key}: expected a number or {{linear: number}}, which falls to 0, not {dict(value)}.")
    return LinearSchedule(float(first), 0.0, 1.0)


def _noise(value: Any, environment: VecEnv) -> ActionNoise:
    """Return the noise of {normal: deviation} or {ornstein_uhlenbeck: deviation}; its scale is that of actions from -1 to 1."""
    named = list(value.items()) if isinstance(value, Mapping) else []
    kind, deviation = named[0] if len(named) == 1 else ("", None)
    if kind not in _NOISES or isinstance(deviation, bool) or not isinstance(deviation, (int, float)) or deviation < 0:
        raise UsageError(
            f"settings.action_noise: expected {{normal: deviation}} or {{ornstein_uhlenbeck: deviation}}, not {value!r}."
        )
    shape = environment.action_space.shape
    made: ActionNoise = _NOISES[kind](np.zeros(shape), np.full(shape, float(deviation)))
    return made


def policy_arguments(value: Any, where: str) -> dict[str, Any]:
    """Return arguments of a policy: activation_fn by its name in torch.nn, the rest as it is.

    where: of the message. Raises UsageError for classes, which a recipe can't hold, and unknown activations.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: expected a mapping, such as {{net_arch: [64, 64]}}, not {value!r}.")
    found = dict(value)
    for key in value:
        if key.endswith("_class"):
            raise UsageError(f"{where}.{key}: it is a class of Python, which a recipe can't hold; leave it out.")
    if "activation_fn" in found:
        name = found["activation_fn"]
        if name not in ACTIVATIONS:
            raise UsageError(f"{where}.activation_fn: {name!r} is none. {nearest(str(name), ACTIVATIONS)}")
        found["activation_fn"] = getattr(torch.nn, name)
    return found
