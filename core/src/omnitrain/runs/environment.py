"""What a run writes down about where it ran."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path
from typing import Any

RELEVANT = ("torch", "numpy", "transformers", "accelerate", "peft", "tokenizers", "safetensors", "pydantic", "pluggy")
CPU_FILE = Path("/proc/cpuinfo")
# Instructions that compute bfloat16: of x86 with AVX-512 or AMX, of ARM.
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
# The marker of a requirement that belongs to an extra, as metadata has it.
EXTRA = re.compile(r";.*\bextra\s*==")


def describe_environment() -> dict[str, Any]:
    """Return versions, machine and processors: no user name, no environment variable, no path of the machine."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "cpu": describe_cpu(),
        "packages": {**versions(RELEVANT), **own_versions()},
        "byte_order": sys.byteorder,
    }


def describe_cpu() -> dict[str, Any]:
    """Return {"kind", "bf16"}: the processor's kind, on which float32 training repeats to the bit, and whether it computes
    bfloat16 itself (None where that can't be told).
    """
    try:
        text = CPU_FILE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {"kind": platform.processor() or platform.machine(), "bf16": None}
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), value.strip())
    flags = found.get("flags", found.get("features", "")).split()
    kind = found.get("model name") or f"{platform.machine()} {found.get('cpu part', '')}".strip()
    return {"kind": kind, "bf16": bool(BFLOAT16.intersection(flags)) if flags else None}


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those of the named distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def own_versions() -> dict[str, str]:
    """Return the versions of all installed distributions of this project and of its plugins."""
    found: dict[str, str] = {}
    for distribution in distributions():
        if "omnitrain.plugins" in (distribution.read_text("entry_points.txt") or ""):
            metadata = distribution.metadata
            found.setdefault(str(metadata["Name"]), str(metadata["Version"]))
    return dict(sorted(found.items()))


def code_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of these distributions and of those of this project that they require, directly or not.

    Installing something unrelated, or an extra such as that of the tests, does not change the answer.
    """
    own = {_normal(name): (name, found) for name, found in own_versions().items()}
    pending, chosen = [_normal(name) for name in names], {}
    while pending:
        key = pending.pop()
        if key not in own or own[key][0] in chosen:
            continue
        name, found = own[key]
        chosen[name] = found
        needed = [text for text in requires(name) or () if not EXTRA.search(text)]
        pending += [_normal(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]) for text in needed]
    return dict(sorted(chosen.items()))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
