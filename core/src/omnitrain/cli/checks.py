"""What `omnitrain doctor` looks at. Each check returns findings; only "broken" ones make the command fail."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from omnitrain.errors import OmnitrainError

LIBRARIES = ("torch", "numpy", "transformers", "accelerate", "peft", "safetensors", "pydantic")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
INSTRUCTIONS = (("amx_bf16", "AMX bf16"), ("avx512_bf16", "AVX-512 bf16"), ("avx512f", "AVX-512"), ("avx2", "AVX2"))
SPACE_LOW = 2 * 2**30
IMPORT_TIMEOUT_S = 60

Level = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table. advice: what to do, where there is something to do."""

    name: str
    level: Level
    value: str
    advice: str = ""


def check_all() -> list[Finding]:
    """Run every check."""
    checks = (_python, _libraries, _torchvision, _processor, _devices, _folders, _variables, _plugins)
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding(
        "platform", "ok", f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors"
    )


def _libraries() -> Iterator[Finding]:
    for name in LIBRARIES:
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            advice = "training needs it: pip install 'omnitrain-core[torch]'" if name == "torch" else ""
            yield Finding(name, "note", "absent", advice)


def _imports(name: str) -> str | None:
    """Import a module in a process of its own; return its last line of error, or None."""
    command = [sys.executable, "-c", f"import {name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"its import took longer than {IMPORT_TIMEOUT_S} s"
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit status {done.returncode}")


def _torchvision() -> Iterator[Finding]:
    """A torchvision that does not fit torch makes transformers fail, with an error that names neither."""
    if find_spec("torchvision") is None:
        return
    error = _imports("torchvision")
    if error is None:
        yield Finding("torchvision", "ok", version("torchvision"))
    else:
        advice = "it does not fit torch and breaks transformers: uninstall it, or install the version made for this torch"
        yield Finding("torchvision", "broken", f"can't be imported: {error}", advice)


def _processor() -> Iterator[Finding]:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("flags")[2].split("\n")[0].split()
    except OSError:
        return
    found = [name for flag, name in INSTRUCTIONS if flag in flags]
    bf16 = any("bf16" in name for name in found)
    advice = "" if bf16 else "fit.precision=bf16 is slow on this processor; keep float32"
    yield Finding("processor", "ok", ", ".join(found) or "no vector instructions", advice)


def _devices() -> Iterator[Finding]:
    if find_spec("torch") is None:
        return
    try:
        from omnitrain.engine.devices import describe_devices

        names, threads = describe_devices()
    except Exception as error:  # a torch that can't be imported is a finding
        yield Finding("devices", "broken", f"torch can't be used: {type(error).__name__}: {error}", "install torch again")
        return
    yield Finding("devices", "ok", ", ".join(names))
    yield Finding("threads", "ok", str(threads))


def _folders() -> Iterator[Finding]:
    from omnitrain.places import cache_folder

    try:
        yield _folder("cache folder", cache_folder(), "set OMNITRAIN_CACHE")
    except OmnitrainError as error:
        yield Finding("cache folder", "broken", str(error), "set OMNITRAIN_CACHE")
    yield _folder("runs folder", Path("runs"), "use --out")


def _folder(name: str, folder: Path, advice: str) -> Finding:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding(name, "broken", f"{folder} can't be written", advice)
    free = shutil.disk_usage(place).free
    text = f"{folder}, {free / 2**30:.1f} GiB free"
    return Finding(name, "note", text, f"little space is left; {advice}") if free < SPACE_LOW else Finding(name, "ok", text)


def _variables() -> Iterator[Finding]:
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield Finding("PYTHONDONTWRITEBYTECODE", "note", "set", "imports take more than twice as long; unset it")
    for name in OFFLINE:
        if name in os.environ:
            yield Finding(name, "ok", os.environ[name])


def _plugins() -> Iterator[Finding]:
    from omnitrain.plugins import discover

    for state in discover(afresh=True):
        healthy = state.status in ("ok", "disabled")
        value = f"{state.status}, {state.distribution} {state.version}"
        advice = "" if healthy else f"{state.reason}; repair or uninstall {state.distribution}"
        yield Finding(f"plugin {state.name}", "ok" if healthy else "broken", value, advice)
