"""Run trials in processes of their own, several at a time, and stop them cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omnitrain.errors import EnvironmentFault, OmnitrainError, Stopped
from omnitrain.evidence.trials import Trial
from omnitrain.runs import StopRequest

POLL_S = 0.1
THREADS = "OMP_NUM_THREADS"


class RunFailed(OmnitrainError):
    """A run ended with an error; the command ends with that run's exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Pool:
    """How many runs go on at a time, and with how many threads each."""

    jobs: int
    threads: int


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_pool(jobs: int | None, trials: int) -> Pool:
    """Share the processors among the runs. jobs None: two at a time where there are two processors.

    A number of threads that the user set (OMP_NUM_THREADS) is kept.
    """
    count = max(1, min(jobs or min(processors(), 2), trials))
    own = os.environ.get(THREADS, "")
    return Pool(count, int(own) if own.isdigit() and int(own) > 0 else max(1, processors() // count))


def run_command(trial: Trial) -> list[str]:
    """Return the command of a run. A folder whose stages were made by other versions of the code is gone on with by force."""
    command = [sys.executable, "-m", "omnitrain", "run", trial.address, *trial.overrides, f"seed={trial.seed}"]
    return [*command, "--out", str(trial.folder), "--quiet", "--force"]


def run_trials(
    trials: Sequence[Trial],
    pool: Pool,
    stop: StopRequest,
    ended: Callable[[Trial, float], None],
    command: Callable[[Trial], list[str]] = run_command,
) -> None:
    """Run all trials; ended is called after each with its seconds.

    Raises Stopped on request, after every process has saved its checkpoint; RunFailed, Stopped or EnvironmentFault
    when a run fails, after the others were stopped in the same way.
    """
    waiting = list(trials)
    active: list[tuple[subprocess.Popen[bytes], Trial, float]] = []
    try:
        while waiting or active:
            while waiting and len(active) < pool.jobs:
                active.append((_start(waiting[0], pool, command), waiting.pop(0), time.monotonic()))
            for entry in list(active):
                process, trial, started = entry
                code = process.poll()
                if code is None:
                    continue
                active.remove(entry)
                if code:
                    stop.raise_if_asked()  # a Ctrl-C may have ended it before it could save anything
                    raise _failure(trial, code)
                ended(trial, time.monotonic() - started)
            stop.raise_if_asked()
            if active:
                time.sleep(POLL_S)
    except Stopped as error:
        raise Stopped(f"{str(error).rstrip('.')}; run the same command again to go on.") from error
    finally:
        _end([process for process, _, _ in active])


def _start(trial: Trial, pool: Pool, command: Callable[[Trial], list[str]]) -> subprocess.Popen[bytes]:
    """Start one run in the same process group, so that a Ctrl-C in the terminal reaches it as well."""
    environment: dict[str, Any] = {**os.environ, THREADS: str(pool.threads)}
    try:
        trial.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(trial.log, "wb") as log:
            return subprocess.Popen(
                command(trial), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
    except OSError as error:
        raise EnvironmentFault(f"{trial.folder} can't be written: {error.strerror}; choose another --out.") from error


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all processes to stop and wait: each saves a checkpoint first."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait()


def _failure(trial: Trial, code: int) -> OmnitrainError:
    if code == Stopped.exit_code:
        return Stopped(f"{trial.label} was stopped ({trial.folder}).")
    if code < 0:
        name = signal.Signals(-code).name
        return EnvironmentFault(
            f"{trial.label} was ended by {name}{' (is memory used up?)' if name == 'SIGKILL' else ''}; its log is {trial.log}. "
            "Run the same command again to go on, with fewer --jobs where memory is short."
        )
    return RunFailed(f"{trial.label} failed with exit code {code}: {_reason(trial)} Its log is {trial.log}.", code)


def _reason(trial: Trial) -> str:
    """Return the run's own message: its log from the last line that begins with "error:"."""
    lines = trial.log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("error:")]
    text = "\n".join(lines[starts[-1] :]) if starts else (lines[-1] if lines else "it printed nothing.")
    return text.removeprefix("error: ").strip()
