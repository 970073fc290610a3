"""Data `control/trajectories`: steps, windows or transitions of trajectories, drawn in proportion to their lengths."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece, Prepares
from omnitrain.engine import build_once, input_digests
from omnitrain.errors import DataError, UsageError
from omnitrain_control import __version__
from omnitrain_control.bins import Bins
from omnitrain_control.cache import digest
from omnitrain_control.codecs import BinnedCodec
from omnitrain_control.configs.data import TrajectoriesConfig
from omnitrain_control.data.episodes import BUILTIN, builtin_episodes
from omnitrain_control.episodes import EpisodeStore
from omnitrain_control.listing import store_folders
from omnitrain_control.problems import Problems
from omnitrain_control.readers.arrays import TrajectoryProblems
from omnitrain_control.readers.importing import LEFT_OUT, check_episode, import_trajectories
from omnitrain_control.readers.rules import Episode, Found, ReadingRules
from omnitrain_control.trajectories import Arrays, GivesStores, Trajectories, open_stores
from omnitrain_control.windows import Ints, StepStream, chosen

log = logging.getLogger(__name__)
_READING = ("layout", "fields", "horizon", "dones", "broken", "min_steps", "action_range")


def batch_fields(config: TrajectoriesConfig) -> Fields:
    """Return the fields of a batch."""
    rows = "batch" if config.context is None else "batch, steps"
    of_actions = f"int64[{rows}, choices]" if config.actions == "classes" else f"float32[{rows}, choices]"
    fields = {
        "observations": f"float32[{rows}, observation]",
        "actions": of_actions,
        "action_mask": f"bool[{rows}, choices]",
        "timesteps": f"int64[{rows}]",
    }
    if config.context is not None:
        fields["attention_mask"] = "bool[batch, steps]"
    if config.rewards or config.transitions:
        fields["rewards"] = f"float32[{rows}]"
    if config.rewards:
        fields["returns_to_go"] = f"float32[{rows}]"
    if config.transitions:
        fields |= {"next_observations": "float32[batch, observation]", "terminals": "bool[batch]"}
    return fields


def _kept(stores: Sequence[EpisodeStore], rules: ReadingRules, problems: Problems) -> list[Ints]:
    """Return the numbers of each store's sound episodes."""
    first: Episode | None = None
    kept = []
    for store in stores:
        if store.lost:
            problems.add("trajectories behind the place where a store is cut", f"{store.folder}: {store.lost}")
            problems.counts["trajectories behind the place where a store is cut"] += store.lost - 1
        good = []
        for number in range(len(store)):
            found = Found(f"{store.folder}:{number}", store.episode(number))
            if check_episode(found, first, rules, problems):
                first = first or found.episode
                good.append(number)
        kept.append(np.array(good, np.int64))
    return kept


class TrajectoriesData:
    """Trajectories as `TrajectoriesConfig` says. Prepare it before examples are asked for."""

    def __init__(self, config: TrajectoriesConfig, inner: Data | None = None) -> None:
        self.config, self._inner = config, inner
        self.batch = batch_fields(config)
        self.rules = ReadingRules(**{name: getattr(config, name) for name in _READING})
        self.left_out = ""
        self._held: Trajectories | None = None
        self._train = 0

    @property
    def trajectories(self) -> Trajectories:
        """All kept trajectories, those of "train" before those of "valid".

        Raises RuntimeError before they were prepared.
        """
        if self._held is None:
            raise RuntimeError("control/trajectories was not prepared yet")
        return self._held

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the files into mapped arrays, or find that done; check every trajectory; say what is left out."""
        config, problems = self.config, TrajectoryProblems()
        if self._inner is not None:
            stores = self._inner_stores(self._inner, workspace, context)
        elif config.path == BUILTIN:
            stores = open_stores(builtin_episodes(workspace))
        elif store_folders(config.path):
            stores = [EpisodeStore(folder, config.broken) for folder in store_folders(config.path)]
        else:
            key = digest([__version__, input_digests(config), {name: getattr(config, name) for name in _READING}])
            folder = workspace / f"control-trajectories-{key}"
            stores = open_stores(build_once(folder, lambda path: import_trajectories(config.path, path, self.rules)))
            self.left_out = (folder / LEFT_OUT).read_text("utf-8")
        kept = _kept(stores, self.rules, problems)
        if not sum(map(len, kept)):
            raise DataError(f"None of the trajectories of {config.path} can be used: {problems.summary() or 'there is none'}.")
        if problems.counts:
            self.left_out = problems.summary()
            log.warning("%s: left out: %s", config.path, self.left_out)
        self._split(Trajectories(stores, kept))
        self._check()

    def _inner_stores(self, inner: Data, workspace: Path, context: Context) -> list[EpisodeStore]:
        if isinstance(inner, Prepares):
            inner.prepare(workspace, context)
        if not isinstance(inner, GivesStores):
            raise UsageError(
                f"control/trajectories: data is a {type(inner).__name__}, which holds no recorded episodes; expected what "
                "control/record leaves, control/episodes, or other data of control."
            )
        return list(inner.stores())

    def stores(self) -> Sequence[EpisodeStore]:
        """Return where the trajectories lie; see `GivesStores`."""
        return self.trajectories.stores

    def _split(self, found: Trajectories) -> None:
        """Keep the best, hold some of them out, and order what is left."""
        config = self.config
        chosen = np.arange(len(found))
        if config.best < 1.0:
            self._need(found, "rewards", "best keeps those with the highest return")
            count = max(1, round(config.best * len(found)))
            chosen = np.sort(np.argsort(-found.returns, kind="stable")[:count])
        held = round(config.valid_fraction * len(chosen))
        order = np.random.Generator(np.random.PCG64(0)).permutation(chosen)
        self._held = found.subset(np.concatenate([np.sort(order[held:]), np.sort(order[:held])]))
        self._train = len(order) - held

    def _need(self, found: Trajectories, name: str, why: str) -> None:
        if name not in found.shapes:
            raise DataError(f"{self.config.path} has no {name}, and {why}: give them, or change that setting.")

    def _check(self) -> None:
        """Refuse fields that are not what the settings ask for."""
        config, found = self.config, self.trajectories
        for name in ("observations", "actions"):
            if len(found.shapes[name]) != 1:
                raise DataError(
                    f"{config.path}: {name} have the shape {list(found.shapes[name])} a step; expected a vector, since "
                    "control/trajectories gives vectors only."
                )
        if config.rewards or config.transitions:
            self._need(found, "rewards", "rewards or transitions ask for them")
        if config.transitions:
            self._need(found, "terminals", "transitions ask for them (what dones are is said by dones: terminal or timeout)")
        whole = found.dtypes["actions"].kind in "iu"
        if config.actions == "classes" and whole == (config.bins is not None):
            said = "are whole numbers already: leave bins out" if whole else "are no whole numbers: set bins and action_range"
            raise DataError(f"{config.path}: its actions {said}, or set actions: numbers.")
        if config.actions == "classes" and whole and int(self._extreme("actions", np.min)) < 0:
            raise DataError(f"{config.path}: its actions begin at {self._extreme('actions', np.min)}; expected classes from 0.")

    def _extreme(self, name: str, of: Any) -> Any:
        return of([of(store.fields[name]) for store in self.trajectories.stores if len(store.fields[name])])

    @property
    def fingerprint(self) -> str:
        """Hash of the content that the path names and of the settings."""
        content: Any = input_digests(self.config)
        if self._inner is not None:
            content = self._inner.fingerprint
        elif self.config.path == BUILTIN:
            content = [__version__]
        return digest([content, self.config.model_dump(mode="json", exclude={"path", "data"})])

    def splits(self) -> Sequence[str]:
        """Name the splits that hold trajectories."""
        if self._held is None:
            return ["train", "valid"]
        return ["train", "valid"] if self._train < len(self.trajectories) else ["train"]

    def _range(self, split: str) -> tuple[int, int]:
        offsets = self.trajectories.offsets
        begin, end = (0, self._train) if split == "train" else (self._train, len(self.trajectories))
        return int(offsets[begin]), int(offsets[end])

    def examples(self, split: str) -> Ints | range:
        """Return the numbers of the split's steps; of windows those that they begin at, behind each other in "valid"."""
        found, (begin, end) = self.trajectories, self._range(split)
        usable = found.usable if self.config.transitions else range(end)
        if not isinstance(usable, range):
            first, last = np.searchsorted(usable, [begin, end]).tolist()
            return usable[first:last]
        if self.config.context is not None and split != "train":
            steps = np.arange(begin, end)
            at: Ints = steps[found.place(steps)[1] % self.config.context == 0]
            return at
        return range(begin, end)

    def batches(self, split: str, plan: BatchPlan) -> StepStream:
        """Return batches of drawn steps for training, else every one of `examples` once.

        Raises DataError for a split without steps.
        """
        examples = self.examples(split)
        fixed = np.arange(0 if plan.train else len(examples))
        return StepStream(lambda rows: self.collate(chosen(examples, rows)), len(examples), fixed, plan)

    def collate(self, examples: Sequence[int] | Ints) -> Batch:
        """Return the batch of steps, or of the windows that begin there."""
        found, steps = self.trajectories, np.asarray(examples, np.int64)
        episodes, within = found.place(steps)
        if self.config.context is not None:
            arrays = found.windows(episodes, within, self.config.context, self._names)
        else:
            arrays = self._steps(steps, episodes, within)
        arrays["actions"] = self._actions(arrays["actions"])
        if self.config.context is not None:
            arrays["actions"][~arrays["attention_mask"]] = 0
        return {name: torch.from_numpy(self._typed(arrays[name], spec)) for name, spec in self.batch.items()}

    def _typed(self, values: NDArray[Any], spec: str) -> NDArray[Any]:
        return np.ascontiguousarray(values, np.dtype(spec.partition("[")[0]))

    @property
    def _names(self) -> list[str]:
        return [name for name in ("observations", "actions", "rewards", "terminals") if name in self.batch]

    def _steps(self, steps: Ints, episodes: Ints, within: Ints) -> Arrays:
        found = self.trajectories
        if self.config.transitions:
            arrays = found.transitions(steps, self._names)
        else:
            arrays = {name: found.gather(name, episodes, within) for name in self._names}
        if self.config.rewards:
            arrays["returns_to_go"] = found.returns_to_go(episodes, within)
        return {**arrays, "timesteps": within, "action_mask": found.dimensions("actions")[found.part[episodes]]}

    def _actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        if self.config.bins is None or self.config.action_range is None:
            return np.array(actions)
        return binned(self.config.bins, self.config.action_range, actions.shape[-1]).encode(actions)["action"]

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the steps of a row: number in the trajectory, and action."""
        whole = self.config.context is not None
        steps = (batch[name][row] if whole else batch[name][row : row + 1] for name in ("timesteps", "actions"))
        real = batch["attention_mask"][row].tolist() if whole else [True]
        pieces = []
        for at, action, held in zip(*steps, real, strict=True):
            told = ", ".join(f"{number:.3g}" for number in action.tolist())
            pieces.append(Piece(f"{int(at)}: {told}; " if held else "-; ", "loss" if held else "padding"))
        return {"step: action": pieces}

    def facts(self) -> Mapping[str, Any]:
        """Tell the sizes that a policy needs, the best return, what was left out, and the game where it is known."""
        found, config = self.trajectories, self.config
        told: dict[str, Any] = {"observation_size": found.shapes["observations"][0], "choices": found.shapes["actions"][0]}
        if config.actions == "classes":
            told["classes"] = config.bins or self._classes()
        if config.context is not None:
            told["context"] = config.context
        if "rewards" in found.shapes:
            told["best_return"] = float(found.returns.max())
        games = [store.about.get("game") for store in found.stores]
        if games[0] is not None and all(game == games[0] for game in games):
            told["game"] = games[0]
        return {**told, "left_out": self.left_out}

    def _classes(self) -> int:
        name = "classes" if "classes" in self.trajectories.shapes else "actions"
        return int(self._extreme(name, np.max)) + (name == "actions")


def binned(bins: int, action_range: tuple[float, float], width: int) -> BinnedCodec:
    """Return the codec of actions that are cut as `codec_of` cuts those of a box."""
    low, high = (np.full(width, bound, np.float64) for bound in action_range)
    return BinnedCodec(low, high, Bins(largest=1.0, size=2.0 / (bins - 1), scheme="linear"))


def build(config: TrajectoriesConfig, context: Context) -> TrajectoriesData:
    """Make the data `control/trajectories`."""
    return TrajectoriesData(config, None if config.data is None else context.build(config.data))
