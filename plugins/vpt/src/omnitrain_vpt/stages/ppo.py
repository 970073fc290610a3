"""Stage `vpt/ppo`: the baseline, Stable-Baselines3's PPO with a memoryless CNN policy and the leash."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from safetensors.torch import save_file
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from omnitrain.api import Batch, BatchPlan, Evaluation, Loss, Run, mean_metric
from omnitrain.engine import FitSettings, Journal, OptimiserConfig, Parts, choose_device, make_feed, train
from omnitrain.errors import NumericalError, UsageError
from omnitrain_control.environments import Fleet
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


class FleetVecEnv(VecEnv):
    """A fleet as Stable-Baselines3 sees environments: joint button and camera indices in, frames out."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        space = gymnasium.spaces.MultiDiscrete([JOINT_BUTTONS, JOINT_CAMERAS])
        super().__init__(fleet.count, fleet.observation_space, space)
        self._actions: Any = None
        self.finished: list[dict[str, Any]] = []
        self._returns = np.zeros(fleet.count)

    def reset(self) -> Any:
        """Begin episodes everywhere."""
        return self.fleet.reset()[0]

    def step_async(self, actions: Any) -> None:
        """Take the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Do the step."""
        stepped = self.fleet.step(environment_actions(self._actions[:, 0], self._actions[:, 1]))
        self._returns += stepped.rewards
        infos: list[dict[str, Any]] = []
        for row in range(self.fleet.count):
            infos.append({"TimeLimit.truncated": bool(stepped.truncated[row])})
            if stepped.ended[row]:
                self.finished.append(
                    {"return": float(self._returns[row]), "items": stepped.infos[row]["final"].get("items", {})}
                )
                self._returns[row] = 0.0
                # The last frame of an episode is not kept; PPO would bootstrap a cut episode from it.
                infos[row]["TimeLimit.truncated"] = False
        return stepped.observations, stepped.rewards.astype(np.float32), stepped.ended, infos

    def state_dict(self) -> dict[str, Any]:
        """Return where the episodes stand."""
        return {"fleet": self.fleet.state_dict(), "returns": self._returns.copy(), "finished": self.finished}

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Go on from a saved state; return the observations there."""
        self._returns, self.finished = np.array(state["returns"]), list(state["finished"])
        return self.fleet.load_state_dict(state["fleet"])

    def close(self) -> None:
        """End the environments."""
        self.fleet.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Tell an attribute; the environments live elsewhere and have none but their render mode."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: the environments live elsewhere."""
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **named: Any) -> list[Any]:
        """Refuse: the environments live elsewhere."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Tell that they are not."""
        return [False] * self.num_envs


def _check_finite(module: nn.Module, inputs: Any, logits: Tensor) -> None:
    """Refuse logits of a policy that has diverged, whether it plays or learns."""
    if not bool(logits.isfinite().all()):
        raise NumericalError("vpt/ppo: the policy's logits are not finite; lower cloning_rate or learning_rate.")


class Baseline:
    """PPO, its cloning before, and what it needs to go on exactly."""

    def __init__(self, config: PpoConfig, run: Run, fleet: Fleet) -> None:
        self.config, self.run = config, run
        self.environment = FleetVecEnv(fleet)
        self.ppo = PPO(
            LeashedPolicy,
            self.environment,
            learning_rate=config.learning_rate,
            n_steps=config.steps,
            batch_size=config.batch_size,
            n_epochs=config.epochs,
            gamma=0.999,
            gae_lambda=0.95,
            clip_range=0.2,
            ent_coef=0.0,
            policy_kwargs={"features_extractor_kwargs": {"features_dim": FEATURES}},
            seed=run.seed("ppo") % 2**31,
            device=str(choose_device("auto")),
        )
        self.policy: LeashedPolicy = self.ppo.policy  # type: ignore[assignment]
        self.policy.action_net.register_forward_hook(_check_finite)

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

    def iteration(self, number: int) -> dict[str, float]:
        """Play a rollout and learn from it."""
        config = self.config
        rho = leash(config.leash, config.leash_decay, number)
        self.ppo.ent_coef = rho
        self.environment.finished = []
        self.ppo.learn(config.steps * config.environments, reset_num_timesteps=number == 0)
        seen: Any = self.ppo._last_obs
        with torch.no_grad():  # checks what the last update made of the policy; the others were checked by the next one
            self.policy.get_distribution(self.policy.obs_to_tensor(seen)[0])
        values = {"rho": rho, "environment_steps": float(self.ppo.num_timesteps)}
        if self.environment.finished:
            values["episode_reward"] = float(np.mean([e["return"] for e in self.environment.finished]))
            values["episodes"] = float(len(self.environment.finished))
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how it goes on."""
        cloned = self.policy.__dict__["cloned"]
        return {
            "policy": self.policy.state_dict(),
            "cloned": cloned.state_dict(),
            "optimiser": self.policy.optimizer.state_dict(),
            "environment": self.environment.state_dict(),
            "position": {"timesteps": self.ppo.num_timesteps, "starts": np.asarray(self.ppo._last_episode_starts)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.policy.load_state_dict(state["cloned"])
        self.policy.begin_leash()
        self.policy.load_state_dict(state["policy"])
        self.policy.optimizer.load_state_dict(state["optimiser"])
        self.ppo.num_timesteps = int(state["position"]["timesteps"])
        # With these two set, `learn` goes on in the running episodes instead of beginning new ones.
        self.ppo._last_obs = self.environment.load_state_dict(state["environment"])
        self.ppo._last_episode_starts = np.asarray(state["position"]["starts"])


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
        if begin == 0:
            loop.clone(data)
        with run.progress("rollouts", config.iterations) as bar:
            for number in range(begin, config.iterations):
                run.log(number + 1, loop.iteration(number))
                journal.after(number + 1, config.iterations)
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
