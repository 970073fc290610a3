"""Data that changes the batches of other data, with all of its abilities passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnitrain.api.data import Batch, Data
from omnitrain.api.figures import Piece
from omnitrain.api.protocols import (
    BatchPlan,
    BatchStream,
    DrawsExamples,
    ExplainsBatches,
    ExtendsModel,
    Feed,
    FollowsModel,
    Gathers,
    MakesFeed,
    MakesRounds,
    OrdersBatches,
    Prepares,
    SavesAssets,
    SplitsBatches,
    TellsFacts,
    TellsOrder,
)
from omnitrain.api.run import Context
from omnitrain.engine.batches import make_feed

if TYPE_CHECKING:
    from torch import nn


class DataWrapper:
    """Base of data over other data, `inner`: a subclass says in `change` what becomes of a batch, and its `fingerprint`.

    An ability that `inner` has and the subclass does not define is passed on, whatever it is: own orders, cutting, gathers,
    draws, assets, following the model. A method of an ability that it does define calls that of `inner` itself. `change` must
    not depend on other batches than its own. Call `super().__init__` before anything else.

        class Scaled(DataWrapper):
            def change(self, batch: Batch) -> Batch:
                return {**batch, "x": 2 * batch["x"]}
    """

    inner: Any

    def __init__(self, inner: Data) -> None:
        self.inner = inner
        self.batch = inner.batch
        cls: Any = type(self)
        self.__class__ = _with_abilities(cls, _lacking(cls, inner))

    def change(self, batch: Batch) -> Batch:
        """Return what becomes of a batch of `inner`."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """Digits of `inner` and of what `change` depends on."""
        raise NotImplementedError

    def prepare(self, workspace: Path, context: Context) -> None:
        """Do the slow work of `inner`."""
        if isinstance(self.inner, Prepares):
            self.inner.prepare(workspace, context)

    def facts(self) -> Mapping[str, Any]:
        """Return what `inner` tells."""
        return dict(self.inner.facts()) if isinstance(self.inner, TellsFacts) else {}

    def splits(self) -> Sequence[str]:
        """Name the splits of `inner`."""
        return list(self.inner.splits())

    def examples(self, split: str) -> Any:
        """Return the examples of `inner`."""
        return self.inner.examples(split)

    def collate(self, examples: Sequence[Any]) -> Batch:
        """Make a batch of examples and change it."""
        return self.change(self.inner.collate(examples))


class _Ability:
    """What passes one ability on."""

    inner: Any
    change: Callable[[Batch], Batch]


class _Extending(_Ability):
    def extend(self, model: nn.Module) -> None:
        self.inner.extend(model)


class _Following(_Ability):
    def follow(self, model: nn.Module) -> None:
        self.inner.follow(model)


class _Assets(_Ability):
    def save_assets(self, directory: Path) -> None:
        self.inner.save_assets(directory)


class _Explained(_Ability):
    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        found: Mapping[str, Sequence[Piece]] = self.inner.explain(batch, row)
        return found


class _Gathered(_Ability):
    def gather(self, split: str, rows: np.ndarray) -> Batch:
        return self.change(self.inner.gather(split, rows))


class _Drawn(_Ability):
    def example(self, split: str, index: int, seed: int) -> Any:
        return self.inner.example(split, index, seed)


class _Ordered(_Ability):
    def batches(self, split: str, plan: BatchPlan) -> BatchStream:
        return _ChangedStream(self.inner.batches(split, plan), self.change)


class _OwnFeed(_Ability):
    """The inner data cuts updates in its own way, so that what changes is each micro-batch that it makes."""

    def feed(self, split: str, plan: BatchPlan, accumulate: int, workers: int) -> Feed:
        return _ChangedFeed(make_feed(self.inner, split, plan, accumulate, workers), self.change)


class _Rounds(_Ability):
    @property
    def round_updates(self) -> int:
        return int(self.inner.round_updates)

    def round_parts(self, number: int) -> int:
        return int(self.inner.round_parts(number))

    def make_part(self, model: nn.Module, number: int, part: int) -> Sequence[Any]:
        found: Sequence[Any] = self.inner.make_part(model, number, part)
        return found

    def take_round(self, number: int, rows: Sequence[Any]) -> None:
        self.inner.take_round(number, rows)


class _Told(_Ability):
    def order(self, split: str, plan: BatchPlan, updates: int) -> Mapping[str, str]:
        found: Mapping[str, str] = self.inner.order(split, plan, updates)
        return found


_ABILITIES: tuple[tuple[type, str, type[_Ability]], ...] = (
    (ExtendsModel, "extend", _Extending),
    (FollowsModel, "follow", _Following),
    (SavesAssets, "save_assets", _Assets),
    (ExplainsBatches, "explain", _Explained),
    (Gathers, "gather", _Gathered),
    (DrawsExamples, "example", _Drawn),
    (OrdersBatches, "batches", _Ordered),
    (MakesFeed, "feed", _OwnFeed),
    (SplitsBatches, "feed", _OwnFeed),
    (MakesRounds, "take_round", _Rounds),
    (TellsOrder, "order", _Told),
)


def _lacking(cls: type, inner: Data) -> tuple[type[_Ability], ...]:
    found = [made for ability, method, made in _ABILITIES if isinstance(inner, ability) and not hasattr(cls, method)]
    return tuple(dict.fromkeys(found))


@lru_cache
def _with_abilities(cls: Any, abilities: tuple[type[_Ability], ...]) -> Any:
    if not abilities:
        return cls
    return type(cls.__name__, (cls, *abilities), {"__module__": cls.__module__, "__doc__": cls.__doc__})


class _ChangedStream:
    """Another stream with every batch changed; where it stands is all there is to save."""

    def __init__(self, inner: BatchStream, change: Callable[[Batch], Batch]) -> None:
        self._inner, self._change = inner, change

    def __iter__(self) -> Iterator[Batch]:
        return map(self._change, self._inner)

    def state_dict(self) -> dict[str, Any]:
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._inner.load_state_dict(state)


class _ChangedFeed:
    """Another feed with every micro-batch changed."""

    def __init__(self, inner: Feed, change: Callable[[Batch], Batch]) -> None:
        self._inner, self._change = inner, change

    def next(self) -> list[Batch] | None:
        batches = self._inner.next()
        return None if batches is None else [self._change(batch) for batch in batches]

    def state_dict(self) -> dict[str, Any]:
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._inner.load_state_dict(state)

    def close(self) -> None:
        self._inner.close()
