"""A process that has imported the engine once and forks a child for every recipe that is to be run.

It reads a request a line from standard input, JSON, and answers a line with the child's exit code. The children's own
answers lie in files. Its environment, PYTHONHASHSEED above all, is theirs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ENGINE = ("omnitrain.engine.dryrun", "omnitrain.engine.evaluate", "omnitrain.engine.fit", "omnitrain.recipes", "torch._dynamo")
LOOK_SECONDS = 0.01
STOP_REASON = "the contract kit asks for it"


def main(modules: list[str]) -> None:
    """Import modules, then serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what modules print must not get between the answers
    _import((*ENGINE, *modules))
    loaded: Path | None = None
    for line in sys.stdin:
        if loaded is not None and loaded.exists():
            _import(json.loads(loaded.read_text(encoding="utf-8")))
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(request)
        answers.write(json.dumps({"code": _wait(child, request["limit_s"])}) + "\n")
        answers.flush()
        loaded = Path(request["loaded"])
    os._exit(0)  # the interpreter would take seconds to take torch down


def _import(names: Iterable[str]) -> None:
    """Import modules, so that the children that follow don't have to; a module that fails does so again in the child."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _wait(child: int, limit_s: float) -> int | None:
    """Return the exit code of a child, or None when it was killed for taking too long."""
    ends = time.monotonic() + limit_s
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(LOOK_SECONDS)


def _child(request: dict[str, Any]) -> None:
    code = 1
    try:
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.path[:] = request["paths"]
        importlib.invalidate_caches()
        os.environ.update(request["environment"])
        import torch

        torch.set_num_threads(1)
        before = set(sys.modules)
        answer = ACTIONS[request["action"]](request)
        Path(request["loaded"]).write_text(json.dumps([name for name in sys.modules if name not in before]), encoding="utf-8")
        Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")
        code = 0
    except BaseException:  # nothing may return into the server's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch_looks(stop_at: int | None) -> Callable[[], int]:
    """Count how often a run looks whether it should stop, and ask it to at look number `stop_at`."""
    from omnitrain.runs import StopRequest

    original: Any = StopRequest.reason
    looks = 0

    def reason(self: StopRequest) -> str | None:
        nonlocal looks
        looks += 1
        if stop_at is not None and looks >= stop_at:
            return STOP_REASON
        found: str | None = original.fget(self)
        return found

    StopRequest.reason = property(reason)  # type: ignore[assignment]
    return lambda: looks


def _ended(action: Callable[[], Any]) -> dict[str, Any]:
    """Return the exit code that the command line would end with, and what it would say."""
    from omnitrain.errors import OmnitrainError
    from omnitrain_testing.findings import described

    try:
        action()
    except OmnitrainError as error:
        return {"code": error.exit_code, "error": str(error)}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return {"code": 1, "error": described(error)}
    return {"code": 0, "error": ""}


def _run(request: dict[str, Any]) -> dict[str, Any]:
    from omnitrain.engine.execution import Options, run_recipe
    from omnitrain.recipes import load_recipe

    looks = _watch_looks(request.get("stop_at"))
    out = Path(request["out"])
    ended = _ended(lambda: run_recipe(load_recipe(request["recipe"]), out, Options(quiet=True)))
    return {**ended, "looks": looks()}


def _dry_run(request: dict[str, Any]) -> dict[str, Any]:
    from omnitrain.engine.dryrun import dry_run
    from omnitrain.plugins import installed
    from omnitrain.recipes import load_recipe

    stages: list[dict[str, Any]] = []

    def check() -> None:
        found = dry_run(load_recipe(request["recipe"]), installed(), Path(request["out"]), quiet=True)
        stages.extend({"name": s.name, "problems": s.problems, "code": s.exit_code, "notes": s.notes} for s in found.stages)

    return {**_ended(check), "stages": stages}


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"run": _run, "dry-run": _dry_run}

if __name__ == "__main__":
    main(sys.argv[1:])
