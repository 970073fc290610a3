"""Zip files of Stable-Baselines3: read without running anything, written so that its own `load` takes them.

Such a file keeps classes, spaces and schedules as pickles, which run code when they are read. Here only its weights are
read, as tensors, and what its JSON says in plain values; the pickles beside them are never touched.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from omnitrain.api import reading, shown
from omnitrain.api.stored import parse
from omnitrain.errors import DataError

MOST_TEXT = 64 * 2**20
MOST_WEIGHTS = 2**31
_SETTINGS, _WEIGHTS, _VERSION = "data", "policy.pth", "_stable_baselines3_version"
_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,100}")
_CLASS = re.compile(r"<class '([\w.]+)'>")
_ACTIVATION = "torch.nn.modules.activation."
_EXTRACTORS = ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
_ADDRESS = re.compile(rb" at 0x[0-9a-f]+")
_ADVICE = "expected what save() of Stable-Baselines3 writes"
# Fields that only one of the algorithms has; the first that fits names it.
_TOLD_BY = (
    ("PPO", {"n_epochs", "clip_range"}),
    ("A2C", {"n_steps", "gae_lambda", "rollout_buffer_class"}),
    ("SAC", {"target_entropy", "ent_coef"}),
    ("TD3", {"policy_delay", "target_policy_noise"}),
    ("DQN", {"exploration_fraction", "exploration_initial_eps"}),
)
_MODULES = ("common", "ppo", "a2c", "sac", "td3", "dqn")


@dataclass(frozen=True)
class SavedPolicy:
    """What a file tells without its pickles.

    algorithm: whose policy it is (TD3 for DDPG's too). version: of Stable-Baselines3. weights: the policy's state.
    settings: its policy_kwargs as plain JSON. use_sde: it explores by state dependent noise. normalised: it was trained on
    observations that VecNormalize changed by statistics which are not in the file.
    """

    algorithm: str
    version: str
    weights: dict[str, Tensor]
    settings: dict[str, Any]
    use_sde: bool
    normalised: bool

    @property
    def has_pictures(self) -> bool:
        """Whether its features come from the convolutions of a CnnPolicy."""
        return any("features_extractor.cnn." in name for name in self.weights)


def read_policy(path: Path) -> SavedPolicy:
    """Read a file that `save` of an algorithm wrote.

    Raises DataError for what is no such file, for members that it never has, for anything beside tensors among the weights,
    and for a policy whose own code is needed, naming it.
    """
    with reading(path, "a policy of Stable-Baselines3", f"Expected a zip file; {_ADVICE}."), zipfile.ZipFile(path) as archive:
        sizes = _checked_members(path, archive)
        for name in (_SETTINGS, _WEIGHTS):
            if name not in sizes:
                raise DataError(f"{path} has no {name!r}; {_ADVICE}.")
        fields = _fields(path, _member(path, archive, _SETTINGS, MOST_TEXT))
        weights = _weights(path, _member(path, archive, _WEIGHTS, MOST_WEIGHTS))
        version = _member(path, archive, _VERSION, 100).decode("ascii", "replace") if _VERSION in sizes else "unknown"
    return SavedPolicy(
        _algorithm(path, fields),
        shown(version),
        weights,
        _policy_settings(path, fields.get("policy_kwargs")),
        fields.get("use_sde") is True,
        "rollout_buffer_class" in fields and fields.get("_last_original_obs") is not None,
    )


def _checked_members(path: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    """Return size by name. Raises DataError for names of folders or twice the same, and for what grows when it is unpacked."""
    sizes: dict[str, int] = {}
    packed = path.stat().st_size
    for member in archive.infolist():
        name = shown(member.filename)
        if not _MEMBER.fullmatch(member.filename) or member.filename in sizes:
            raise DataError(f"{path} has the member {name!r}, which Stable-Baselines3 never writes; {_ADVICE}.")
        sizes[member.filename] = member.file_size
    if sum(sizes.values()) > max(100 * packed, 2**20):
        raise DataError(f"{path} unpacks to {sum(sizes.values())} bytes from {packed}, which Stable-Baselines3 never writes.")
    return sizes


def _member(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise DataError(f"{path}: {name} holds more than {most} bytes; a policy has less.")
    return content


def _fields(path: Path, content: bytes) -> dict[str, Any]:
    """Return the fields of the JSON. A pickled one is the mapping of what the file says of it in words."""
    try:
        value = parse(content.decode("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: {_SETTINGS} is no JSON ({error}); {_ADVICE}.") from error
    if not isinstance(value, Mapping):
        raise DataError(f"{path}: {_SETTINGS} is a {type(value).__name__}; {_ADVICE}.")
    return {
        key: {k: v for k, v in field.items() if k != ":serialized:"} if isinstance(field, Mapping) else field
        for key, field in value.items()
    }


def _weights(path: Path, content: bytes) -> dict[str, Tensor]:
    """Return tensors by name, read by torch's own reader that makes nothing else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            size = sum(member.file_size for member in inner.infolist())
        if size > len(content) + 2**16:
            raise DataError(f"{path}: {_WEIGHTS} unpacks to {size} bytes from {len(content)}, which torch never writes.")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise DataError(f"{path}: {_WEIGHTS} holds more than tensors, which is not read since it could run code.") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise DataError(f"{path}: {_WEIGHTS} is no mapping from names to tensors; {_ADVICE}.")
    return {str(name): value for name, value in state.items()}


def _algorithm(path: Path, fields: Mapping[str, Any]) -> str:
    """Return whose policy it is, told by the fields. Raises DataError for other algorithms and for policies with own code."""
    told = fields.get("policy_class")
    module = str(told.get("__module__", "")) if isinstance(told, Mapping) else ""
    if module and not any(module.startswith(f"stable_baselines3.{name}.") for name in _MODULES):
        raise DataError(
            f"{path}: its policy is a class of {shown(module)}, whose code is not in the file; policies of Stable-Baselines3 "
            "itself are read (PPO, A2C, SAC, TD3, DDPG, DQN)."
        )
    for name, keys in _TOLD_BY:
        if keys <= set(fields):
            return name
    raise DataError(f"{path}: its fields are of no algorithm that is known here (PPO, A2C, SAC, TD3, DDPG, DQN).")


def _policy_settings(path: Path, told: Any) -> dict[str, Any]:
    """Return policy_kwargs as plain JSON: what the file has as JSON, and classes of torch and its own by their names.

    Raises DataError for a value that only its pickle tells.
    """
    if not isinstance(told, Mapping):
        return {}
    pickled = ":type:" in told
    found = {}
    for key, value in told.items():
        if key in (":type:", "use_sde", "optimizer_class", "optimizer_kwargs"):
            continue  # what plays has no optimiser
        named = _CLASS.fullmatch(value) if isinstance(value, str) else None
        name = named[1] if named is not None else ""
        if name.startswith(_ACTIVATION) and name.count(".") == _ACTIVATION.count("."):
            found[key] = name.removeprefix(_ACTIVATION)
        elif named is None and not (pickled and isinstance(value, str)):
            found[key] = value
        elif not (name.startswith("stable_baselines3.common.torch_layers.") and name.rpartition(".")[2] in _EXTRACTORS):
            raise DataError(
                f"{path}: policy_kwargs.{key} is {shown(str(value))}, whose code is not in the file; only policies of "
                "Stable-Baselines3's own parts are read."
            )
    return found


def write_policy(algorithm: BaseAlgorithm, path: Path, policy_class: type[Any] | None = None) -> None:
    """Write what `load` of Stable-Baselines3 takes: the algorithm's settings, networks and optimisers, no replay.

    policy_class: is named in the file in place of the algorithm's own class. Times, the machine and addresses in memory are
    left out, so that equal policies give equal files.
    """
    content = io.BytesIO()
    own = algorithm.policy_class
    algorithm.policy_class = policy_class or own
    try:
        algorithm.save(content, exclude=_LEFT_OUT)
    finally:
        algorithm.policy_class = own
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            if member.filename != "system_info.txt":
                named = zipfile.ZipInfo(member.filename, (1980, 1, 1, 0, 0, 0))
                text = source.read(member)
                target.writestr(named, _ADDRESS.sub(b"", text) if member.filename == _SETTINGS else text)


_LEFT_OUT = (
    "start_time",
    "_last_obs",
    "_last_original_obs",
    "_last_episode_starts",
    "ep_info_buffer",
    "ep_success_buffer",
)
