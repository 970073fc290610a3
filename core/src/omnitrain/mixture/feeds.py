"""The micro-batches of each update of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from omnitrain.api.data import Batch
from omnitrain.api.protocols import BatchPlan, Feed, FollowsModel
from omnitrain.engine.batches import make_feed
from omnitrain.engine.feeds import IndexedFeed
from omnitrain.engine.rng import isolated
from omnitrain.errors import DataError
from omnitrain.mixture.assembling import Assembler
from omnitrain.mixture.members import EndlessRows, Member
from omnitrain.mixture.turns import Ints, Turns
from omnitrain.runs.seeds import derive


@dataclass(frozen=True)
class Update:
    """What an update is made of. rows: of one turn on this process. micro: turns in an update where a turn is a micro-batch."""

    plan: BatchPlan
    accumulate: int
    unit: str

    @property
    def turns(self) -> int:
        """Turns of members in an update, over all processes."""
        by_unit = {"example": self.plan.batch_size * self.plan.world, "micro-batch": self.accumulate, "update": 1}
        return by_unit[self.unit]

    @property
    def rows(self) -> int:
        """Rows of a turn of several rows, on this process."""
        return self.plan.batch_size // self.accumulate if self.unit == "micro-batch" else self.plan.batch_size

    def positions(self, earlier: int, rows: int) -> Ints:
        """Return the positions, in a member's order, of its turn after `earlier` others of so many rows on each process."""
        first = earlier * rows * self.plan.world + self.plan.rank
        return first + self.plan.world * np.arange(rows)

    def cut(self, positions: Ints) -> list[Ints]:
        """Cut the positions of a process into micro-batches."""
        return [positions] if self.accumulate == 1 else np.array_split(positions, min(self.accumulate, len(positions)))


class RowsFeed(IndexedFeed):
    """Training on members whose examples all have numbers: every update is a function of the seed and its number."""

    def __init__(self, update: Update, turns: Turns, rows: Sequence[EndlessRows], made: Assembler, workers: int) -> None:
        self._of, self._turns, self._rows, self._made = update, turns, rows, made
        self._isolate = any(one.one_by_one for one in rows)
        super().__init__(workers, None)

    def fetch(self, update: int) -> list[Batch]:
        """Return the micro-batches of any update."""
        count, plan = self._of.turns, self._of.plan
        members, earlier = self._turns(update * count, (update + 1) * count)
        with isolation(self._isolate, plan, update):
            if self._of.unit == "example":
                members, earlier = members[plan.rank :: plan.world], earlier[plan.rank :: plan.world]
                return [self._mixed(members[part], earlier[part]) for part in self._of.cut(np.arange(len(members)))]
            single, cut = self._made.single, self._of.cut if self._of.unit == "update" else _whole
            return [
                single(self._rows[member].batch(part), member)
                for member, before in zip(members.tolist(), earlier.tolist(), strict=True)
                for part in cut(self._of.positions(before, self._of.rows))
            ]

    def _mixed(self, members: Ints, earlier: Ints) -> Batch:
        found = np.flatnonzero(np.bincount(members)).tolist()
        return self._made.joined([(k, self._rows[k].batch(earlier[members == k])) for k in found])


def _whole(positions: Ints) -> list[Ints]:
    return [positions]


def isolation(needed: bool, plan: BatchPlan, update: int) -> AbstractContextManager[None]:
    """Return a block for examples that may draw on the global generators."""
    return isolated(derive(plan.seed, "draw", update, plan.rank)) if needed else nullcontext()


class TurnsFeed:
    """Training on members of which some order their own batches: each is asked when it has its turn.

    shares: where examples are mixed, rows of every update by member; else None, and `turns` says whose turn it is.
    """

    def __init__(
        self,
        members: Sequence[Member],
        update: Update,
        turns: Turns,
        sources: Sequence[EndlessRows | Feed],
        made: Assembler,
        shares: Sequence[int] | None,
    ) -> None:
        self._members, self._of, self._turns, self._made, self._shares = members, update, turns, made, shares
        self._sources = sources
        self._update = 0
        self._before: dict[str, Any] | None = None
        self._may_stop = any(isinstance(member.data, FollowsModel) for member in members)

    def next(self) -> list[Batch]:
        """Return the micro-batches of the next update. Raises DataError where a member has ended."""
        # A member that makes its data by the model may be stopped at it, when others have had their turn in this update.
        self._before = self.state_dict() if self._may_stop else None
        batches = self._fetch(self._update)
        self._update, self._before = self._update + 1, None
        return batches

    def _fetch(self, number: int) -> list[Batch]:
        if self._shares is not None:
            return self._mixed(number, self._shares)
        members, earlier = self._turns(number * self._of.turns, (number + 1) * self._of.turns)
        single = self._made.single
        return [
            single(batch, member)
            for member, before in zip(members.tolist(), earlier.tolist(), strict=True)
            for batch in self._taken(member, before, self._of.rows, number)
        ]

    def _mixed(self, number: int, shares: Sequence[int]) -> list[Batch]:
        """Deal the parts of each member's rows to the micro-batches, each going on where the one before ended."""
        found: list[list[tuple[int, Batch]]] = [[] for _ in range(self._of.accumulate)]
        place = 0
        for member, rows in enumerate(shares):
            for batch in self._taken(member, number, rows, number):
                found[place % len(found)].append((member, batch))
                place += 1
        return [self._made.joined(parts) for parts in found if parts]

    def _taken(self, member: int, earlier: int, rows: int, number: int) -> list[Batch]:
        source = self._sources[member]
        if not isinstance(source, EndlessRows):
            batches = source.next()
            if batches is None:
                raise DataError(
                    f"members.{self._members[member].name}: {self._members[member].use} ended after its turn {earlier}; data "
                    "that is trained on begins again at its end, so let it repeat or lower fit.steps."
                )
            return batches
        positions = self._of.positions(earlier, rows)
        with isolation(source.one_by_one, self._of.plan, number):
            return [source.batch(part) for part in (_whole if self._of.unit == "micro-batch" else self._of.cut)(positions)]

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next update, and where the members stand that order their own batches."""
        if self._before is not None:
            return self._before
        return {"update": self._update, "members": {m.name: s.state_dict() for m, s in self._feeds()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue there."""
        self._update, self._before = int(state["update"]), None
        for member, source in self._feeds():
            source.load_state_dict(state["members"][member.name])

    def close(self) -> None:
        """End worker processes."""
        for _, source in self._feeds():
            source.close()

    def _feeds(self) -> list[tuple[Member, Feed]]:
        return [(m, s) for m, s in zip(self._members, self._sources, strict=True) if not isinstance(s, EndlessRows)]


class InTurn:
    """Every example of the members once, in order: a batch of each in turn until it ends, so that few batches show all."""

    def __init__(self, members: Sequence[Member], feeds: Sequence[Feed], made: Assembler) -> None:
        self._members, self._feeds, self._made = members, feeds, made
        self._turn = 0
        self._ended = [False] * len(feeds)

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update; None when all have ended."""
        while not all(self._ended):
            turn, self._turn = self._turn, (self._turn + 1) % len(self._feeds)
            batches = None if self._ended[turn] else self._feeds[turn].next()
            if batches is not None:
                return [self._made.single(batch, self._members[turn].number) for batch in batches]
            self._ended[turn] = True
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return whose turn it is, and where the members stand."""
        return {"turn": self._turn, "ended": list(self._ended), "members": [feed.state_dict() for feed in self._feeds]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue there."""
        self._turn, self._ended = int(state["turn"]), list(state["ended"])
        for feed, own in zip(self._feeds, state["members"], strict=True):
            feed.load_state_dict(own)

    def close(self) -> None:
        """End worker processes."""
        for feed in self._feeds:
            feed.close()


def member_feed(member: Member, split: str, plan: BatchPlan, accumulate: int, rows: int, workers: int = 0) -> Feed:
    """Return a member's own feed, its randomness apart from the others'. rows: of an update on this process."""
    own = replace(plan, batch_size=rows, seed=derive(plan.seed, "member", member.name))
    return make_feed(member.data, split, own, min(accumulate, rows), workers)
