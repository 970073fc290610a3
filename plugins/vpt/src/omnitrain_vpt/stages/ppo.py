"""Stage `vpt/ppo`: the baseline, Stable-Baselines3's PPO with a memoryless CNN policy and the leash."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from safetensors.torch import save_file
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from torch import Tensor, nn

from omnitrain.api import Batch, BatchPlan, Evaluation, Loss, Run, mean_metric
from omnitrain.engine import FitSettings, Journal, OptimiserConfig, Parts, choose_device, make_feed, train
from omnitrain.errors import UsageError
from omnitrain_control.fleets import Fleet
from omnitrain_control.sb3.guarding import guard_outputs
from omnitrain_control.sb3.settings import made_algorithm
from omnitrain_control.sb3.training import OnPolicyTraining
from omnitrain_control.sb3.vecenv import FleetVecEnv
from omnitrain_vpt.configs.stages import PpoConfig
from omnitrain_vpt.data.recordings import WindowedRecordings
from omnitrain_vpt.models.acting import environment_actions
from omnitrain_vpt.objectives import WINDOW_NEEDS
from omnitrain_vpt.paper.actions import JOINT_BUTTONS, JOINT_CAMERAS, NULL_BUTTONS, NULL_CAMERA, to_joint
from omnitrain_vpt.paper.phasic import leash
from omnitrain_vpt.world.environments import make_fleet, reward_table

FEATURES = 128


class LeashedPolicy(ActorCriticCnnPolicy):
    """A CNN policy whose "entropy" is -KL(cloned || policy).

    PPO adds ent_coef times minus the mean entropy to its loss; with ent_coef = rho that is rho KL, and the whole of its
    training stays as it is. Before `begin_leash` the entropy is the ordinary one.
    """

    cloned: ActorCriticCnnPolicy | None = None

    def begin_leash(self) -> None:
        """Hold on to the policy as it is now."""
        self.action_dist.distribution = []  # the last batch's, which can't be copied
        cloned = copy.deepcopy(self).requires_grad_(False)
        # Kept out of the module's parameters, since it is not trained.
        self.__dict__["cloned"] = cloned.train(False)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values, log-probabilities, and minus the divergence per step."""
        values, log_probs, entropy = super().evaluate_actions(obs, actions)
        cloned = self.__dict__.get("cloned")
        if cloned is None:
            return values, log_probs, entropy
        with torch.no_grad():
            before: Any = cloned.get_distribution(obs).distribution
        now: Any = self.get_distribution(obs).distribution
        divergence = torch.stack([torch.distributions.kl_divergence(b, n) for b, n in zip(before, now, strict=True)])
        return values, log_probs, -divergence.sum(0)


class ActiveCloning:
    """-log pi(a) of the actions that are not null, for a policy without a memory; the weight is their number."""

    needs = WINDOW_NEEDS

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss of the windows' frames, each by itself."""
        assert isinstance(model, LeashedPolicy)
        buttons, camera = to_joint(batch["buttons"].cpu().numpy(), batch["camera"].cpu().numpy())
        active = torch.from_numpy((buttons != NULL_BUTTONS) | (camera != NULL_CAMERA)).to(model.device)
        weights = (active * batch["loss_weights"]).flatten()
        actions = torch.from_numpy(np.stack([buttons, camera], -1)).to(model.device)
        frames = batch["frames"].flatten(0, 1).permute(0, 3, 1, 2)
        log_probs = model.get_distribution(frames).log_prob(actions.flatten(0, 1))
        return Loss(-(log_probs * weights).sum(), weights.sum())


def _act(chosen: Any) -> Any:
    """Return a fleet's actions for joint indices of buttons and camera, int[n, 2]."""
    return environment_actions(chosen[:, 0], chosen[:, 1])


class Baseline:
    """PPO, its cloning before, and what it needs to go on exactly."""

    def __init__(self, config: PpoConfig, run: Run, fleet: Fleet) -> None:
        self.config, self.run = config, run
        space = gymnasium.spaces.MultiDiscrete([JOINT_BUTTONS, JOINT_CAMERAS])
        # Cut episodes count as ended ones, as in the method's own rollouts (omnitrain_control.returns).
        self.environment = FleetVecEnv(fleet, fleet.observation_space, space, lambda frames: frames, _act, bootstrap=False)
        settings = {
            "learning_rate": config.learning_rate,
            "n_steps": config.steps,
            "batch_size": config.batch_size,
            "n_epochs": config.epochs,
            "gamma": 0.999,
            "gae_lambda": 0.95,
            "clip_range": 0.2,
            "ent_coef": 0.0,
            "policy_kwargs": {"features_extractor_kwargs": {"features_dim": FEATURES}},
        }
        device = str(choose_device("auto"))
        made = made_algorithm("PPO", LeashedPolicy, self.environment, settings, run.seed("ppo"), device)
        self.ppo = cast("PPO", made)
        self.policy: LeashedPolicy = self.ppo.policy  # type: ignore[assignment]
        guard_outputs(self.policy.action_net, "vpt/ppo", "lower cloning_rate or learning_rate")
        total = config.iterations * config.steps * config.environments
        self.training = OnPolicyTraining(self.ppo, self.environment, run, total, config.skip_nonfinite)

    def clone(self, data: Any) -> None:
        """Clone the recordings without null actions, then hold on to the result."""
        config, plan = self.config, BatchPlan(self.config.cloning_batch, self.run.seed("cloning"))
        settings = FitSettings(
            steps=config.cloning_steps,
            batch_size=config.cloning_batch,
            learning_rate=config.cloning_rate,
            optimiser=OptimiserConfig(name="adam"),
            clip_norm=5.0,
            log_every=20,
            evaluate_batches=0,
        )
        parts = Parts(data, self.policy, ActiveCloning())
        train(self.run.part("cloning"), parts, settings, feed=lambda recordings: make_feed(recordings, "train", plan))
        self.policy.begin_leash()

    @property
    def is_leashed(self) -> bool:
        """Whether the cloning is over."""
        return "cloned" in self.policy.__dict__

    def iteration(self, number: int) -> dict[str, float] | None:
        """Play a rollout and learn from it, or nothing of both where the run is asked to stop meanwhile."""
        config = self.config
        rho = leash(config.leash, config.leash_decay, number)
        self.ppo.ent_coef = rho
        self.environment.finished = []
        before = self.training.steps
        self.training.advance()
        if self.training.steps == before:
            return None
        seen: Any = self.ppo._last_obs
        with torch.no_grad():  # checks what the last update made of the policy; the others were checked by the next one
            self.policy.get_distribution(self.policy.obs_to_tensor(seen)[0])
        values = {"rho": rho, "environment_steps": float(self.training.steps)}
        if self.environment.finished:
            values["episode_reward"] = float(np.mean([e["return"] for e in self.environment.finished]))
            values["episodes"] = float(len(self.environment.finished))
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how it goes on."""
        return {"training": self.training.state_dict(), "cloned": self.policy.__dict__["cloned"].state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.policy.load_state_dict(state["cloned"])
        self.policy.begin_leash()
        self.training.load_state_dict(state["training"])


def ppo(config: PpoConfig, run: Run) -> None:
    """Clone, then train; the artifact "policy" holds the weights as safetensors.

    Raises UsageError for other data, NumericalError for a policy that diverges, Stopped after saving when asked to stop.
    """
    data = run.build(config.data)
    if not isinstance(data, WindowedRecordings):
        raise UsageError('vpt/ppo clones vpt/recordings in the layout "windows"; add layout: windows to its data.')
    if data.config.image_size != config.image_size:
        raise UsageError(
            f"The data has frames of {data.config.image_size} pixels, image_size is {config.image_size}; make them equal."
        )
    data.prepare(run.workspace, run)
    seed = run.seed("environments")
    table = reward_table(config.reward)
    fleet = make_fleet(config.world, run.workspace, config.environments, seed, config.processes, config.image_size, table)
    with fleet:
        loop = Baseline(config, run, fleet)
        journal = Journal(run, loop.state_dict, loop.load_state_dict, config.checkpoint_every)
        begin = journal.resume()
        if not loop.is_leashed:
            loop.clone(data)
        with run.progress("rollouts", config.iterations) as bar:
            for number in range(begin, config.iterations):
                values = loop.iteration(number)
                if values is not None:
                    run.log(number + 1, values)
                journal.after(number if values is None else number + 1, config.iterations)
                bar.advance()
        _finish(run, loop)


def _finish(run: Run, loop: Baseline) -> None:
    last = loop.environment.finished
    if last:
        run.report("ppo", Evaluation({"last_episodes_reward": mean_metric([e["return"] for e in last], "higher")}))
    with run.artifact("policy", "weights", folder=True) as path:
        weights = {name: value.detach().cpu().contiguous() for name, value in loop.policy.state_dict().items()}
        # The three feature extractors of the policy are one module under three names.
        save_file({n: v.clone() for n, v in weights.items()}, path / "policy.safetensors")
