"""The kwargs of the official networks, checked; and the named sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from omnitrain.errors import DataError
from omnitrain_vpt.models.network.attention import MaskStyle

CNN_OUTPUTS = 256


@dataclass(frozen=True)
class Conv3d:
    """The convolution over time in front of the IDM's CNN. kernel, padding: (time, height, width)."""

    inputs: int = 3
    outputs: int = 128
    kernel: tuple[int, int, int] = (5, 1, 1)
    padding: tuple[int, int, int] = (2, 0, 0)


@dataclass(frozen=True)
class Architecture:
    """What decides the shapes of a network. Names as in the paper; `from_kwargs` takes the official ones.

    image: (height, width, channels that the CNN reads). maxlen: steps of memory. head_gain: norm of the first weights of each
    output of the action heads.
    """

    image: tuple[int, int, int] = (128, 128, 3)
    channels: tuple[int, ...] = (64, 128, 128)
    hidsize: int = 1024
    heads: int = 8
    blocks: int = 4
    ratio: int = 4
    memory_size: int = 256
    timesteps: int = 128
    mask: MaskStyle = "clipped_causal"
    pre_norm: bool = False
    conv3d: Conv3d | None = None
    pool_groups: int = 1
    head_gain: float = 0.01

    @property
    def maxlen(self) -> int:
        """Steps of memory: keys and values of so many are kept; a step sees at most so many, itself included."""
        return self.memory_size - self.timesteps

    def __post_init__(self) -> None:
        problems = []
        if self.hidsize % self.heads:
            problems.append(f"hidsize {self.hidsize} is not a multiple of {self.heads} heads")
        if self.maxlen < 0:
            problems.append(f"attention_memory_size {self.memory_size} is below timesteps {self.timesteps}")
        if self.mask not in get_args(MaskStyle):
            problems.append(f"attention_mask_style {self.mask!r} is not one of {', '.join(get_args(MaskStyle))}")
        if min(self.hidsize, self.heads, self.blocks, *self.channels, *self.image) < 1:
            problems.append("sizes must be at least 1")
        if problems:
            raise DataError(f"These network settings can't be built: {'; '.join(problems)}.")

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any]) -> Architecture:
        """Read official kwargs.

        Raises DataError for kwargs that are missing, of another type, or ask for what the official models never use.
        """
        required = {
            "recurrence_type": "transformer",
            "use_pointwise_layer": True,
            "pointwise_use_activation": False,
            "recurrence_is_residual": True,
            "diff_mlp_embedding": False,
        }
        for name, value in required.items():
            if kwargs.get(name, value) != value:
                raise DataError(f"The model asks for {name}={kwargs[name]!r}; only {value!r} is supported.")
        try:
            width = int(kwargs["impala_width"])
            conv3d = kwargs.get("conv3d_params")
            return cls(
                image=_three(kwargs["img_shape"]),
                channels=tuple(int(width * c) for c in kwargs["impala_chans"]),
                hidsize=int(kwargs["hidsize"]),
                heads=int(kwargs["attention_heads"]),
                blocks=int(kwargs["n_recurrence_layers"]),
                ratio=int(kwargs["pointwise_ratio"]),
                memory_size=int(kwargs["attention_memory_size"]),
                timesteps=int(kwargs["timesteps"]),
                mask=kwargs["attention_mask_style"],
                pre_norm=bool(kwargs.get("use_pre_lstm_ln", True)),
                conv3d=None if not conv3d else _conv3d(conv3d),
                pool_groups=int((kwargs.get("impala_kwargs") or {}).get("post_pool_groups", 1)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"The kwargs of a network are incomplete or of another type: {error!r}.") from error


def _three(values: Any) -> tuple[int, int, int]:
    first, second, third = (int(v) for v in values)
    return first, second, third


def _conv3d(kwargs: Mapping[str, Any]) -> Conv3d:
    return Conv3d(int(kwargs["inchan"]), int(kwargs["outchan"]), _three(kwargs["kernel_size"]), _three(kwargs["padding"]))


def _impala(width: float) -> tuple[int, ...]:
    return tuple(max(1, int(width * c)) for c in (16, 32, 32))


# With the official gain the small networks rest at the frequencies of the keys for a thousand updates, some for good.
_SMALL = Architecture(
    image=(64, 64, 3), channels=_impala(0.5), hidsize=128, heads=4, blocks=2, memory_size=128, timesteps=64, head_gain=1.0
)
POLICIES: Mapping[str, Architecture] = {
    "tiny": replace(
        _SMALL, image=(32, 32, 3), channels=_impala(0.25), hidsize=32, heads=2, blocks=1, memory_size=16, timesteps=8
    ),
    # Two stacks, not three: they leave one position for each cell of 4 pixels. A third would mix every cell with its
    # neighbours, and the inverse dynamics model would have to unmix them before it sees who moved.
    "mini": replace(_SMALL, image=(36, 36, 3), channels=(8, 32), hidsize=96, heads=3, memory_size=64, timesteps=32),
    "small": _SMALL,
    "1x": Architecture(),
    "2x": Architecture(channels=_impala(8), hidsize=2048, heads=16),
    "3x": Architecture(channels=_impala(12), hidsize=3072, heads=24),
}
"""The policies: 71.0 M, 248.5 M and 532.5 M parameters, and small ones of ours."""


def _idm(base: Architecture, filters: int, window: int) -> Architecture:
    return replace(
        base,
        image=(*base.image[:2], filters),
        conv3d=Conv3d(outputs=filters),
        mask="none",
        memory_size=window,
        timesteps=window,
    )


IDMS: Mapping[str, Architecture] = {
    "tiny": _idm(POLICIES["tiny"], 8, 16),
    "mini": _idm(POLICIES["mini"], 16, 16),
    "small": _idm(_SMALL, 32, 64),
    "4x": _idm(Architecture(channels=_impala(16), hidsize=4096, heads=32, blocks=2), 128, 128),
}
"""The inverse dynamics models; "4x" is the released one as far as its kwargs are known (the card trusts a .model file)."""
