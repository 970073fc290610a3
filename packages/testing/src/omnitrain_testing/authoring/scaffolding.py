"""Writing a new plugin from the templates beside this module."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from omnitrain.api import API_VERSION
from omnitrain.api.descriptors import KINDS
from omnitrain.api.references import package_of
from omnitrain.errors import EnvironmentFault, UsageError

SUFFIX = ".jinja"
RESERVED = ("api", "control", "core", "language", "omnitrain", "testing")
LONGEST = 40
EDITED = {
    "data": "data/points.py",
    "model": "models/perceptron.py",
    "objective": "objectives/huber.py",
    "evaluator": "evaluators/error.py",
    "stage": "stages/residuals.py",
}
# A stage is left out of plugins of the other kinds: most need none of their own.
OF_A_STAGE = ("stages/__init__.py", "stages/residuals.py", "configs/stages.py", "tests/test_residuals.py")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check_name(name: str, taken: dict[str, str]) -> None:
    """Check a new plugin's name. taken: names of installed plugins with their distributions.

    Raises UsageError that says what a name looks like.
    """
    if name.startswith("omnitrain"):
        raise UsageError(f"{name!r}: leave out 'omnitrain', the distribution is named omnitrain-NAME anyway.")
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        advice = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-0123456789")[:LONGEST].strip("-")
        hint = f" Try {advice!r}." if _NAME.fullmatch(advice) else ""
        raise UsageError(
            f"{name!r} is no name for a plugin; expected up to {LONGEST} lower-case letters and digits, beginning with a "
            f"letter, words joined by hyphens.{hint}"
        )
    if name in RESERVED:
        raise UsageError(f"{name!r} is reserved; choose another name.")
    if name in taken:
        raise UsageError(f"A plugin named {name!r} is installed already ({taken[name]}); choose another name.")


def write_plugin(name: str, kind: str, target: Path) -> list[Path]:
    """Write a package into a new or empty folder and return its files.

    Raises UsageError when the folder holds something, EnvironmentFault when it can't be written.
    """
    assert kind in KINDS
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} is there already and not empty; nothing was written. Choose another --dir.")
        written = []
        for relative, text in sorted(_rendered(name, kind).items()):
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise EnvironmentFault(f"{target} can't be written: {error.strerror}; choose another --dir.") from error
    return written


def _rendered(name: str, kind: str) -> dict[str, str]:
    """Return the text of every file by its path inside the package."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(  # Python and YAML, no HTML: nothing of it is escaped
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    values = _values(name, kind)
    found = {}
    for relative, text in _templates(files("omnitrain_testing.authoring") / "templates" / "plugin", ""):
        path = relative.removesuffix(SUFFIX).replace("src/package", f"src/{values['module']}")
        path = ".gitignore" if path == "gitignore" else path
        if kind == "stage" or not path.endswith(OF_A_STAGE):
            found[path] = environment.from_string(text).render(values)
    return found


def _values(name: str, kind: str) -> dict[str, Any]:
    start = {each: " Begin here: this is the part to make your own." if each == kind else "" for each in KINDS}
    return {
        "name": name,
        "module": package_of(name),
        "distribution": f"omnitrain-{name}",
        "kind": kind,
        "edit": EDITED[kind],
        "start": start,
        "api": ".".join(map(str, API_VERSION)),
    }


def _templates(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            found.append((prefix + entry.name, entry.read_text(encoding="utf-8")))
    return found
