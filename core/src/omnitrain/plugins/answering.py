"""Import one description and say what became of it, as plain data."""

from __future__ import annotations

import importlib
from typing import Any

from omnitrain.api.descriptors import Plugin
from omnitrain.api.version import incompatibility
from omnitrain.plugins.describing import Misdescribed, to_plain
from omnitrain.plugins.stamps import Watched, sources, stamps

Answer = dict[str, Any]


def broken(reason: str) -> Answer:
    """Return the answer for a plugin that can't be used."""
    return {"status": "broken", "reason": reason}


def ending(code: int) -> str:
    """Say how a process ended that gave no answer. code: as of Popen.returncode."""
    if code >= 0:
        return f"ended with exit code {code}"
    import signal

    try:
        return f"ended with signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"ended with signal {-code}"


def answer(name: str, module: str) -> Answer:
    """Import a description; whatever that raises becomes the reason. Also tells what the answer rests on."""
    import traceback

    watched = Watched(module)
    try:
        with watched:
            found = _described(_imported(module), name)
    except Misdescribed as error:
        found = broken(str(error))
    except BaseException as error:  # a plugin may raise anything at import, SystemExit and KeyboardInterrupt too
        found = {**broken(" ".join(f"{type(error).__name__}: {error}".split())[:300]), "trace": traceback.format_exc()}
    rests_on = watched.paths if found["status"] == "ok" else {*watched.paths, *sources(module)}
    return {**found, "stamps": stamps(rests_on)}


def own_answer(module: str) -> Answer:
    """Return the answer for the core's own description, which needs no process: it has to be there whatever happens."""
    found = _described(_imported(module), "core")
    return {**found, "stamps": stamps([str(importlib.import_module(module).__file__)])}


def _imported(module_name: str) -> Plugin:
    """Import one description module and ask it for its plugin through pluggy, which checks the hook's signature."""
    import pluggy

    from omnitrain.api import hooks

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


def _described(plugin: Plugin, name: str) -> Answer:
    misfit = incompatibility(plugin.api)
    if misfit:
        return {"status": "incompatible", "reason": misfit, "api": str(plugin.api)}
    plain = to_plain(plugin)
    if plugin.name != name:
        return broken(f"calls itself {plugin.name!r}, its entry point is named {name!r}")
    return {"status": "ok", "reason": "", "api": plugin.api, "plugin": plain}
