"""Find plugins by entry points, one at a time, so that a broken one is a line in a table and never stops the rest."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions
from types import FrameType
from typing import Any, Literal

import pluggy

from omnitrain.api import hooks
from omnitrain.api.descriptors import KINDS, Component, Plugin
from omnitrain.api.version import incompatibility

GROUP = "omnitrain.plugins"
IMPORT_TIME_LIMIT_S = 10.0

Status = Literal["ok", "broken", "incompatible", "duplicate", "disabled"]


@dataclass(frozen=True)
class PluginState:
    """One entry point and what became of it. plugin is None unless status is "ok"."""

    name: str
    distribution: str
    version: str
    status: Status
    reason: str = ""
    plugin: Plugin | None = None
    api: str = ""
    trace: str = field(default="", repr=False)
    printed: str = field(default="", repr=False)


class _TookTooLong(BaseException):
    """Raised in a plugin's import after the time limit; not an Exception, so that the plugin can't swallow it."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after that many seconds; only possible in the main thread, elsewhere no limit holds."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def expire(signum: int, frame: FrameType | None) -> None:
        raise _TookTooLong

    previous = signal.signal(signal.SIGALRM, expire)
    # Repeated, since an exception raised inside a finaliser or a callback is dropped by the interpreter.
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _describe(module_name: str) -> Plugin:
    """Import one description module and ask it for its plugin through pluggy, which checks the hook's signature."""
    module = importlib.import_module(module_name)
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(module, name=module_name)
    manager.check_pending()
    answers = manager.hook.omnitrain_plugin()
    if not answers:
        raise TypeError(f"{module_name} has no function marked @hookimpl named 'omnitrain_plugin'")
    plugin = answers[0]
    if not isinstance(plugin, Plugin):
        raise TypeError(f"omnitrain_plugin() of {module_name} returned {type(plugin).__name__}, expected omnitrain.api.Plugin")
    return plugin


def _fault(plugin: Plugin, entry_name: str) -> str | None:
    """Say what is wrong in a description, or None."""
    if plugin.name != entry_name:
        return f"calls itself {plugin.name!r}, its entry point is named {entry_name!r}"
    seen: set[tuple[str, str]] = set()
    for component in plugin.components:
        if not isinstance(component, Component):
            return f"lists {component!r} among its components; expected omnitrain.api.Component"
        if component.kind not in KINDS:
            return f"component {component.name!r} has kind {component.kind!r}; known kinds: {', '.join(KINDS)}"
        if (component.kind, component.name) in seen:
            return f"describes the {component.kind} {component.name!r} twice"
        seen.add((component.kind, component.name))
        for reference in (component.config, component.build):
            if ":" not in reference or ".." in reference:
                return f"component {component.name!r} refers to {reference!r}; expected 'module:attribute'"
    return None


@dataclass(frozen=True)
class _Found:
    """One entry point with its distribution. fault: why it can't be read."""

    name: str
    distribution: str
    version: str
    module: str = ""
    fault: str = ""


def _load(found: _Found) -> PluginState:
    printed = io.StringIO()

    def state(status: Status, reason: str, **more: Any) -> PluginState:
        return PluginState(found.name, found.distribution, found.version, status, reason, printed=printed.getvalue(), **more)

    if found.fault:
        return state("broken", found.fault)
    try:
        with _time_limit(IMPORT_TIME_LIMIT_S), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            plugin = _describe(found.module)
        misfit = incompatibility(plugin.api)
        fault = None if misfit else _fault(plugin, found.name)
    except _TookTooLong:
        return state("broken", f"its import took longer than {IMPORT_TIME_LIMIT_S:g} s")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything at import, SystemExit too; it becomes its state
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return state("broken", reason, trace=traceback.format_exc())
    if misfit:
        return state("incompatible", misfit, api=str(plugin.api))
    if fault:
        return state("broken", fault, api=plugin.api)
    return state("ok", "", plugin=plugin, api=plugin.api)


def _points(distribution: Distribution) -> Iterator[_Found]:
    """Yield the plugins of one distribution, whatever state its files are in."""
    text = distribution.read_text("entry_points.txt") or ""
    if GROUP not in text:
        return
    metadata = distribution.metadata
    name, version = str(metadata["Name"] or "?"), str(metadata["Version"] or "?")
    try:
        points: list[EntryPoint] = [p for p in distribution.entry_points if p.group == GROUP]
    except (TypeError, ValueError) as error:
        yield _Found(name, name, version, fault=f"its entry_points.txt is damaged: {error}")
        return
    for point in points:
        yield _Found(point.name, name, version, point.value.partition(":")[0])


def _allowed() -> set[str] | None:
    """Names in OMNITRAIN_PLUGINS (comma separated), or None where all may load. "core" always may."""
    value = os.environ.get("OMNITRAIN_PLUGINS")
    return None if value is None else {n.strip() for n in value.split(",") if n.strip()} | {"core"}


def discover() -> list[PluginState]:
    """Load the description of every installed plugin, in order of name.

    With two distributions for one name the first (by distribution name) is used and the others are "duplicate".
    """
    allowed = _allowed()
    states: list[PluginState] = []
    owner: dict[str, str] = {}
    found: dict[tuple[str, str, str], _Found] = {}
    for distribution in distributions():
        for point in _points(distribution):
            found.setdefault((point.name, point.distribution, point.module), point)
    for _, point in sorted(found.items()):
        name, distributor, version = point.name, point.distribution, point.version
        if allowed is not None and name not in allowed:
            states.append(PluginState(name, distributor, version, "disabled", "not listed in OMNITRAIN_PLUGINS"))
        elif name in owner:
            reason = f"the name {name!r} is already taken by {owner[name]}: uninstall one of the two"
            states.append(PluginState(name, distributor, version, "duplicate", reason))
        else:
            owner[name] = distributor
            states.append(_load(point))
    return states
