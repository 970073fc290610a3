"""What importing a plugin's description and its configs loads, seen in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnitrain.api import Component
    from omnitrain_testing.examination import Examination

HEAVY = ("torch", "numpy", "transformers")
PROBE = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
found = {}
for name, watched in json.loads(sys.argv[2]):
    before = set(sys.modules)
    try:
        importlib.import_module(name)
        found[name] = sorted(w for w in watched if w in sys.modules and w not in before)
    except BaseException as error:
        found[name] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(found))
"""


def loaded(examination: Examination) -> dict[str, list[str] | str]:
    """Return, by module, which heavy packages its import loads, or how it fails: first the description, then the configs."""
    if examination.loaded is None:
        configs = sorted({c.config.partition(":")[0] for c in examination.plugin.components} - {examination.module})
        watched = [("omnitrain.api", ()), (examination.module, (*HEAVY, "pydantic"))]
        watched += [(name, HEAVY) for name in configs]
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONWARNINGS", "COV_CORE_SOURCE")}
        done = subprocess.run(
            [sys.executable, "-c", PROBE, json.dumps(sys.path), json.dumps(watched)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        examination.loaded = json.loads(done.stdout.strip().splitlines()[-1])
    assert examination.loaded is not None
    return examination.loaded


def light_import(examination: Examination) -> Iterator[str]:
    """The description is read whenever omnitrain starts: it must load nothing heavy."""
    yield from _verdict(examination.module, loaded(examination)[examination.module], "omnitrain.api")


def light_config(examination: Examination, component: Component) -> Iterator[str]:
    """Configs are read to check a recipe: they may load pydantic, nothing heavier."""
    module, _, name = component.config.partition(":")
    if module == examination.module:
        yield f"Its config {name} lives in {module}, which would load pydantic at every start: move it to a module of configs."
        return
    yield from _verdict(module, loaded(examination)[module], "omnitrain.api and pydantic")


def _verdict(module: str, found: list[str] | str, allowed: str) -> Iterator[str]:
    if isinstance(found, str):
        yield f"Importing {module} fails in a fresh process: {found}. Make it importable by itself."
    elif found:
        yield f"Importing {module} loads {', '.join(found)}: import {allowed} only, the rest inside the functions that use it."
