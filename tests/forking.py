"""The command line in children of one process that has imported everything: real processes without their imports' seconds.

Signals, kills, exit codes, streams, the folder and what PYTHONPATH adds are the child's own. What begins with an interpreter
(start-up) needs a process of its own instead: `subprocess` with COMMAND of conftest.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTS = ("omnitrain.cli", "omnitrain.engine.execution", "omnitrain.engine.fit", "omnitrain.engine.evaluate", "torch._dynamo")
LOOK_SECONDS = 0.005


class Child:
    """One command that was started. pid: of its process."""

    def __init__(self, server: Server, number: int, pid: int, folder: Path) -> None:
        self._server, self._number, self.pid = server, number, pid
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"

    def poll(self) -> int | None:
        """Return the exit code, negative after a signal, or None while it runs."""
        return self._server.code(self._number, 0.0)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, limit_s: float = 300.0) -> int:
        """Return the exit code; AssertionError, and it is killed, when it takes longer than `limit_s`."""
        code = self._server.code(self._number, limit_s)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"no end after {limit_s:g} s\n{self.stdout.read_text()}\n{self.stderr.read_text()}")
        return code

    def finish(self, limit_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Wait and return exit code and what was printed."""
        code = self.wait(limit_s)
        return subprocess.CompletedProcess([], code, self.stdout.read_text(), self.stderr.read_text(errors="replace"))


class _Lines:
    """Lines of a descriptor, of which one can ask whether one is there; a buffered file can't be asked."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._held, self.ended = descriptor, b"", False

    def next(self, limit_s: float | None) -> str | None:
        """Return a line, or None when none came within `limit_s` (None: for ever) or the other side has closed."""
        while b"\n" not in self._held and not self.ended:
            if not select.select([self._descriptor], [], [], limit_s)[0]:
                return None
            read = os.read(self._descriptor, 1 << 16)
            self._held, self.ended = self._held + read, not read
        line, found, self._held = self._held.partition(b"\n")
        return line.decode() if found else None


class Server:
    """The process that forks. It starts with the first command and takes the environment of each from its caller."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="omnitrain-tests-")
        self._codes: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        self._lines = _Lines(-1)
        self._count = 0

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], prelude: str = "") -> Child:
        """Start a command. prelude: Python that the child executes first."""
        self._count += 1
        number, scratch = self._count, Path(self._scratch.name) / str(self._count)
        scratch.mkdir()
        for name in ("stdout", "stderr"):
            (scratch / name).touch()
        request = {
            "number": number,
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "scratch": str(scratch),
            "prelude": prelude,
        }
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )
            assert self._process.stdout is not None
            self._lines = _Lines(self._process.stdout.fileno())
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        while number not in self._pids:
            self._hear(None)
        return Child(self, number, self._pids[number], scratch)

    def code(self, number: int, limit_s: float) -> int | None:
        """Return the exit code of a command that has ended, after at most `limit_s`."""
        ends = time.monotonic() + limit_s
        while number not in self._codes:
            heard = self._hear(max(0.0, ends - time.monotonic()))
            if not heard and time.monotonic() >= ends:
                return None
        return self._codes[number]

    def _hear(self, limit_s: float | None) -> bool:
        """Read one line of the server, if one comes in time."""
        line = self._lines.next(limit_s)
        assert not self._lines.ended, "the process that forks has ended"
        if line is None:
            return False
        said = json.loads(line)
        if "pid" in said:
            self._pids[said["number"]] = said["pid"]
        else:
            self._codes[said["number"]] = said["code"]
        return True

    def close(self) -> None:
        """End the process; children that still run are killed."""
        for number, pid in self._pids.items():
            if self._process is not None and self.code(number, 0.0) is None:
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None
        self._scratch.cleanup()


class _Serving:
    """The server's own side: reads requests, forks, tells of pids and ends."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        self._descriptor = os.dup(0)
        self._requests = _Lines(self._descriptor)
        os.dup2(2, 1)  # what modules print must not get between the answers
        self._running: dict[int, tuple[int, Path]] = {}

    def serve(self) -> None:
        """Serve until the requests end."""
        _import(IMPORTS)
        while True:
            line = self._requests.next(LOOK_SECONDS)
            if line is not None:
                self._fork(json.loads(line))
            elif self._requests.ended:
                os._exit(0)  # the interpreter would take seconds to take torch down
            self._reap()

    def _fork(self, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            os.close(self._descriptor)
            _carry_out(request)
        self._running[pid] = (request["number"], Path(request["scratch"]))
        self._say({"number": request["number"], "pid": pid})

    def _reap(self) -> None:
        for pid, (number, scratch) in list(self._running.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._running[pid]
                self._say({"number": number, "code": os.waitstatus_to_exitcode(status)})
                loaded = scratch / "loaded.json"
                if loaded.exists():
                    _import(json.loads(loaded.read_text(encoding="utf-8")))

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def _import(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):  # the child meets the same error where it is reported
            importlib.import_module(name)


def _carry_out(request: dict[str, Any]) -> None:
    code = 99
    try:
        scratch = Path(request["scratch"])
        for stream, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [place for place in places if place and place not in sys.path]
        importlib.invalidate_caches()
        sys.argv = ["omnitrain", *request["arguments"]]
        before = set(sys.modules)
        exec(request["prelude"], {"__name__": "prelude"})  # noqa: S102 - the tests' own text
        from omnitrain.cli import run

        code = run(request["arguments"])
        (scratch / "loaded.json").write_text(json.dumps([name for name in sys.modules if name not in before]))
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:  # nothing may return into the server's loop
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _Serving().serve()
