"""Which game is played: the one that is named, or the one in which a model's or data's episodes were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitrain.api import Run
from omnitrain.errors import UsageError
from omnitrain_control.codecs import described_actions
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.fleets import Fleet, make_fleet
from omnitrain_control.observations import is_vector

Game = Mapping[str, Any]
"""id, settings and steps of an environment, "observations" as text and their "observation_size", and its "actions"."""


def described_game(config: EnvironmentConfig, fleet: Fleet) -> dict[str, Any]:
    """Return the game of a fleet as plain JSON, which recordings and models keep."""
    return {
        "id": config.id,
        "settings": config.settings,
        "steps": config.steps,
        "observations": str(fleet.source_space),
        "observation_size": int(fleet.observation_space.shape[0]),
        "actions": described_actions(fleet.action_space),
    }


def chosen_game(config: EnvironmentConfig, known: Game | None, whose: str) -> EnvironmentConfig:
    """Return the config of what is played: its own game, or the known one where it names none.

    Raises UsageError where neither is there. whose: what could tell a game, for the message.
    """
    if config.id is not None:
        return config
    if known is None:
        raise UsageError(f"No game is named and {whose} tells none: set environment.id to a gymnasium environment.")
    settings = {**known["settings"], **config.settings}
    steps = config.steps if config.steps is not None else known["steps"]
    return config.model_copy(update={"id": known["id"], "settings": settings, "steps": steps})


def open_game(config: EnvironmentConfig, run: Run) -> Fleet:
    """Make the environments of a config, and tell what a user would not expect of them.

    Raises UsageError for observations that can't be vectors, EnvironmentFault for an environment that fails.
    """
    fleet = make_fleet(config, run.seed("environments"))
    try:
        for name, note in _notes(fleet).items():
            run.event(name, environment=config.id, note=note)
    except BaseException:
        fleet.close()
        raise
    return fleet


def _notes(fleet: Fleet) -> dict[str, str]:
    """Return by name what is told of a fleet before it plays."""
    found = {}
    if not is_vector(fleet.source_space):
        size = fleet.observation_space.shape[0]
        found["flattened"] = f"its observations, {fleet.source_space}, are read as vectors of {size} numbers"
    if fleet.limit is None:
        found["no limit"] = "it has no limit of steps, so an episode lasts as long as it wants; environment.steps sets one"
    if fleet.unrepeatable():
        found["not repeatable"] = "reset(seed) does not decide its episodes, so the same run plays others each time"
    return found


def planned_game(config: EnvironmentConfig) -> tuple[Fleet, dict[str, str]]:
    """Make one environment of a config for a dry run and close it; return the fleet, for its spaces, and what is told of it:
    "flattened", "no limit" and "not repeatable", where they hold.

    It is reset and takes a few steps, so that what fails fails before anything is trained.
    Raises UsageError for observations that can't be vectors, EnvironmentFault for an environment that fails.
    """
    with make_fleet(config.model_copy(update={"count": 1, "processes": 0}), 0) as fleet:
        return fleet, _notes(fleet)


def check_game(made_for: Game | None, fleet: Fleet, name: str | None) -> None:
    """Refuse environments whose actions mean something else than in the game that a model was made for.

    Raises UsageError that names both.
    """
    if made_for is None:
        return
    actions = described_actions(fleet.action_space)
    if actions != made_for["actions"]:
        raise UsageError(
            f"The model was made for {made_for['id']} with the actions {_short(made_for['actions'])}; {name} has "
            f"{_short(actions)}: play it in a game with the same actions."
        )


def _short(actions: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in actions.items())
