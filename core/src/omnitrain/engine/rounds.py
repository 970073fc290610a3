"""Training on rows that the model makes itself, anew every few updates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from omnitrain.api.data import Batch, Data
from omnitrain.api.protocols import BatchPlan, Feed, MakesRounds
from omnitrain.api.run import Ledger, Run
from omnitrain.engine.batches import make_feed
from omnitrain.engine.engine import Engine, evaluating
from omnitrain.engine.models import weights_digest
from omnitrain.engine.parts import Parts
from omnitrain.engine.rng import isolated
from omnitrain.engine.settings import FitSettings
from omnitrain.errors import DataError, EnvironmentFault, PluginError
from omnitrain.runs.seeds import derive

LEDGER = "rounds"


def training_feed(run: Run, engine: Engine, parts: Parts, split: str, plan: BatchPlan, settings: FitSettings) -> Feed:
    """Return the feed that a model is trained on: in rounds where the model makes the rows, else as `make_feed`."""
    if isinstance(parts.data, MakesRounds):
        return RoundFeed(run, engine, parts, split, plan, settings)
    return make_feed(parts.data, split, plan, settings.accumulate, settings.workers)


def make_part(data: MakesRounds, model: nn.Module, number: int, part: int, seed: int) -> list[Any]:
    """Return the rows of one part of a round as JSON gives them; model and global generators are left as they were.

    Raises PluginError for rows that are no plain JSON.
    """
    with isolated(derive(seed, "round", number, part)), evaluating(model):
        rows = list(data.make_part(model, number, part))
    try:
        found: list[Any] = json.loads(json.dumps(rows, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PluginError(f"make_part of {type(data).__name__} must return rows of plain JSON: {error}.") from error
    return found


def round_rows(ledger: Ledger) -> Iterator[tuple[int, str, Any]]:
    """Yield all rows that a training kept, as (number of the round, digest of the weights that made it, row).

    ledger: run.ledger("rounds") of the stage.
    """
    for _, item in ledger.items():
        yield from ((item["round"], item["weights"], row) for row in item["rows"])


class RoundFeed:
    """Gives the batches of one round after the other; each begins with the rows that the model of that moment makes.

    The rows are kept in the ledger under the digest of the weights, part by part: a run that goes on from anywhere, also from
    the middle of the making, has the rows that it had, and makes none twice. The state is the number of the next update, the
    digest of the round's weights, and the state of the round's own feed.
    """

    def __init__(self, run: Run, engine: Engine, parts: Parts, split: str, plan: BatchPlan, settings: FitSettings) -> None:
        assert isinstance(parts.data, MakesRounds)
        self._run, self._engine, self._model, self._data = run, engine, parts.model, parts.data
        self._split, self._plan, self._settings = split, plan, settings
        self._every = parts.data.round_updates
        if self._every < 1:
            raise PluginError(f"round_updates of {type(parts.data).__name__} is {self._every}; a round has at least 1 update.")
        self._update = 0
        self._weights = ""
        self._feed: Feed | None = None
        self.making_round = False

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update; a round that begins with it is made first.

        Raises Stopped on request between two parts of a round, and what making one raises; the feed then stands before the
        round.
        """
        if self._update % self._every == 0:
            self._begin(self._update // self._every)
        assert self._feed is not None
        batches = self._feed.next()
        self._update += 1
        return batches

    def _begin(self, number: int) -> None:
        self.making_round = True  # a fault in it is not the update's own
        self._weights, rows = self._engine.on_main(lambda: self._make(number))
        self._take(number, rows)
        self._run.event("round", number=number, rows=len(rows), weights=self._weights)
        self.making_round = False

    def _make(self, number: int) -> tuple[str, list[Any]]:
        """Return the digest of the weights and the rows that they make, those that are there already included."""
        weights, ledger = weights_digest(self._model), self._run.ledger(LEDGER)

        def make(part: int) -> dict[str, Any]:
            rows = make_part(self._data, self._model, number, part, self._plan.seed)
            return {"round": number, "part": part, "weights": weights, "rows": rows}

        parts, label = range(self._data.round_parts(number)), f"round {number}"
        made = ledger.map(make, parts, key=lambda part: _key(number, weights, part), label=label)
        return weights, [row for _, item in made for row in item["rows"]]

    def _take(self, number: int, rows: Sequence[Any]) -> None:
        if not rows:
            raise DataError(f"The model made no rows in round {number}: look at what it is asked.")
        self._data.take_round(number, rows)
        self.close()
        plan = replace(self._plan, seed=derive(self._plan.seed, "round", number))
        data: Data = self._data
        self._feed = make_feed(data, self._split, plan, self._settings.accumulate, self._settings.workers)

    def state_dict(self) -> dict[str, Any]:
        """Return where the feed stands; the rows are in the ledger."""
        if self._update % self._every == 0 or self._feed is None:
            return {"update": self._update}
        return {"update": self._update, "weights": self._weights, "feed": self._feed.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state stood, with the rows that its round had.

        Raises EnvironmentFault where they are not in the ledger.
        """
        self._update = int(state["update"])
        self.close()
        self._feed = None
        if self._update % self._every:
            self._weights = state["weights"]
            number = self._update // self._every
            self._take(number, self._engine.on_main(lambda: self._kept(number)))
            assert self._feed is not None
            self._feed.load_state_dict(state["feed"])

    def _kept(self, number: int) -> list[Any]:
        ledger = self._run.ledger(LEDGER)
        keys = [_key(number, self._weights, part) for part in range(self._data.round_parts(number))]
        missing = [key for key in keys if key not in ledger]
        if missing:
            raise EnvironmentFault(
                f"The rows of round {number}, on which training goes on, are not all in {self._run.directory / LEDGER}: "
                f"{len(missing)} of {len(keys)} parts are missing. Put the folder back, or begin anew with another --out."
            )
        return [row for key in keys for row in ledger[key]["rows"]]

    def close(self) -> None:
        """End the worker processes, if any."""
        if self._feed is not None:
            self._feed.close()


def _key(number: int, weights: str, part: int) -> str:
    return f"{number:06d}-{weights[:16]}-{part:05d}"
