"""A frozen backbone with experts (online and offline sets of one tuning method) and a head for each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnitrain.engine import write_json
from omnitrain.errors import EnvironmentFault
from omnitrain_lae.models.backbone import Backbone, repeated_from
from omnitrain_lae.paper.accumulation import Chain, accumulate
from omnitrain_tuning.blocks import Block, find_blocks, select_blocks
from omnitrain_tuning.methods import Attached, Pet, Queries

ONLINE = "online"
HEAD_DEVIATION = 0.001
WEIGHTS = "model.safetensors"
SHAPE = "experts.json"


class Learner(nn.Module):
    """What learns: features from a backbone under one expert or several, and one linear head a task.

    backbone: see `Backbone`; its weights are frozen here and, with `tune_backbone`, thawed. pet: the tuning method, or None.
    width: of the features; None to find it out from a first batch (`measure`).
    """

    def __init__(self, backbone: Backbone, pet: Pet | None, width: int | None = None, tune_backbone: bool = False) -> None:
        super().__init__()
        self.backbone, self.pet, self.width = backbone, pet, width
        self.model = backbone.model
        self.tune_backbone = tune_backbone
        self.model.requires_grad_(tune_backbone)
        trunk = backbone.trunk if backbone.trunk is not None else backbone.model
        # Taken before a method renames projections. A classifier that the model was pre-trained with is not part of it.
        self._weights: dict[str, Tensor] = dict(trunk.named_parameters()) | _persistent_buffers(trunk)
        self.heads = nn.ModuleList()
        self.experts = nn.ModuleDict()
        self.blocks: tuple[Block, ...] = ()
        self._attached: Attached | None = None
        self._used: tuple[str, ...] = ()
        self._listed: dict[str, list[Tensor]] = {}
        if pet is not None:
            self.all_blocks = find_blocks(trunk)
            self.blocks = select_blocks(self.all_blocks, pet.blocks)
            self._attached = pet.attach(trunk, self.blocks)
            self.experts[ONLINE] = self._attached.add(ONLINE)
            self.use(ONLINE)
        self.train(False)

    def train(self, mode: bool = True) -> Learner:
        """Only a backbone that is tuned is ever in training mode; a frozen one has no dropout and no drawn paths."""
        super().train(mode and self.tune_backbone)
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> Learner:
        self._listed.clear()  # a change of type or device makes other tensors
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def use(self, *experts: str) -> None:
        """Run with these experts: none for the bare backbone, several for one pass over as many copies of a batch."""
        if self._attached is not None and experts != self._used:
            self._attached.use(experts)
            self._used = experts

    @contextmanager
    def using(self, *experts: str) -> Iterator[None]:
        """Run a block with these experts, then with those of before."""
        before = self._used
        self.use(*experts)
        try:
            yield
        finally:
            self.use(*before)

    def detach(self) -> None:
        """Restore the backbone bitwise."""
        if self._attached is not None:
            self._attached.detach()
            self._attached = None

    def measure(self, batch: Mapping[str, Any]) -> int:
        """Find out the width of the features from a batch, and return it."""
        with torch.no_grad():
            self.width = self.features(batch).shape[-1]
        return self.width

    def features(self, batch: Mapping[str, Any]) -> Tensor:
        """Return features float[batch, width] under the expert in use."""
        if isinstance(self._attached, Queries) and self._used:
            return self._queried(batch)
        return self.backbone.features(batch)

    def _queried(self, batch: Mapping[str, Any]) -> Tensor:
        assert isinstance(self._attached, Queries)
        used = self._used
        with torch.no_grad(), self.using():
            query = self.backbone.features(batch)
        self._attached.query(query.repeat(len(used), 1))
        return self._attached.pool(self.backbone.output(batch).last_hidden_state)

    def auxiliary(self) -> Tensor | None:
        """Return the method's own loss of the last forward pass, where it has one."""
        return self._attached.auxiliary() if isinstance(self._attached, Queries) and self._used else None

    def expert_features(self, batch: Mapping[str, Any], experts: Sequence[str]) -> Tensor:
        """Return features float[experts, batch, width] of all experts in one pass.

        What lies before the first adapted block is computed once, the rest on one batch of all experts' parts.
        """
        if len(experts) < 2:
            with self.using(*experts):
                return self.features(batch)[None]
        first = self.all_blocks.index(self.blocks[0])
        with self.using(*experts), repeated_from([block.module for block in self.all_blocks[first:]], len(experts)):
            if isinstance(self._attached, Queries):
                stacked = self._queried_once(batch)
            else:
                stacked = self.backbone.features(batch)
        return torch.unflatten(stacked, 0, (len(experts), -1))

    def _queried_once(self, batch: Mapping[str, Any]) -> Tensor:
        assert isinstance(self._attached, Queries)
        with torch.no_grad(), self.using():
            query = self.backbone.features(batch)  # repeated already, since the blocks repeat what comes
        self._attached.query(query)
        return self._attached.pool(self.backbone.output(batch).last_hidden_state)

    def expert_logits(self, batch: Mapping[str, Any], experts: Sequence[str] | None = None) -> Tensor:
        """Return logits float[experts, batch, classes seen]; by default of all experts, the online one first."""
        names = self.expert_names() if experts is None else experts
        return self.logits(self.expert_features(batch, names))

    def logits(self, features: Tensor) -> Tensor:
        """Return logits over all classes seen so far, in the order of the tasks."""
        return torch.cat([head(features) for head in self.heads], dim=-1)

    def expert_names(self) -> list[str]:
        """Name the experts that exist, the online one first; the bare backbone is one expert too."""
        return list(self.experts) or [ONLINE]

    def offline_names(self) -> list[str]:
        """Name the offline experts that exist."""
        return [name for name in self.experts if name != ONLINE]

    def add_head(self, classes: int) -> nn.Linear:
        """Add the head of a new task: weights ~ N(0, 0.001^2) from the global generator, bias 0."""
        assert self.width is not None
        reference = next(iter(self._weights.values()))
        head = nn.Linear(self.width, classes, dtype=reference.dtype)
        nn.init.normal_(head.weight, std=HEAD_DEVIATION)
        nn.init.zeros_(head.bias)
        self.heads.append(head.to(reference.device))
        return head

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the backbone's trunk."""
        return [weight for weight in self._weights.values() if isinstance(weight, nn.Parameter)]

    def online_parameters(self) -> list[nn.Parameter]:
        """Return theta_on, in a fixed order."""
        return list(self.experts[ONLINE].parameters()) if ONLINE in self.experts else []

    def freeze_online(self, frozen: bool) -> None:
        """Set whether theta_on is trained; its gradients are dropped."""
        for parameter in self.online_parameters():
            parameter.requires_grad_(not frozen)
            parameter.grad = None

    def start_offline(self, count: int) -> None:
        """Make the offline experts: copies of the online one that never get a gradient."""
        for number in range(1, count + 1):
            self._add_offline(f"offline-{number}" if count > 1 else "offline")
        online = self._entries(ONLINE)
        for name in self.offline_names():
            torch._foreach_copy_(self._entries(name), online)

    def _add_offline(self, name: str) -> None:
        assert self._attached is not None
        made = self._attached.add(name)
        made.requires_grad_(False)
        reference = self.online_parameters()[0]
        self.experts[name] = made.to(reference.device, reference.dtype)
        used, self._used = self._used, ()
        self.use(*used)  # the method may have made the new expert the active one

    def accumulate(self, decay: float, chain: Chain) -> None:
        """Move the offline experts towards the online one, after an optimiser step."""
        accumulate([self._entries(name) for name in self.offline_names()], self._entries(ONLINE), decay, chain)

    def _entries(self, expert: str) -> list[Tensor]:
        """Return an expert's entries; they are changed in place only, so that they are looked up once."""
        if expert not in self._listed:
            self._listed[expert] = [parameter.detach() for parameter in self.experts[expert].parameters()]
        return self._listed[expert]

    def expert_state(self, expert: str) -> dict[str, Tensor]:
        """Return the entries of an expert by name, such as `0.down.weight` of its first block."""
        return {name: parameter.detach() for name, parameter in self.experts[expert].named_parameters()}

    @torch.no_grad()
    def load_expert(self, expert: str, state: Mapping[str, Tensor]) -> None:
        """Put the entries of an expert back. Raises EnvironmentFault where names or shapes differ."""
        own = self.expert_state(expert)
        _check_names(f"expert {expert}", own, state)
        for name, entry in own.items():
            entry.copy_(state[name])

    def state(self, backbone: bool) -> dict[str, Any]:
        """Return what a checkpoint keeps: every expert, the heads and, where asked for, the backbone's weights."""
        heads = {f"{i}.{name}": p.detach() for i, head in enumerate(self.heads) for name, p in head.named_parameters()}
        weights = {name: p.detach() for name, p in self._weights.items()} if backbone else {}
        return {
            "experts": {name: self.expert_state(name) for name in self.experts},
            "heads": heads,
            "backbone": weights,
        }

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put a checkpoint's entries back, with as many heads and offline experts as it has."""
        count = len({name.partition(".")[0] for name in state["heads"]})
        while len(self.heads) < count:
            self.add_head(len(state["heads"][f"{len(self.heads)}.bias"]))
        for name in state["experts"]:
            if name not in self.experts:
                self._add_offline(name)
            self.load_expert(name, state["experts"][name])
        for i, head in enumerate(self.heads):
            for name, parameter in head.named_parameters():
                parameter.copy_(state["heads"][f"{i}.{name}"])
        for name, weight in state["backbone"].items():
            self._weights[name].copy_(weight)

    def save(self, directory: Path) -> None:
        """Write backbone, experts and heads as safetensors, and which experts there are as JSON."""
        state = self.state(backbone=True)
        entries = {f"heads.{k}": v for k, v in state["heads"].items()} | {
            f"backbone.{k}": v for k, v in state["backbone"].items()
        }
        for expert, own in state["experts"].items():
            entries |= {f"experts.{expert}.{k}": v for k, v in own.items()}
        save_file({k: v.detach().clone().contiguous() for k, v in entries.items()}, directory / WEIGHTS)
        shape = {"experts": list(self.experts), "classes": [head.out_features for head in self.heads]}
        write_json(directory / SHAPE, shape)

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote. Raises OSError or EnvironmentFault where it does not fit."""
        entries = load_file(directory / WEIGHTS)
        parts: dict[str, dict[str, Any]] = {"heads": {}, "backbone": {}, "experts": {}}
        for name, tensor in entries.items():
            part, _, rest = name.partition(".")
            if part == "experts":
                expert, _, rest = rest.partition(".")
                parts["experts"].setdefault(expert, {})[rest] = tensor
            else:
                parts[part][rest] = tensor
        _check_names("backbone", self._weights, parts["backbone"])
        self.load_state(parts)


@torch.no_grad()
def set_means(heads: Sequence[nn.Linear], features: Tensor, labels: Tensor, first: int) -> None:
    """Make heads nearest-mean classifiers: weight mu, bias -|mu|^2 / 2 ranks classes by their distance to mu.

    features: float[examples, width]. labels: new labels int64[examples]. first: the lowest new label of the first head.
    """
    for head in heads:
        for place in range(head.out_features):
            mean = features[labels == first + place].mean(dim=0)
            head.weight[place].copy_(mean)
            head.bias[place].copy_(-mean.dot(mean) / 2)
        first += head.out_features


def _persistent_buffers(module: nn.Module) -> dict[str, Tensor]:
    stored = module.state_dict()
    return {name: buffer for name, buffer in module.named_buffers() if name in stored}


def _check_names(what: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    different = sorted(set(own) ^ set(given))
    if different:
        raise EnvironmentFault(f"The saved {what} does not fit: {different[0]!r} is on one side only.")
    wrong = next((name for name in own if own[name].shape != given[name].shape), None)
    if wrong is not None:
        shapes = f"{list(given[wrong].shape)} instead of {list(own[wrong].shape)}"
        raise EnvironmentFault(f"The saved {what} does not fit: {wrong!r} has shape {shapes}.")
