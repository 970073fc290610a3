"""From a fresh clone to a first result: makes the virtual environment .venv and runs a plugin's demonstration in it.

    python3 bootstrap.py                  # core, language and ul2, then `omnitrain run ul2`
    python3 bootstrap.py --setup-only     # the environment alone, for development

Needs Python 3.11 or newer and pip. It writes to this folder only, and running it again is cheap. This file is kept
readable for older Pythons, so that they are told what is missing instead of showing a syntax error.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "omnitrain-setup.txt"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
OLDEST = (3, 11)


def fail(message: str) -> None:
    """Leave with a sentence that says what to do, and omnitrain's exit code for environments."""
    print(f"bootstrap.py: {message}", file=sys.stderr)
    raise SystemExit(5)


def succeeds(*command: str | Path) -> bool:
    """Whether the command ends well; what it prints is dropped."""
    return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0


def make_environment() -> None:
    """Create .venv, without pip: Debian's Python has no ensurepip unless python3-venv is installed."""
    if PYTHON.exists() and succeeds(PYTHON, "-c", ""):
        return
    if VENV.exists():
        fail(f"the virtual environment {VENV} is there, but its Python doesn't start; delete that folder and try again.")
    try:
        import venv
    except ImportError:
        fail("this Python has no venv module; install your system's package for it (python3-venv) and try again.")
    print(f"Creating a virtual environment in {VENV.name} ...", flush=True)
    venv.create(VENV, symlinks=os.name != "nt")


def find_pip() -> list[str]:
    """Return the pip that installs into .venv: this interpreter's, else one that ensurepip puts there."""
    outside = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    inside = [str(PYTHON), "-m", "pip"]
    if succeeds(*outside, "--version"):
        return outside
    if succeeds(*inside, "--version") or succeeds(PYTHON, "-m", "ensurepip"):
        return inside
    fail("this Python has no pip of version 22.3 or newer; install your system's package for it (python3-pip) and try again.")


def install(plugin: str) -> None:
    """Install the plugin, what it needs and the development tools, unless just these are installed already."""
    from workspace import CONSTRAINTS, editable, find_packages, with_requirements

    packages = find_packages()
    if plugin not in packages:
        fail(f"there is no package {plugin!r} in this repository; choose one of {', '.join(packages)}.")
    chosen = with_requirements([packages[plugin]])
    declarations = [CONSTRAINTS, *(package.path / "pyproject.toml" for package in chosen)]
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in declarations)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    names = ", ".join(sorted(package.distribution for package in chosen))
    print(f"Installing {names}, PyTorch and nox; the first time this takes minutes ...", flush=True)
    wishes = ["--constraint", str(CONSTRAINTS), "pip", "nox[uv]", *editable([packages[plugin]])]
    code = subprocess.run([*find_pip(), "install", "-qq", *wishes]).returncode
    if code:
        fail(f"pip ended with code {code} and says above why; mend that and run bootstrap.py again.")
    STAMP.write_text(wanted)


def main() -> None:
    """Make the environment, then hand over to the plugin's demonstration."""
    parser = argparse.ArgumentParser(description="Set up .venv and run a plugin's demonstration.")
    parser.add_argument("plugin", nargs="?", default="ul2", help="the plugin to install and run (default: ul2)")
    parser.add_argument("--setup-only", action="store_true", help="make the environment and stop before the demonstration")
    arguments = parser.parse_args()
    if sys.version_info < OLDEST:
        fail(f"omnitrain needs Python 3.11 or newer, and this is {sys.version.split()[0]}; start it with a newer python3.")
    make_environment()
    install(arguments.plugin)
    shown = f"{BIN.relative_to(ROOT) / 'omnitrain'} run {arguments.plugin}"
    if arguments.setup_only:
        print(f"Ready. The demonstration: {shown}. All tests: {BIN.relative_to(ROOT) / 'nox'}.")
        return
    print(f"Running {shown} ...", flush=True)
    raise SystemExit(subprocess.run([str(BIN / "omnitrain"), "run", arguments.plugin], cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
