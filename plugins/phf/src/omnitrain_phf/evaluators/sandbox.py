"""Run a program that a model wrote in a process of its own with limits of time, memory and output.

The limits keep a faulty program from harming this machine by accident. They are no protection against malice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "timed out"]

# Sets the limits before anything of the program is read; written here, since the child imports nothing of ours.
_CHILD = """\
import resource, sys
memory, seconds = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
source = sys.stdin.read()
exec(compile(source, "program", "exec"), {"__name__": "__main__"})
"""


@dataclass(frozen=True)
class Limits:
    """timeout_s: wall time. memory_bytes: address space."""

    timeout_s: float
    memory_bytes: int


def run_program(source: str, limits: Limits) -> Outcome:
    """Run a program from its text in an empty folder, without the environment's variables, and say how it ended.

    "passed" is exit code 0. The whole process group is killed at the end, so that nothing is left behind.
    """
    seconds = max(1, int(limits.timeout_s + 1))
    with tempfile.TemporaryDirectory(prefix="omnitrain-program-") as folder:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, str(limits.memory_bytes), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder},
            start_new_session=True,
        )
        try:
            child.communicate(source.encode("utf-8", "replace"), timeout=limits.timeout_s)
            return "passed" if child.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            return "timed out"
        finally:
            _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Everything has ended already.
        child.poll()
    child.wait()


def run_programs(sources: list[str], limits: Limits, processes: int) -> list[Outcome]:
    """Run programs, some at a time; the outcomes are in their order."""
    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda source: run_program(source, limits), sources))
