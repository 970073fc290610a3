"""Stage `vpt/reinforce`: phasic policy gradient with a leash to the pretrained policy, for the policy with a memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Run
from omnitrain.engine import Engine, Journal, OptimiserConfig, Streams, Updater, UpdaterConfig, evaluating
from omnitrain.errors import UsageError
from omnitrain_control.fleets import Fleet
from omnitrain_control.returns import generalised_advantages, normalised
from omnitrain_control.rollouts import Collector, Rollout
from omnitrain_vpt.configs.stages import ReinforceConfig
from omnitrain_vpt.models.acting import PolicyActor
from omnitrain_vpt.models.network.blocks import State
from omnitrain_vpt.models.network.heads import LogProbs, entropy, kl_divergence, log_prob
from omnitrain_vpt.models.network.policy import MinecraftPolicy, Output
from omnitrain_vpt.paper.phasic import leash, policy_loss, sleep_loss
from omnitrain_vpt.world.environments import make_fleet, reward_table

Chunk = dict[str, Tensor]
"""One environment's chunk, without a batch dimension: frames, first, actions, old log-probability, advantage, target, and
the memories (policy_*, pretrained_*) that the two policies had at its beginning."""


def state_rows(state: State, prefix: str, row: int) -> dict[str, Tensor]:
    """Return one row of a memory under names with a prefix."""
    return {
        f"{prefix}_mask": state["mask"][row].clone(),
        f"{prefix}_keys": state["keys"][:, row].clone(),
        f"{prefix}_values": state["values"][:, row].clone(),
    }


def state_of(batch: Mapping[str, Tensor], prefix: str) -> State:
    """Return the memory of a batch of chunks."""
    keys, values = (batch[f"{prefix}_{name}"].transpose(0, 1) for name in ("keys", "values"))
    return {"mask": batch[f"{prefix}_mask"], "keys": keys, "values": values}


@dataclass(frozen=True)
class WakeTerms:
    """Means over the steps of one update."""

    policy: Tensor
    value: Tensor
    leash: Tensor
    clip_fraction: Tensor
    approximate_kl: Tensor
    entropy: Tensor


_TERMS = [term.name for term in fields(WakeTerms)]


class Phasic:
    """The learner: wakes (PPO with the leash) and sleeps (value distilled into the trunk, policy held)."""

    def __init__(self, policy: MinecraftPolicy, config: ReinforceConfig, engine: Engine, run: Run) -> None:
        self.policy, self.config, self.engine = policy, config, engine
        self.pretrained = copy.deepcopy(policy).requires_grad_(False).eval()
        if not config.keep_value_head:
            policy.value_head.reset()
        policy.value_head.linear.requires_grad_(True)
        settings = UpdaterConfig(
            learning_rate=config.learning_rate,
            optimiser=OptimiserConfig(name="adamw", weight_decay=config.weight_decay),
            clip_norm=config.clip_norm,
            skip_nonfinite=config.skip_nonfinite,
        )
        self.updater = Updater("policy", run, engine, policy, settings)

    def forward(
        self, policy: MinecraftPolicy, batch: Mapping[str, Tensor], prefix: str, value_into_trunk: bool = True
    ) -> Output:
        """Run a policy over chunks from the memory that it had at their beginning."""
        state = state_of(batch, prefix)
        output: Output = policy(batch["frames"], batch["first"], state, value_into_trunk=value_into_trunk)
        return output

    def _pretrained(self, batch: Mapping[str, Tensor]) -> LogProbs:
        with torch.no_grad():
            return self.forward(self.pretrained, batch, "pretrained").log_probs

    def wake(self, batch: Mapping[str, Tensor], rho: float) -> WakeTerms:
        """Update on a batch of chunks. rho: weight of KL(pretrained || policy)."""
        config = self.config
        output = self.forward(self.policy, batch, "policy", config.wake_value == "trunk")
        chosen, spread = log_prob(output.log_probs, actions_of(batch)), entropy(output.log_probs)
        loss = policy_loss(chosen, batch["log_prob"], batch["advantage"], spread, config.clip, config.entropy_coefficient)
        value = config.value_coefficient * self.policy.value_head.loss(output.value, batch["target"][..., None]).mean()
        distance = torch.zeros((), device=chosen.device)
        if rho:
            distance = kl_divergence(self._pretrained(batch), output.log_probs).mean()
        self.updater.minimise(loss.total + value + rho * distance)
        return WakeTerms(
            loss.policy_gradient.detach(), value.detach(), distance.detach(), loss.clip_fraction,
            loss.approximate_kl.detach(), spread.mean().detach(),
        )  # fmt: skip

    def sleep(self, batch: Mapping[str, Tensor], before: MinecraftPolicy) -> tuple[Tensor, Tensor]:
        """Update on a batch of chunks; return (KL(before || policy), value loss)."""
        with torch.no_grad():
            old = self.forward(before, batch, "policy").log_probs
        output = self.forward(self.policy, batch, "policy")
        normaliser = self.policy.value_head.normalizer
        normaliser.update(batch["target"][..., None])
        targets = normaliser.normalise(batch["target"][..., None])
        distance = kl_divergence(old, output.log_probs)
        loss = sleep_loss(distance, output.value, targets, kl_coefficient=self.config.sleep_kl)
        self.updater.minimise(loss.total)
        return loss.distance.detach(), loss.auxiliary_value.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return weights and optimiser; the pretrained policy comes from its stage."""
        return {"policy": self.policy.state_dict(), "updater": self.updater.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.policy.load_state_dict(state["policy"])
        self.updater.load_state_dict(state["updater"])


def actions_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the actions of chunks by head."""
    return {"buttons": batch["buttons"][..., None], "camera": batch["camera"][..., None]}


def chunks_of(
    rollouts: Sequence[Rollout], policy_states: Sequence[State], pretrained_states: Sequence[State], bootstrap: Any,
    config: ReinforceConfig,
) -> list[Chunk]:  # fmt: skip
    """Cut what was played into chunks with advantages and value targets.

    rollouts: one behind the other, of all environments; states: at their beginnings. bootstrap: values float[n] of what comes
    next. Advantages are normalised over all chunks.
    """
    rewards = np.concatenate([r.rewards for r in rollouts], 1)
    values = np.concatenate([*(r.kept["value"] for r in rollouts), np.asarray(bootstrap)[:, None]], 1)
    first = np.concatenate([rollouts[0].first, *(r.first[:, 1:] for r in rollouts[1:])], 1)
    advantages, targets = generalised_advantages(rewards, values, first, config.gamma, config.lam)
    advantages = normalised(advantages)
    chunks = []
    for number, rollout in enumerate(rollouts):
        part = slice(number * config.steps, (number + 1) * config.steps)
        for row in range(len(rewards)):
            chunk = {
                "frames": torch.from_numpy(rollout.observations[row]),
                "first": torch.from_numpy(rollout.first[row, :-1]),
                "buttons": torch.from_numpy(rollout.kept["joint_buttons"][row]),
                "camera": torch.from_numpy(rollout.kept["joint_camera"][row]),
                "log_prob": torch.from_numpy(rollout.kept["log_prob"][row]).float(),
                "advantage": torch.from_numpy(advantages[row, part]).float(),
                "target": torch.from_numpy(targets[row, part]).float(),
            }
            states = {**state_rows(policy_states[number], "policy", row)}
            states.update(state_rows(pretrained_states[number], "pretrained", row))
            chunks.append({**chunk, **{name: value.cpu() for name, value in states.items()}})
    return chunks


class Reinforcement:
    """The loop of the stage, with everything that it needs to go on exactly."""

    def __init__(self, config: ReinforceConfig, run: Run, phasic: Phasic, fleet: Fleet) -> None:
        self.config, self.run, self.phasic, self.fleet = config, run, phasic, fleet
        self.device = phasic.engine.device
        self.generator = torch.Generator().manual_seed(run.seed("actions"))
        self.order = Streams(run.seed)
        self.collector = Collector(fleet)
        self.actor = PolicyActor(phasic.policy, fleet.count, self.generator, keep=True)
        self.pretrained_state = phasic.pretrained.initial_state(fleet.count)
        self.awake: list[Chunk] = []

    def play(self) -> tuple[list[Chunk], list[dict[str, Any]]]:
        """Play an iteration's chunks; return them and the episodes that ended."""
        rollouts, policy_states, pretrained_states, finished = [], [], [], []
        for _ in range(self.config.chunks):
            policy_states.append(dict(self.actor.state))
            pretrained_states.append(dict(self.pretrained_state))
            rollout = self.collector.collect(self.actor, self.config.steps)
            self._follow(rollout)
            rollouts.append(rollout)
            finished += rollout.finished
        bootstrap = self.actor.value_of(self.collector.observations, self.collector.first)
        return chunks_of(rollouts, policy_states, pretrained_states, bootstrap, self.config), finished

    @torch.no_grad()
    def _follow(self, rollout: Rollout) -> None:
        """Let the pretrained policy see what was played, so that its memory is its own. Without a leash it need not."""
        if self.config.leash:
            frames = torch.from_numpy(rollout.observations).to(self.device)
            first = torch.from_numpy(rollout.first[:, :-1].copy()).to(self.device)
            _, self.pretrained_state = self.phasic.pretrained.features(frames, first, self.pretrained_state)

    def batches(self, chunks: Sequence[Chunk], epochs: int) -> Iterator[dict[str, Tensor]]:
        """Yield shuffled batches of chunks on the device."""
        for _ in range(epochs):
            order = self.order["batches"].permutation(len(chunks))
            for begin in range(0, len(order), self.config.batch_chunks):
                rows = [chunks[i] for i in order[begin : begin + self.config.batch_chunks]]
                yield {name: torch.stack([r[name] for r in rows]).to(self.device) for name in rows[0]}

    def iteration(self, number: int) -> dict[str, float]:
        """Play, wake and, when it is time to, sleep; return what is logged."""
        config = self.config
        with evaluating(self.phasic.policy):
            chunks, finished = self.play()
        rho = leash(config.leash, config.leash_decay, number)
        terms = [self.phasic.wake(batch, rho) for batch in self.batches(chunks, config.wake_epochs)]
        values = {name: float(torch.stack([getattr(t, name) for t in terms]).mean()) for name in _TERMS}
        values = {"rho": rho, "environment_steps": (number + 1.0) * len(chunks) * config.steps, **values}
        if config.sleep_every:
            self.awake += chunks
            if (number + 1) % config.sleep_every == 0:
                values.update(self._sleep())
        values["value_target"] = float(torch.stack([chunk["target"].mean() for chunk in chunks]).mean())
        if finished:
            values["episode_reward"] = float(np.mean([e["return"] for e in finished]))
            values["episodes"] = float(len(finished))
        return values

    def _sleep(self) -> dict[str, float]:
        before = copy.deepcopy(self.phasic.policy).requires_grad_(False)
        batches = self.batches(self.awake, self.config.sleep_epochs)
        found = [self.phasic.sleep(batch, before) for batch in batches]
        self.awake = []
        distance, value = (float(torch.stack(part).mean()) for part in zip(*found, strict=True))
        return {"sleep_kl": distance, "sleep_value": value}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how the loop goes on."""
        return {
            "phasic": self.phasic.state_dict(),
            "collector": self.collector.state_dict(),
            "memory": {"policy": dict(self.actor.state), "pretrained": dict(self.pretrained_state)},
            "streams": {"order": self.order.state_dict(), "actions": self.generator.get_state()},
            "awake": {str(number): chunk for number, chunk in enumerate(self.awake)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.phasic.load_state_dict(state["phasic"])
        self.collector.load_state_dict(state["collector"])
        memory = state["memory"]
        self.actor.state = {name: value.to(self.device) for name, value in memory["policy"].items()}
        self.pretrained_state = {name: value.to(self.device) for name, value in memory["pretrained"].items()}
        self.order.load_state_dict(state["streams"]["order"])
        self.generator.set_state(state["streams"]["actions"].cpu())
        self.awake = [state["awake"][str(number)] for number in range(len(state["awake"]))]


def reinforce(config: ReinforceConfig, run: Run) -> None:
    """Fine-tune; the artifact "model" is a vpt/policy.

    Raises UsageError for another model, NumericalError for a policy that diverges, Stopped after saving when asked to stop.
    """
    policy = run.build(config.model)
    if not isinstance(policy, MinecraftPolicy):
        raise UsageError(f"vpt/reinforce needs a vpt/policy, not {type(policy).__name__}.")
    engine = Engine("float32", config.device)
    policy.to(engine.device)
    phasic = Phasic(policy, config, engine, run)
    size = policy.architecture.image[0]
    table = reward_table(config.reward)
    seed = run.seed("environments")
    fleet = make_fleet(config.world, run.workspace, config.environments, seed, config.processes, size, table)
    with fleet, run.progress("iterations", config.iterations) as bar:
        loop = Reinforcement(config, run, phasic, fleet)
        journal = Journal(run, loop.state_dict, loop.load_state_dict, config.checkpoint_every)
        begin = journal.resume()
        for number in range(begin, config.iterations):
            values = loop.iteration(number)
            run.log(number + 1, values)
            journal.after(number + 1, config.iterations)
            bar.advance(reward=values.get("episode_reward", float("nan")))
    policy.value_head.requires_grad_(False)
    run.save_model(policy, config.model, data=run.model_data(config.model), facts={"image_size": size})
