"""Find plugins by entry points, one at a time, so that a broken one is a line in a table and never stops the rest.

This process imports no plugin for it: what isn't remembered is looked at by `looking`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from omnitrain.api.descriptors import Command, Plugin
from omnitrain.errors import PluginError, UsageError
from omnitrain.plugins.answering import own_answer
from omnitrain.plugins.describing import commands_from_plain, from_plain
from omnitrain.plugins.listing import Found, find, normal
from omnitrain.plugins.looking import MARK, look
from omnitrain.plugins.memory import Memory

CORE = "core"
IMPORT_TIME_LIMIT_S = 10.0
LIMIT_VARIABLE = "OMNITRAIN_PLUGIN_SECONDS"

Status = Literal["ok", "broken", "incompatible", "duplicate", "disabled"]


@dataclass(frozen=True)
class PluginState:
    """One entry point and what became of it. plugin is None unless status is "ok".

    printed: the first of what its import printed. characters: how much that was. remembered: not looked at just now.
    """

    name: str
    distribution: str
    version: str
    status: Status
    reason: str = ""
    plugin: Plugin | None = None
    api: str = ""
    trace: str = field(default="", repr=False)
    printed: str = field(default="", repr=False)
    characters: int = 0
    remembered: bool = False

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands that it adds."""
        return self.plugin.commands if self.plugin is not None else ()


@dataclass(frozen=True)
class _Told(PluginState):
    """A healthy plugin whose description is plain data, built when it is asked for: help needs the commands only."""

    plain: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        del self.__dict__["plugin"]  # so that what follows is asked

    @cached_property  # type: ignore[misc]
    def plugin(self) -> Plugin | None:
        return from_plain(self.plain)

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        return commands_from_plain(self.plain)


def _as(point: Found, status: Status, reason: str, **more: Any) -> PluginState:
    return PluginState(point.name, point.distribution, point.version, status, reason, **more)


def _contested(points: Sequence[Found]) -> dict[Found, str]:
    """Return those that may not have the name that they take, and why.

    A name belongs to the distribution omnitrain-NAME; where none of several is that, nobody gets it.
    """
    refused: dict[Found, str] = {}
    for point in points:
        rivals = [other for other in points if other.name == point.name and other is not point]
        owner = f"omnitrain-{normal(point.name)}"
        if normal(point.distribution) == owner and not any(normal(r.distribution) == owner for r in rivals):
            continue
        holder = next((r.distribution for r in rivals if normal(r.distribution) == owner), None)
        if holder is not None:
            refused[point] = f"the name {point.name!r} belongs to {holder}: uninstall {point.distribution}"
        elif point.name == CORE:
            refused[point] = f"the name {CORE!r} belongs to omnitrain-core: uninstall {point.distribution}"
        elif rivals:
            names = " and ".join(sorted({point.distribution, *(r.distribution for r in rivals)}))
            refused[point] = f"{names} both take the name {point.name!r}, and neither is {owner}: uninstall one of the two"
    return refused


def _allowed() -> set[str] | None:
    """Names in OMNITRAIN_PLUGINS (comma separated), or None where all may load. "core" always may."""
    value = os.environ.get("OMNITRAIN_PLUGINS")
    return None if value is None else {n.strip() for n in value.split(",") if n.strip()} | {CORE}


def _seconds() -> float:
    """How long the import of one description may take."""
    text = os.environ.get(LIMIT_VARIABLE)
    try:
        seconds = IMPORT_TIME_LIMIT_S if not text else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise UsageError(f"{LIMIT_VARIABLE} is {text!r}; expected seconds such as 30.")
    return seconds


def discover(afresh: bool | str = False) -> list[PluginState]:
    """Return the state of every installed plugin, in order of name; no plugin is imported into this process.

    afresh: look again at those that are remembered as not healthy, or at the one of that name.
    Raises PluginError in a process that looks at a description: that may not ask for other plugins.
    """
    if MARK in os.environ:
        raise PluginError("The description of a plugin asks for the installed plugins, which are only just being found.")
    memory = Memory()
    allowed, points = _allowed(), find(memory)
    refused = _contested([p for p in points if allowed is None or p.name in allowed])
    wanted: list[Found] = []
    states: dict[Found, PluginState] = {}
    for point in points:
        if allowed is not None and point.name not in allowed:
            states[point] = _as(point, "disabled", "not listed in OMNITRAIN_PLUGINS")
        elif point.fault:
            states[point] = _as(point, "broken", point.fault)
        elif point in refused:
            states[point] = _as(point, "duplicate", refused[point])
        else:
            wanted.append(point)
    states.update(_looked_up(wanted, memory, afresh))
    memory.write()
    return [states[point] for point in points]


def _looked_up(wanted: Sequence[Found], memory: Memory, afresh: bool | str) -> dict[Found, PluginState]:
    """Return the states of plugins from memory, and of the others by looking at them."""
    states: dict[Found, PluginState] = {}
    unknown: list[Found] = []
    for point in wanted:
        answer = memory.recall(point.key)
        state = None if answer is None else _state(point, answer, remembered=True)
        if state is None or (state.status != "ok" and afresh in (True, point.name)):
            unknown.append(point)
        else:
            states[point] = state
    if unknown:
        others = [point for point in unknown if point.name != CORE]
        looked = look([(point.name, point.module) for point in others], _seconds()) if others else []
        answers = dict(zip(others, looked, strict=True))
        answers |= {point: own_answer(point.module) for point in unknown if point.name == CORE}
        memory.keep({point.key: answer for point, answer in answers.items() if answer.get("stamps")})
        for point, answer in answers.items():
            states[point] = _state(point, answer) or _as(point, "broken", "its description could not be taken over")
    return states


def _state(point: Found, answer: dict[str, Any], remembered: bool = False) -> PluginState | None:
    """Turn an answer into a state; None for one that is damaged."""
    status, plain = answer.get("status"), answer.get("plugin")
    if status not in ("ok", "broken", "incompatible") or (status == "ok") != isinstance(plain, dict):
        return None
    told: dict[str, Any] = {key: answer.get(key, "") for key in ("api", "trace", "printed")}
    told |= {"characters": answer.get("characters", 0), "remembered": remembered}
    if status == "ok":
        return _Told(point.name, point.distribution, point.version, status, plain=plain or {}, **told)
    return _as(point, status, str(answer.get("reason")), **told)


def look_again(state: PluginState) -> PluginState:
    """Return the state of a plugin that is remembered as not healthy as it is now."""
    if not state.remembered:
        return state
    same = (s for s in discover(state.name) if (s.name, s.distribution) == (state.name, state.distribution))
    return next(same, state)
