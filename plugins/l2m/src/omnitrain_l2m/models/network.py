"""The network of the multi-domain decision transformer: all tokens of several steps as one sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import DataError
from omnitrain_l2m.models.gpt2 import DEVIATION, Conv1D, Encoder, Front
from omnitrain_l2m.paper.tokens import Tokeniser

UNUSED = ("predict_state", "predict_return", "predict_reward")


@dataclass(frozen=True)
class Shape:
    """Sizes of a model. states, dimensions: of the unified spaces. steps: rows of the embedding of time."""

    states: int
    dimensions: int
    width: int
    layers: int
    heads: int
    steps: int = 1000
    positions: int = 1024
    dropout: float = 0.1


class Mddt(nn.Module):
    """Logits of the bins of every action dimension.

    A step is the tokens s, R, a_1 .. a_A, r. All of them get the embedding of the step's number in its episode, then one norm.
    a_1 is predicted at R, a_(i+1) at a_i, by one head. Heads for state, return and reward are there and unused, as in the
    official weights.
    """

    def __init__(self, shape: Shape, tokeniser: Tokeniser) -> None:
        super().__init__()
        self.shape, self.tokeniser = shape, tokeniser
        width, padding = shape.width, tokeniser.bins + tokeniser.shift
        self.encoder = Encoder(width, shape.layers, shape.heads, shape.positions, shape.dropout)
        self.embed_timestep = nn.Embedding(shape.steps, width)
        self.embed_return, self.embed_rewards = nn.Linear(1, width), nn.Linear(1, width)
        self.embed_state = nn.Linear(shape.states, width)
        self.embed_action_disc = nn.Embedding(padding + 1, width, padding_idx=padding)
        self.embed_ln = nn.LayerNorm(width)
        self.action_net = nn.Sequential(nn.Linear(width, padding))
        self.predict_state, self.predict_return = nn.Linear(width, shape.states), nn.Linear(width, 1)
        self.predict_reward = nn.Linear(width, 1)
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)) and not name.startswith("encoder"):
                nn.init.normal_(module.weight, std=DEVIATION)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.embed_action_disc.weight[padding] = 0
        self.trainable()

    def trainable(self) -> None:
        """Let everything be trained but what no loss reaches: the unused heads, and `wte`."""
        self.requires_grad_(True)
        for unused in (self.encoder.wte, *(self.get_submodule(name) for name in UNUSED)):
            unused.requires_grad_(False)

    def tokens_of(self, actions: Tensor, real: Tensor) -> Tensor:
        """Return the tokens int64[batch, steps, dimensions]; those of padded steps are the padding token."""
        found = self.tokeniser.tokenise(actions)
        return found.masked_fill(~real[..., None], self.embed_action_disc.num_embeddings - 1)

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the tokens of steps float[batch, steps, dimensions + 3, width], behind the norm.

        batch: fields of `l2m/tasks`; rewards and returns to go as it scales them.
        """
        real = batch["attention_mask"].bool()
        parts = [
            self.embed_state(batch["observations"])[:, :, None],
            self.embed_return(batch["returns_to_go"][..., None])[:, :, None],
            self.embed_action_disc(self.tokens_of(batch["actions"], real)),
            self.embed_rewards(batch["rewards"][..., None])[:, :, None],
        ]
        time = self.embed_timestep(batch["timesteps"])[:, :, None]
        found: Tensor = self.embed_ln(torch.cat(parts, dim=2) + time)
        return found

    def encode(self, tokens: Tensor, real: Tensor, front: Front | None = None, layers: int | None = None) -> Tensor:
        """Return what the blocks make of tokens, in their shape [batch, steps, tokens, width]."""
        each = real.bool().repeat_interleave(tokens.shape[2], dim=1)
        return self.encoder(tokens.flatten(1, 2), each, front, layers).view(tokens.shape)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of bins float[batch, steps, dimensions, bins] from what `encode` returns."""
        # A part of a tensor is multiplied in another order where the weight is frozen; a whole one is not.
        found: Tensor = self.action_net(hidden[:, :, 1:-2].contiguous())
        return found

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the logits float[batch, steps, dimensions, bins]; those of padded steps mean nothing."""
        return self.logits(self.encode(self.embed(batch), batch["attention_mask"]))

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """Return what weight decay is for, the weights of linear maps, and the rest without it."""
        return decay_groups(self)


def decay_groups(model: nn.Module, scales: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Return optimiser groups: weights of linear maps with the optimiser's decay, all others without.

    scales: "lr_scale" of parameters whose name ends so.
    """
    decayed = decayed_names(model)
    found: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((s for end, s in (scales or {}).items() if name.endswith(end)), 1.0)
            found.setdefault((name in decayed, scale), []).append(parameter)
    return [
        {"params": parameters, "lr_scale": scale, **({} if decay else {"weight_decay": 0.0})}
        for (decay, scale), parameters in found.items()
    ]


def decayed_names(model: nn.Module) -> set[str]:
    """Return the names of the weights of linear maps."""
    maps = (nn.Linear, Conv1D)
    return {f"{name}.weight".lstrip(".") for name, module in model.named_modules() if isinstance(module, maps)}


def load_weights(model: Mddt, weights: Mapping[str, Tensor], where: str) -> None:
    """Take weights under the official names; heads that nothing uses may be missing.

    Raises DataError for names and shapes that do not fit.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in weights and not name.startswith(UNUSED)]
    beyond = [name for name in weights if name not in own]
    wrong = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if missing or beyond or wrong:
        told = [
            f"{kind} {', '.join(n[:3])}"
            for kind, n in (("lacks", missing), ("has besides", beyond), ("has other sizes of", wrong))
            if n
        ]
        raise DataError(f"{where} {'; '.join(told)}: expected the weights of a decision transformer of the model's sizes.")
    model.load_state_dict({**own, **weights})
