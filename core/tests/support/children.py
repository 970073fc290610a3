"""Run toy recipes in fresh child processes, with faults at chosen points.

Children come from a fork server that has imported torch once. The parent never trains, so that no child inherits
threads of autograd.
"""

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "interrupt": signal.SIGINT, "hang up": signal.SIGHUP}
TIME_LIMIT_S = 60


@dataclass(frozen=True)
class Fault:
    """Do something when a point is reached for the n-th time.

    action: "kill", "term", "hang up", "interrupt", "interrupt twice", "full" (the disk), "memory" (no more of it), "fail".
    point: "forward" (training), "part" (of a round), "validation", "evaluator", "model" (when it is saved), "file"
    (anything done to a file of the run), "write" (what needs space: opening for writing, renaming, making a folder), "sync",
    "checkpoint sync".
    at: 1 is the first time. times: how often in a row.
    """

    action: str
    point: str
    at: int
    times: int = 1


@dataclass(frozen=True)
class Job:
    """What a child runs. side: a folder for what it tells its parent.

    device_path: take the path of updates that a GPU takes, where the optimiser itself skips bad ones.
    device_weights: weights of losses are read with the log only, as on a GPU.
    """

    recipe: str
    out: Path
    side: Path
    faults: tuple[Fault, ...] = ()
    overrides: tuple[str, ...] = ()
    force: bool = False
    file_limit: int | None = None
    memory_limit: int | None = None
    device_path: bool = False
    device_weights: bool = False
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a child ended. seen: digest and rows of each training forward. saves: steps whose checkpoint began to be
    written. made: parts of rounds that the model made, "round part".
    """

    code: int
    out: Path
    error: dict[str, str]
    said: str
    seen: list[tuple[str, tuple[int, ...]]]
    saves: list[int]
    made: list[str]
    counts: dict[str, int]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of that name, of all runs in the folder."""
        lines = (self.out / "events.jsonl").read_text().splitlines() if (self.out / "events.jsonl").exists() else []
        return [row for row in map(json.loads, lines) if row["event"] == name]

    def resumed_at(self) -> int:
        """Return the step from which the newest run of the folder went on; 0 when it began anew."""
        last = [json.loads(line) for line in (self.out / "events.jsonl").read_text().splitlines()]
        steps = [0]
        for row in last:
            if row["event"] == "training":
                steps.append(0)
            if row["event"] == "resumed":
                steps[-1] = row["step"]
        return steps[-1]


class _Points:
    """Counts how often each point is reached and sets off the faults."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.counts: dict[str, int] = {}
        self.lock = threading.RLock()

    def reach(self, point: str) -> None:
        with self.lock:
            self.counts[point] = count = self.counts.get(point, 0) + 1
            (self.job.side / "counts.json").write_text(json.dumps(self.counts)) if count == 1 else None
        for fault in self.job.faults:
            if fault.point == point and fault.at <= count < fault.at + fault.times:
                self.act(fault.action)

    def act(self, action: str) -> None:
        if action == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if action == "memory":
            raise MemoryError("injected")
        if action == "fail":
            raise RuntimeError("injected")
        if action == "interrupt twice":
            os.kill(os.getpid(), signal.SIGINT)
            action = "interrupt"
        os.kill(os.getpid(), SIGNALS[action])
        if action == "kill":
            time.sleep(TIME_LIMIT_S)


def _watch_files(points: _Points, root: str) -> None:
    """Reach "file" before every open, rename, mkdir and removal inside the run, "sync" before every fsync."""
    events = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
    owner = os.getpid()
    busy = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in events or os.getpid() != owner or getattr(busy, "now", False):
            return
        paths = [os.fspath(a) for a in arguments[:2] if isinstance(a, (str, os.PathLike))]
        if not any(str(p).startswith(root) for p in paths):
            return
        writes = event in ("os.mkdir", "os.rename") or (event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR)))
        busy.now = True
        try:
            points.reach("file")
            if writes:
                points.reach("write")
        finally:
            busy.now = False

    sync = os.fsync

    def watched(descriptor: int) -> None:
        points.reach("sync")
        if threading.current_thread().name == "checkpoint":
            points.reach("checkpoint sync")
        sync(descriptor)

    sys.addaudithook(hook)
    os.fsync = watched


def _watch_parts(points: _Points, job: Job) -> None:
    """Record what the model is trained on, and reach "forward", "validation" and "evaluator"."""
    import numpy as np

    from omnitrain.engine.building import ComponentBuilder
    from omnitrain.engine.checkpoints import Checkpoints
    from omnitrain_toy import parts

    write_model = ComponentBuilder.write_model
    square, error, write = parts._Square.__call__, parts.Error.__call__, Checkpoints._write
    seen = open(job.side / "seen.txt", "a")  # noqa: SIM115 - until the child ends
    saves = open(job.side / "saves.txt", "a")  # noqa: SIM115 - until the child ends
    made = open(job.side / "made.txt", "a")  # noqa: SIM115 - until the child ends
    make_part = parts._Rounds.make_part
    targets = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32).sum(1) + 0.5
    rows = {float(y): i for i, y in enumerate(targets)}

    def measured(self: Any, model: Any, batch: Any) -> Any:
        if model.training:
            digest = hashlib.sha256()
            for name in sorted(batch):
                digest.update(np.asarray(batch[name]).tobytes())
            ids = [rows.get(float(y), -1) for y in batch["y"]]
            seen.write(f"{digest.hexdigest()[:16]} {json.dumps(ids)}\n")
            seen.flush()
            points.reach("forward")
        else:
            points.reach("validation")
        return square(self, model, batch)

    def evaluated(self: Any, predictor: Any, data: Any, run: Any) -> Any:
        points.reach("evaluator")
        return error(self, predictor, data, run)

    def written(self: Any, step: int, *arguments: Any, **more: Any) -> None:
        saves.write(f"{step}\n")
        saves.flush()
        write(self, step, *arguments, **more)

    def saved(self: Any, *arguments: Any) -> None:
        points.reach("model")
        write_model(self, *arguments)

    def made_part(self: Any, model: Any, number: int, part: int) -> Any:
        points.reach("part")
        rows = make_part(self, model, number, part)
        made.write(f"{number} {part}\n")
        made.flush()
        return rows

    parts._Square.__call__, parts.Error.__call__, Checkpoints._write = measured, evaluated, written
    parts._Rounds.make_part = made_part
    ComponentBuilder.write_model = saved


def _limit(job: Job) -> None:
    import resource

    if job.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_limit, resource.RLIM_INFINITY))
    if job.memory_limit is not None:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + job.memory_limit, resource.RLIM_INFINITY))


def _run(job: Job) -> int:
    from omnitrain.engine.engine import Engine
    from omnitrain.engine.execution import Options, run_recipe
    from omnitrain.errors import OmnitrainError
    from omnitrain.recipes import load_recipe

    if job.device_weights:
        from omnitrain.engine.losses import LossCheck

        LossCheck.weight = lambda self, total, weight: self._weight_on_device(total.detach(), weight)
    if job.device_path:
        Engine._update_on_host = Engine._update_on_device
    said: dict[str, str] = {}
    try:
        run_recipe(load_recipe(job.recipe, list(job.overrides)), job.out, Options(force=job.force))
        code = 0
    except OmnitrainError as error:
        said = {"kind": type(error).__name__, "text": str(error)}
        code = error.exit_code
    except BaseException as error:
        said = {"kind": type(error).__name__, "text": str(error), "trace": traceback.format_exc()}
        code = 1
    (job.side / "error.json").write_text(json.dumps(said))
    for number in (signal.SIGINT, signal.SIGTERM):
        said.setdefault("handlers", "")
        said["handlers"] += f"{signal.getsignal(number)!r} "
    (job.side / "error.json").write_text(json.dumps(said))
    return code


def _child(job: Job) -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests may have it ignored, as nohup does
    warnings.simplefilter("error")
    os.environ.update(job.environment)
    stream = os.open(job.side / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    points = _Points(job)
    _watch_parts(points, job)
    _watch_files(points, str(job.out))
    _limit(job)
    code = _run(job)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    (job.side / "counts.json").write_text(json.dumps(points.counts))
    os._exit(code)


def context() -> Any:
    """Return the fork server with everything imported."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["warm"])
    return server


def start(job: Job) -> Callable[[], Outcome]:
    """Start a child; call what is returned to wait for its end."""
    job.side.mkdir(parents=True, exist_ok=True)
    for name in ("seen.txt", "saves.txt", "made.txt", "error.json", "said.txt", "counts.json"):
        (job.side / name).unlink(missing_ok=True)
    process = context().Process(target=_child, args=(job,))
    process.start()

    def wait() -> Outcome:
        process.join(TIME_LIMIT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"the child took longer than {TIME_LIMIT_S} s: {_read(job.side / 'said.txt')}")
        seen = [line.split(" ", 1) for line in _read(job.side / "seen.txt").splitlines()]
        return Outcome(
            process.exitcode,
            job.out,
            json.loads(_read(job.side / "error.json") or "{}"),
            _read(job.side / "said.txt"),
            [(digest, tuple(json.loads(ids))) for digest, ids in seen],
            [int(line) for line in _read(job.side / "saves.txt").split()],
            _read(job.side / "made.txt").splitlines(),
            json.loads(_read(job.side / "counts.json") or "{}"),
        )

    wait.pid, wait.out = process.pid, job.out  # type: ignore[attr-defined]
    return wait


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def recipe_text(**settings: Any) -> str:
    """Return a recipe of the toy plugin as text.

    settings: dictionaries `rows`, `net`, `square`, `fit`; `seed`; `evaluators` (a list) and `measure` (a second stage).
    """
    fit = {"steps": 20, "batch_size": 8, "learning_rate": 0.01, "checkpoint_every": 4, "evaluate_every": 6, "log_every": 5}
    train = {
        "name": "train",
        "use": "core/fit",
        "data": {"use": "toy/rows", **settings.get("rows", {})},
        "model": {"use": "toy/net", **settings.get("net", {})},
        "objective": {"use": "toy/square", **settings.get("square", {})},
        "fit": {**fit, **settings.get("fit", {})},
        "evaluators": settings.get("evaluators", [{"use": "toy/error"}]),
    }
    stages = [train]
    if settings.get("measure"):
        stages.append({"name": "measure", "use": "core/evaluate", "model": {"from": "train"}, "evaluators": ["toy/error"]})
    return json.dumps({"summary": "A test.", "seed": settings.get("seed", 0), "stages": stages}, indent=1)


def digests(out: Path, checkpoints: bool = True) -> dict[str, str]:
    """Return the SHA-256 of everything in which two equal runs must not differ.

    checkpoints: also those that are left, which depend on where a run was stopped.
    """
    chosen = [
        *out.glob("*/model/*"),
        *out.glob("*/ema/*"),
        *out.glob("*/evaluations/*"),
        *(out.glob("*/checkpoints/step-*/*") if checkpoints else ()),
        out / "metrics.jsonl",
    ]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(chosen) if p.is_file()}
