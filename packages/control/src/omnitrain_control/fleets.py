"""Fleets: environments of one or several kinds stepped together, in this process or several."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import EnvironmentFault, OmnitrainError, UsageError
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.environments import EpisodeEnvironment, Maker, environment_seed, make_game, named_words
from omnitrain_control.joining import Member, joined_members
from omnitrain_control.observations import source_space

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stepped:
    """What a step of all environments gave: observations [n, ...], rewards float64[n], ends bool[n], infos one each.

    Where an episode has ended the observation is the next one's first, and the row's info holds the last info as "final" and
    the observation that it came with as "last".
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Where an episode has just ended, bool[n]."""
        return self.terminated | self.truncated


def _limit(environment: gymnasium.Env[Any, Any]) -> int | None:
    """Return the most steps of an episode as gymnasium's wrapper counts them, or None."""
    limits = []
    while isinstance(environment, gymnasium.Wrapper):
        if isinstance(environment, gymnasium.wrappers.TimeLimit):
            limits.append(int(environment._max_episode_steps))
        environment = environment.env
    return min(limits, default=None)


@dataclass(frozen=True)
class _Row:
    """How a row of a fleet is made: by which of the makers, with which seed."""

    maker: Maker
    kind: int
    seed: int


class _Group:
    """Some environments stepped one after the other in one process."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self.members = [EpisodeEnvironment(row.maker(), row.seed) for row in rows]
        self.kinds = [row.kind for row in rows]

    def call(self, name: str, arguments: Any) -> list[Any]:
        """Answer for every member, None for those that are not meant."""
        given = [None] * len(self.members) if arguments is None else arguments
        pairs: Any = zip(self.members, given, strict=True)
        answers: dict[str, Callable[[], list[Any]]] = {
            "reset": lambda: [member.reset() if wanted else None for member, wanted in pairs],
            "step": lambda: [member.step(action) for member, action in pairs],
            "state": lambda: [member.state() for member in self.members],
            "restore": lambda: [member.restore(*state) for member, state in pairs],
            "repeats": lambda: [
                member.repeats(steps) if self.kinds.index(kind) == row else None
                for row, (kind, (member, steps)) in enumerate(zip(self.kinds, pairs, strict=True))
            ],
            "members": lambda: list(map(_described, self.members)),
        }
        return answers[name]()

    def close(self) -> None:
        for member in self.members:
            member.environment.close()


def _described(member: EpisodeEnvironment) -> Member:
    made = member.environment
    return Member(member.name, made.observation_space, made.action_space, source_space(made), _limit(made))


def _serve(connection: Connection, rows: Sequence[_Row]) -> None:
    """Answer calls until the other end closes."""
    try:
        group = _Group(rows)
        while True:
            name, arguments = connection.recv()
            if name == "close":
                group.close()
                return
            connection.send((True, group.call(name, arguments)))
    except (EOFError, KeyboardInterrupt):
        return
    except OmnitrainError as error:
        connection.send((False, error))
    except Exception as error:  # told to the other side, which raises it with the environment's words
        connection.send((False, EnvironmentFault(f"An environment failed in its process: {named_words(error)}.")))


class Fleet:
    """Environments stepped together. processes 0 steps them all here, else they are shared out among processes.

    maker: makes one environment, or a list of those, whose environments stand one kind behind the other; all must have the
    same observations and actions, which the makers bring about by padding or flattening. Makers are picklable when there are
    processes. count: environments of each maker. seed: of all, or one for each maker, so that its episodes do not depend on
    the others. check: at the first reset one environment of each maker is reset twice to see whether its seed decides its
    episodes, and one that is not so is told as a warning; False where a reset is dear.

    The result is the same for every number of processes, faults as well. kinds int64[n]: which maker made each row, names: of
    its environment. source_space: of observations before they were made vectors. limit: most steps of an episode, None where
    an environment has none. Raises EnvironmentFault when a process ends or an environment fails, UsageError for observations
    that are no arrays and for environments whose spaces differ.
    """

    def __init__(
        self,
        maker: Maker | Sequence[Maker],
        count: int,
        seed: int | Sequence[int],
        processes: int = 0,
        check: bool = True,
    ) -> None:
        rows = _rows([maker] if callable(maker) else maker, count, seed)
        self.count = len(rows)
        self.kinds = np.array([row.kind for row in rows], np.int64)
        self._check = check
        self._here: _Group | None = None
        self._links: list[tuple[Any, Connection, int]] = []
        if processes == 0:
            self._here = _Group(rows)
        else:
            # Spawned, not forked: the parent holds threads of torch, which a fork would copy in any state.
            context = multiprocessing.get_context("spawn")
            for part in np.array_split(np.arange(self.count), min(processes, self.count)):
                ours, theirs = context.Pipe()
                own = [rows[i] for i in part]
                worker = context.Process(target=_serve, args=(theirs, own), daemon=True)
                worker.start()
                theirs.close()
                self._links.append((worker, ours, len(own)))
        try:
            members = self._call("members", None)
            self.names = [member.name for member in members]
            joined = joined_members(members)
        except BaseException:
            self.close()
            raise
        self.observation_space: Any = joined.observation_space
        self.action_space, self.source_space, self.limit = joined.action_space, joined.source_space, joined.limit

    def _call(self, name: str, arguments: Sequence[Any] | None) -> list[Any]:
        if self._here is not None:
            return self._here.call(name, arguments)
        done, results = 0, []
        try:
            for _, link, size in self._links:
                link.send((name, None if arguments is None else arguments[done : done + size]))
                done += size
            for _, link, _ in self._links:
                good, value = link.recv()
                if not good:
                    raise value
                results.extend(value)
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise EnvironmentFault("A process of environments ended; the machine may be out of memory.") from error
        return results

    def reset(self, rows: Sequence[int] | None = None) -> tuple[NDArray[Any], list[dict[str, Any]]]:
        """Begin the next episode in some rows, None for all; return their observations [rows, ...] and infos in that order."""
        if self._check:
            for name in self.unrepeatable(steps=0):
                _log.warning("%s: reset(seed) does not decide its episodes: a resumed run goes on with another one", name)
        chosen = range(self.count) if rows is None else list(rows)
        found = self._call("reset", [row in chosen for row in range(self.count)])
        began = [found[row] for row in chosen]
        return self._together([observation for observation, _ in began]), [info for _, info in began]

    def unrepeatable(self, steps: int = 3) -> list[str]:
        """Name the environments whose episodes are not decided by their seeds, by the first steps of one of each maker.

        Random actions are taken; steps 0 only resets. Running episodes end.
        """
        self._check = False
        found = self._call("repeats", [steps] * self.count)
        return list(dict.fromkeys(name for name, repeats in zip(self.names, found, strict=True) if repeats is False))

    def _together(self, observations: Sequence[Any]) -> NDArray[Any]:
        shapes = {np.shape(observation) for observation in observations}
        wanted = self.observation_space.shape
        if len(shapes) > 1 or (wanted is not None and shapes != {wanted}):
            found = " and ".join(map(str, sorted(shapes)))
            raise EnvironmentFault(
                f"Environments give observations of the shape {found}; their space is {self.observation_space}."
            )
        return np.stack(observations)

    def step(self, actions: Sequence[Any]) -> Stepped:
        """Step every environment with its action."""
        found = self._call("step", actions)
        observations, rewards, terminated, truncated, infos = zip(*found, strict=True)
        return Stepped(
            self._together(observations), np.array(rewards, np.float64), np.array(terminated), np.array(truncated), list(infos)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the number and the actions since its reset of every running episode."""
        return {"episodes": [{"number": number, "actions": actions} for number, actions in self._call("state", None)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> NDArray[Any]:
        """Go to a saved state; return the observations there."""
        saved = [(int(entry["number"]), np.asarray(entry["actions"])) for entry in state["episodes"]]
        return self._together(self._call("restore", saved))

    def close(self) -> None:
        """End the environments and their processes."""
        if self._here is not None:
            self._here.close()
        for worker, link, _ in self._links:
            try:
                link.send(("close", None))
            except (BrokenPipeError, OSError):
                worker.terminate()
            worker.join(timeout=5)
            if worker.is_alive():
                worker.terminate()
                worker.join()
            link.close()
        self._links = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


def _rows(makers: Sequence[Maker], count: int, seed: int | Sequence[int]) -> list[_Row]:
    """Return how every row is made, one kind behind the other."""
    if isinstance(seed, (int, np.integer)):
        seeds = [environment_seed(seed, row) for row in range(len(makers) * count)]
    elif len(seed) == len(makers):
        seeds = [environment_seed(own, row) for own in seed for row in range(count)]
    else:
        raise UsageError(f"A fleet of {len(makers)} makers has {len(seed)} seeds; expected one for all or one for each.")
    if not seeds:
        raise UsageError("A fleet has no environments: give it a maker and a count of 1 or more.")
    return [_Row(makers[i // count], i // count, own) for i, own in enumerate(seeds)]


def make_fleet(config: EnvironmentConfig, seed: int) -> Fleet:
    """Make the environments of a config, whose observations are vectors.

    Raises UsageError where it names none, or their observations can't be vectors.
    """
    if config.id is None:
        raise UsageError("No game is named: set environment.id to the registered name of a gymnasium environment.")
    return Fleet(partial(make_game, config.id, config.settings, config.steps), config.count, seed, config.processes)
