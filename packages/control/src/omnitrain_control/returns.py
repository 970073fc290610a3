"""Returns and advantages of rollouts. Arrays are [environment, step]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def generalised_advantages(
    rewards: NDArray[Any], values: NDArray[Any], first: NDArray[Any], gamma: float, lam: float
) -> tuple[Floats, Floats]:
    """Return (advantages, value targets), both float64[environment, step] (Schulman et al. 2016, eq. 16).

    rewards: [environment, step]. values: [environment, step + 1], the last column is the bootstrap. first: [environment,
    step + 1], first[t + 1] = 1 means that step t was the last of its episode: nothing is bootstrapped across it.
    """
    rewards, values = np.asarray(rewards, np.float64), np.asarray(values, np.float64)
    alive = 1.0 - np.asarray(first, np.float64)[:, 1:]
    steps = rewards.shape[1]
    advantages = np.zeros_like(rewards)
    following = np.zeros(len(rewards))
    for t in reversed(range(steps)):
        delta = rewards[:, t] + gamma * values[:, t + 1] * alive[:, t] - values[:, t]
        following = delta + gamma * lam * alive[:, t] * following
        advantages[:, t] = following
    return advantages, advantages + values[:, :steps]


def discounted_returns(rewards: NDArray[Any], gamma: float = 1.0) -> Floats:
    """Return the return to go of every step of one episode, float64[step]; gamma 1 sums what is still to come."""
    out = np.asarray(rewards, np.float64).copy()
    for t in reversed(range(len(out) - 1)):
        out[t] += gamma * out[t + 1]
    return out


def returns_to_go(
    rewards: NDArray[Any], lengths: NDArray[np.int64], gamma: float = 1.0, ends: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Return what is still to come at every step of many episodes, float32[step], summed in float64.

    rewards: [step], the episodes one behind the other. lengths: their steps. ends: bool[step], steps behind which the sum
    begins anew although the episode goes on. One pass over time for all episodes together.
    """
    rewards = np.asarray(rewards, np.float64)
    alive = np.ones(len(rewards)) if ends is None else 1.0 - np.asarray(ends, np.float64)
    order = np.argsort(-np.asarray(lengths), kind="stable")
    last = (np.cumsum(lengths) - 1)[order]
    running = np.searchsorted(-np.asarray(lengths)[order], -np.arange(max(lengths, default=0)), side="left")
    following, out = np.zeros(len(order)), np.zeros(len(rewards), np.float32)
    for back, count in enumerate(running):
        places = last[:count] - back
        following[:count] = rewards[places] + gamma * following[:count] * alive[places]
        out[places] = following[:count]
    return out


def monte_carlo_returns(
    rewards: NDArray[Any],
    lengths: NDArray[np.int64],
    gamma: float,
    failure: float | None = None,
    terminals: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """Return the bounds of calibrated Q-learning, float32[step] (Nakamoto et al. 2023, their calc_return_to_go).

    rewards: scaled and shifted as in training. lengths: steps of each trajectory, which is cut at its end without bootstrap.
    failure: the reward of a step without success in sparse tasks; a trajectory that has no other reward goes on without end
    and is worth failure / (1 - gamma) at every step. terminals: bool[step], ends within a trajectory.
    """
    found = returns_to_go(rewards, lengths, gamma, terminals)
    if failure is not None:
        # Compared as float32, which rewards are kept in: -0.1 in a file is not the -0.1 of a setting.
        failed = np.asarray(rewards, np.float32) == np.float32(failure)
        before = np.concatenate([[0], np.cumsum(failed)])
        ends = np.cumsum(lengths)
        never = before[ends] - before[ends - lengths] == lengths
        found[np.repeat(never, lengths)] = np.float32(failure / (1.0 - gamma))
    return found


def returns_from_target(rewards: NDArray[Any], target: float) -> NDArray[np.float32]:
    """Return what a player is asked for at every step, float32[step]: the target less what was earned, never above it.

    R_0 = target, R_t = min(R_{t-1} - r_{t-1}, target) (Schmied et al. 2023, compute_rtg_from_target).
    """
    asked = np.full(len(rewards), target, np.float32)
    for t in range(1, len(asked)):
        asked[t] = min(asked[t - 1] - np.float32(rewards[t - 1]), np.float32(target))
    return asked


def normalised(advantages: NDArray[Any], eps: float = 1e-8) -> Floats:
    """Return (a - mean) / (std + eps) over all entries, population standard deviation."""
    array = np.asarray(advantages, np.float64)
    return np.asarray((array - array.mean()) / (array.std() + eps), np.float64)


class RewardNormaliser:
    """Divides rewards by the running standard deviation of the discounted return; the mean stays.

    environments: rows of the chunks. clip: largest absolute normalised reward. initial_count: weight of the start (0, 1).
    """

    def __init__(
        self, environments: int, gamma: float = 0.99, clip: float = 10.0, eps: float = 1e-8, initial_count: float = 1e-4
    ) -> None:
        self.gamma, self.clip, self.eps = gamma, clip, eps
        self.returns = np.zeros(environments)
        self.mean, self.variance, self.count = 0.0, 1.0, initial_count

    def __call__(self, rewards: NDArray[Any], first: NDArray[Any]) -> Floats:
        """Update the statistics with a chunk, then return it normalised. rewards, first: [environment, step]."""
        rewards = np.asarray(rewards, np.float64)
        first = np.asarray(first, np.float64)
        seen = np.empty_like(rewards)
        for t in range(rewards.shape[1]):
            self.returns = self.gamma * self.returns * (1.0 - first[:, t]) + rewards[:, t]
            seen[:, t] = self.returns
        self._merge(float(seen.mean()), float(seen.var()), float(seen.size))
        return np.asarray(np.clip(rewards / np.sqrt(self.variance + self.eps), -self.clip, self.clip), np.float64)

    def _merge(self, mean: float, variance: float, count: float) -> None:
        """Merge a batch's moments into the running ones (Chan et al., parallel variance)."""
        total = self.count + count
        distance = mean - self.mean
        squares = self.variance * self.count + variance * count + distance**2 * self.count * count / total
        self.mean += distance * count / total
        self.variance, self.count = squares / total, total

    def state_dict(self) -> dict[str, Any]:
        """Return the running returns and moments."""
        return {"returns": self.returns, "mean": self.mean, "variance": self.variance, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from saved moments."""
        self.returns = np.asarray(state["returns"], np.float64)
        self.mean, self.variance, self.count = float(state["mean"]), float(state["variance"]), float(state["count"])
