"""Installing and removing distributions in the environment that runs this command, with its own installer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omnitrain.cli.output import note
from omnitrain.errors import EnvironmentFault, UsageError, nearest

PREFIX = "omnitrain-"
CORE = "omnitrain-core"
LAST_LINES = 12
LAST_AGAIN = 2

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIREMENT = re.compile(rf"(?P<name>{_NAME.pattern})(?P<rest>\s*(?:\[.*|[<>=!~@;].*)?)")


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(spec: str) -> str:
    """Return what the installer is asked for: "ul2" means "omnitrain-ul2"; paths, wheels and addresses stay as they are.

    Raises UsageError for an option and for what is neither a name nor a path that is there.
    """
    if spec.startswith("-"):
        raise UsageError(f"{spec!r} is no plugin; options of the installer are not passed on, use pip itself for them.")
    head, named, _ = spec.partition(" @ ")
    if "://" in head or spec.startswith("file:"):
        return spec
    path = Path(re.sub(r"\[[^\]]*\]$", "", spec))
    if not named and ("/" in spec or spec.startswith(".") or path.suffix in (".whl", ".gz", ".zip")):
        if not path.exists():
            raise UsageError(f"{path} is not there; expected a folder with pyproject.toml, a wheel or a plugin's name.")
        return spec
    match = _REQUIREMENT.fullmatch(spec)
    if match is None:
        raise UsageError(f"{spec!r} is neither a plugin's name such as 'ul2', nor a path, nor an address.")
    name = match["name"]
    return spec if normal(name).startswith(PREFIX) else f"{PREFIX}{spec}"


def installer() -> tuple[list[str], list[str]]:
    """Return the commands that install into and remove from this environment: its pip, else uv.

    Raises EnvironmentFault when neither is there.
    """
    if find_spec("pip") is not None:
        base = [sys.executable, "-m", "pip"]
        quiet = ["--disable-pip-version-check", "--no-input"]
        return [*base, "install", *quiet], [*base, "uninstall", *quiet, "--yes"]
    uv = shutil.which("uv")
    if uv is None:
        raise EnvironmentFault(f"{sys.prefix} has no pip, and there is no uv; 'python -m ensurepip' brings pip.")
    return [uv, "pip", "install", "--python", sys.executable], [uv, "pip", "uninstall", "--python", sys.executable]


def call(command: Sequence[str], what: str, quiet: bool) -> None:
    """Run an installer and show what it prints on standard error, unless quiet.

    Raises EnvironmentFault with its last lines when it fails.
    """
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            if not quiet:
                note(line.rstrip())
    if process.returncode:
        lines = [line for line in last if line]
        shown = "\n".join(f"  {line}" for line in (lines if quiet else lines[-LAST_AGAIN:]))
        raise EnvironmentFault(f"{what} failed; the installer's last lines:\n{shown}")


def discover_afresh() -> dict[str, dict[str, Any]]:
    """Return the installed plugins by distribution and name, found by a fresh process.

    Raises EnvironmentFault when omnitrain itself no longer starts.
    """
    command = [sys.executable, "-m", "omnitrain", "plugins", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = "\n".join(f"  {line}" for line in done.stderr.splitlines()[-LAST_LINES:])
        raise EnvironmentFault(f"omnitrain does not start in this environment any more:\n{shown}")
    return {f"{entry['distribution']}/{entry['name']}": entry for entry in json.loads(done.stdout)}


def removable(names: Sequence[str]) -> list[str]:
    """Return the distributions that names stand for: of a plugin, or of a shared package.

    Raises UsageError for the core, for what is not installed or not ours, and for what another plugin needs.
    """
    known = _own_distributions()
    chosen: list[str] = []
    for name in names:
        wanted = next((d for d, plugins in known.items() if name in plugins or normal(d) == normal(name)), None)
        wanted = wanted or next((d for d in known if normal(d) == normal(PREFIX + name)), None)
        if wanted is None:
            raise UsageError(f"Nothing named {name!r} is installed. {nearest(name, _short(known))}")
        if normal(wanted) == CORE:
            raise UsageError(f"{CORE} is what runs this command; remove it with pip itself.")
        chosen.append(wanted)
    for user, needed in _needs(known).items():
        blocked = [d for d in chosen if normal(d) in needed]
        if blocked and user not in chosen:
            raise UsageError(f"{user} needs {blocked[0]}; remove {user} first, or both at once.")
    return list(dict.fromkeys(chosen))


def _own_distributions() -> dict[str, list[str]]:
    """Return the distributions with plugins and the names of these."""
    found: dict[str, list[str]] = {}
    for distribution in distributions():
        points = [p.name for p in distribution.entry_points if p.group == "omnitrain.plugins"]
        if points:
            found.setdefault(str(distribution.metadata["Name"]), []).extend(points)
    return found


def _short(known: dict[str, list[str]]) -> list[str]:
    return [name for plugins in known.values() for name in plugins if name != "core"]


def _needs(known: dict[str, list[str]]) -> dict[str, set[str]]:
    """Return for each of our distributions the names of what it requires."""
    found: dict[str, set[str]] = {}
    for distribution in distributions():
        name = str(distribution.metadata["Name"])
        if name in known:
            texts = [text for text in distribution.requires or () if "extra ==" not in text]
            found[name] = {normal(match[0]) for text in texts if (match := _NAME.match(text)) is not None}
    return found
