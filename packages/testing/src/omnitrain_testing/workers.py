"""The two processes in whose children recipes run: alike but for the order of their hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HASH_SEEDS = (1, 2)
LIMIT_S = 600.0


class Workers:
    """Starts both when one is first asked. modules: what they import before they fork."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def ask(self, number: int, request: dict[str, Any], scratch: Path, cache: Path) -> dict[str, Any]:
        """Have worker 0 or 1 carry out a request in a child; return its answer.

        The answer holds "code", what the command line would end with, and "error". scratch: for its files.
        """
        folder = Path(tempfile.mkdtemp(dir=scratch, prefix="request-"))
        log, answer = folder / "log.txt", folder / "answer.json"
        environment = {"OMNITRAIN_CACHE": str(cache)}
        paths = {"log": str(log), "answer": str(answer), "loaded": str(folder / "loaded.json"), "out": str(folder / "run")}
        full = {**paths, "paths": sys.path, "environment": environment, "limit_s": LIMIT_S, **request}
        self._start()
        process = self._processes[number]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(full) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        code = json.loads(line)["code"] if line else 1
        if code == 0 and answer.exists():
            found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return {**found, "out": full["out"]}
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if log.exists() else []
        reason = f"it took longer than {LIMIT_S:g} s" if code is None else f"its process ended with {code}"
        return {"code": 1, "error": "; ".join([reason, *said]), "out": full["out"]}

    def _start(self) -> None:
        """Start both, so that they import at the same time."""
        for number in range(len(HASH_SEEDS)) if not self._processes else ():
            environment = {
                **os.environ,
                "PYTHONHASHSEED": str(HASH_SEEDS[number]),
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
                "CUDA_VISIBLE_DEVICES": "",
                "TOKENIZERS_PARALLELISM": "false",
            }
            self._processes[number] = subprocess.Popen(
                [sys.executable, "-m", "omnitrain_testing.worker", *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait()
            process.stdout.close()
        self._processes.clear()
