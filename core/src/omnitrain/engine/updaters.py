"""Training with several optimisers: each has a loss, parameters, a schedule and clipping of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Run
from omnitrain.engine.engine import Engine, Update, unwrap
from omnitrain.engine.guard import Guard
from omnitrain.engine.optimisers import Groups, make_optimiser, make_schedule, set_learning_rate
from omnitrain.engine.settings import UpdaterConfig
from omnitrain.errors import PluginError

READ_EVERY = 50  # updates after which a GPU is asked which of them it skipped


class Updater:
    """Minimises losses in some parameters and leaves all others alone, whatever networks the loss goes through.

    name: for messages and events. parameters: a network, several in an nn.ModuleList, or groups such as
    [{"params": [log_alpha]}]. steps: how many updates are planned, for a linear or cosine schedule, which is refused without.
    Updates that are not finite are skipped and told, see `Guard`.

        actor_updater = Updater("actor", run, engine, actor, config.actor, steps=config.updates)
        actor_updater.minimise(-critic(seen, actor(seen)).mean())  # the critic keeps neither gradient nor change
    """

    def __init__(
        self, name: str, run: Run, engine: Engine, parameters: nn.Module | Groups, config: UpdaterConfig, *, steps: int = 0
    ) -> None:
        if config.schedule.name in ("linear", "cosine") and steps < 1:
            raise ValueError(f"the updater {name} has a {config.schedule.name} schedule and needs steps: its planned updates")
        self.name, self._engine, self._config = name, engine, config
        self.optimiser = engine.prepare_optimiser(make_optimiser(config.optimiser, parameters, config.learning_rate))
        self.parameters: list[nn.Parameter] = [p for group in self.optimiser.param_groups for p in group["params"]]
        self._rate = make_schedule(config.schedule, config.learning_rate, steps)
        self._guard = Guard(run, config.skip_nonfinite, updater=name)
        self.step = 0

    def minimise(self, total: Tensor, weight: Tensor | float = 1.0) -> Update:
        """Make one update on the gradient of total / weight, float scalars.

        Raises PluginError for a total that is no scalar or reaches none of the parameters, NumericalError after too many
        updates in a row that were not finite.
        """
        if total.ndim or not total.requires_grad:
            what = f"of shape {list(total.shape)}" if total.ndim else "without a gradient"
            raise PluginError(f"The updater {self.name} was given a loss {what}; it must be a scalar that depends on them.")
        set_learning_rate(self.optimiser, self._rate(self.step + 1))
        self._engine.backward(total, self.parameters)
        if all(p.grad is None for p in self.parameters):
            raise PluginError(
                f"The loss of the updater {self.name} reaches none of its parameters, so that it would train nothing: compute "
                "it through its network, outside of torch.no_grad and frozen, or give the updater other parameters."
            )
        config, scale = self._config, 1.0 / weight
        update = self._engine.update(
            self.optimiser, scale, config.clip_norm, total.detach(), self.parameters, config.clip_value
        )
        self.step += 1
        self._guard.note(self.step, update.applied)
        if self.step % READ_EVERY == 0:
            self._guard.read()
        return update

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides how this updater goes on; the parameters are their networks' to save."""
        self._guard.read()
        return {"optimiser": self.optimiser.state_dict(), "step": self.step, "guard": self._guard.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        self._guard.load_state_dict(state["guard"])


class Target:
    """A copy of a network that follows it slowly: parameter <- (1 - rate) * parameter + rate * the network's.

    network: the network that is trained. rate: 1 copies it (a hard update). every: calls of `update` between two moves.
    Buffers of floating point, such as the statistics of a normalisation, follow like parameters; others are copied. The copy
    is in evaluation mode and takes no gradient.

        target = Target(critic, rate=0.005)
        with torch.no_grad():
            aim = reward + discount * target.network(following, actor(following))
        critic_updater.minimise((critic(seen, done) - aim).square().mean())
        target.update()
    """

    def __init__(self, network: nn.Module, rate: float = 0.005, every: int = 1) -> None:
        if not 0 < rate <= 1 or every < 1:
            raise ValueError(f"a target needs a rate in (0, 1] and every >= 1, not {rate} and {every}")
        self.rate, self.every, self.calls = rate, every, 0
        self._live = unwrap(network)
        self.network = copied(self._live)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the network, on every call or every few; call it once behind each update of the network."""
        self.calls += 1
        if self.calls % self.every:
            return
        moved, live = _tensors(self.network), _tensors(self._live)
        if [tensor.shape for tensor in moved] != [tensor.shape for tensor in live]:
            raise PluginError("A network was given other parameters or buffers after its target was made; make it anew.")
        smooth = [(own, its) for own, its in zip(moved, live, strict=True) if own.is_floating_point()]
        if smooth and self.rate < 1:
            torch._foreach_lerp_([own for own, _ in smooth], [its for _, its in smooth], self.rate)
        for own, its in zip(moved, live, strict=True):
            if self.rate == 1 or not own.is_floating_point():
                own.copy_(its)

    def state_dict(self) -> dict[str, Any]:
        """Return the copy's weights and where it stands between two moves."""
        return {"network": self.network.state_dict(), "calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.network.load_state_dict(state["network"])
        self.calls = int(state["calls"])


def copied(network: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode that takes no gradient."""
    made = copy.deepcopy(network).requires_grad_(False).eval()
    made.zero_grad(set_to_none=True)
    return made


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]
