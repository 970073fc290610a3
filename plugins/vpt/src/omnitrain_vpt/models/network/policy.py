"""The policy and the inverse dynamics model (sections 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain_vpt.models.network.architecture import CNN_OUTPUTS, Architecture, Conv3d
from omnitrain_vpt.models.network.attention import Memory, band_mask
from omnitrain_vpt.models.network.blocks import Recurrent, State
from omnitrain_vpt.models.network.heads import ActionHeads, LogProbs, ValueHead
from omnitrain_vpt.models.network.layers import ImageProcess, ImpalaCNN, NormLayer, dense
from omnitrain_vpt.paper.actions import CAMERA_BINS, JOINT_BUTTONS, JOINT_CAMERAS
from omnitrain_vpt.paper.minecraft import BUTTONS

JOINT_HEADS: Mapping[str, tuple[int, int]] = {"camera": (1, JOINT_CAMERAS), "buttons": (1, JOINT_BUTTONS)}
FACTORED_HEADS: Mapping[str, tuple[int, int]] = {"buttons": (len(BUTTONS), 2), "camera": (2, CAMERA_BINS)}


class Output(NamedTuple):
    """What a policy gives: log-probabilities by head [batch, steps, choices, classes], normalised value [batch, steps, 1],
    the state after the chunk."""

    log_probs: LogProbs
    value: Tensor
    state: State


class Trunk(nn.Module):
    """Frames to features: CNN frame by frame, dense, blocks over time, ReLU, last layer, norm."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        cnn = ImpalaCNN(a.image, a.channels, CNN_OUTPUTS, a.conv3d is not None, a.pool_groups)
        self.img_process = ImageProcess(cnn, CNN_OUTPUTS, a.hidsize)
        if a.pre_norm:
            self.pre_lstm_ln = nn.LayerNorm(a.hidsize)
        self.pre_norm = a.pre_norm
        self.recurrent_layer = Recurrent(a.blocks, a.hidsize, a.heads, a.maxlen, a.ratio, a.mask)
        self.lastlayer = dense(a.hidsize, a.hidsize)
        self.final_ln = nn.LayerNorm(a.hidsize)

    def encode(self, frames: Tensor) -> Tensor:
        """Return float[batch, steps, hidsize] of frames float[batch, steps, channels, height, width]."""
        batch, steps = frames.shape[:2]
        x: Tensor = self.img_process(frames.flatten(0, 1)).unflatten(0, (batch, steps))
        return self.pre_lstm_ln(x) if self.pre_norm else x

    def unit(self, img: Tensor) -> Tensor:
        """Return pictures uint8[batch, steps, height, width, 3] as float[batch, steps, 3, height, width] in 0..1."""
        dtype = self.final_ln.weight.dtype
        return img.to(dtype).permute(0, 1, 4, 2, 3) / 255.0


class MinecraftPolicy(nn.Module):
    """The causal policy with a memory. heads: name to (choices, classes); temperature divides the logits."""

    def __init__(
        self,
        architecture: Architecture,
        temperature: float = 2.0,
        heads: Mapping[str, tuple[int, int]] = JOINT_HEADS,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.net = Trunk(architecture)
        self.value_head = ValueHead(architecture.hidsize)
        self.pi_head = ActionHeads(architecture.hidsize, heads, temperature, architecture.head_gain)
        # Cloning does not train the value; reinforcement begins it anew.
        self.value_head.requires_grad_(False)

    def initial_state(self, batch: int) -> State:
        """Return an empty memory."""
        return self.net.recurrent_layer.initial_state(batch)

    def features(self, img: Tensor, first: Tensor, state: State) -> tuple[Tensor, State]:
        """Return what the heads read, float[batch, steps, hidsize], and the next state."""
        x = self.net.encode(self.net.unit(img))
        x, state = self.net.recurrent_layer(x, first, state)
        return self.net.final_ln(self.net.lastlayer(F.relu(x))), state

    def forward(
        self,
        img: Tensor,
        first: Tensor,
        state: State,
        masks: Mapping[str, Tensor] | None = None,
        value_into_trunk: bool = True,
    ) -> Output:
        """Run a chunk.

        img: uint8[batch, steps, height, width, 3], RGB. first: bool[batch], the row forgets its memory before the chunk.
        value_into_trunk: let the value's gradient go beyond its head.
        """
        x, state = self.features(img, first, state)
        value = self.value_head(x if value_into_trunk else x.detach())
        return Output(self.pi_head(x, masks), value, state)


class InverseDynamics(nn.Module):
    """The IDM: a convolution over time, then the trunk without a mask, then factored heads.

    use_lastlayer: let the dense layer before the heads take part. The official forward computes it and throws its result
    away, and released weights are made for that. causal: see only the past, for comparison (claim C1).
    """

    def __init__(
        self,
        architecture: Architecture,
        use_lastlayer: bool = False,
        causal: bool = False,
        heads: Mapping[str, tuple[int, int]] = FACTORED_HEADS,
    ) -> None:
        super().__init__()
        self.architecture, self.use_lastlayer, self.causal = architecture, use_lastlayer, causal
        self.net = Trunk(architecture)
        if not use_lastlayer:
            self.net.lastlayer.requires_grad_(False)
        if architecture.conv3d is not None:
            self.net.conv3d_layer = _conv3d_layer(architecture.conv3d)
        self.pi_head = ActionHeads(architecture.hidsize, heads, 1.0, architecture.head_gain)

    def _convolved(self, x: Tensor) -> Tensor:
        out: Tensor = self.net.conv3d_layer(x)  # type: ignore[operator]
        return out.transpose(1, 2)

    def _over_time(self, frames: Tensor) -> Tensor:
        conv3d = self.architecture.conv3d
        if conv3d is None:
            return frames
        x = frames.transpose(1, 2)
        if not self.causal:
            return self._convolved(x)
        # All frames that the kernel covers lie in the past: the padding of both sides goes in front, the rest is cut off.
        ahead = conv3d.padding[0]
        shifted = F.pad(x, (0, 0, 0, 0, ahead, 0))
        return self._convolved(shifted)[:, : x.shape[2]]

    def forward(self, img: Tensor) -> LogProbs:
        """Return log-probabilities by head, [batch, steps, choices, 2 or 11], of windows uint8[batch, steps, h, w, 3]."""
        x = self.net.encode(self._over_time(self.net.unit(img)))
        batch = len(x)
        state = self.net.recurrent_layer.initial_state(batch)
        if self.causal:
            x = self._causal_blocks(x)
        else:
            x, _ = self.net.recurrent_layer(x, torch.zeros(batch, dtype=torch.bool, device=x.device), state)
        x = F.relu(x)
        if self.use_lastlayer:
            x = self.net.lastlayer(x)
        found: LogProbs = self.pi_head(self.net.final_ln(x))
        return found

    def _causal_blocks(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        mask = band_mask(steps, steps, None, x.device).expand(batch, -1, -1)
        for block in self.net.recurrent_layer.blocks:
            empty = x.new_zeros(batch, 0, width)
            x, _ = block(x, mask, Memory(empty, empty))
        return x


def _conv3d_layer(conv3d: Conv3d) -> NormLayer:
    layer = nn.Conv3d(conv3d.inputs, conv3d.outputs, conv3d.kernel, padding=conv3d.padding)
    return NormLayer(layer, None)
