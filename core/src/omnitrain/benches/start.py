"""Start-up of the command line, with compiled bytecode."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial

from omnitrain.api.bench import Bench


def _command(*arguments: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1e3


def start_bench() -> list[Bench]:
    """Wall time of `omnitrain --help` and `omnitrain plugins`, beside an empty interpreter and an import of numpy."""
    return [
        Bench(
            name="start of the command line",
            summary="Wall time of a fresh process; the limit is 150 ms.",
            unit="ms",
            ours="omnitrain --help",
            variants={
                "omnitrain --help": partial(_command, "-m", "omnitrain", "--help"),
                "omnitrain plugins": partial(_command, "-m", "omnitrain", "plugins"),
                "python -c pass": partial(_command, "-c", "pass"),
                "import numpy": partial(_command, "-c", "import numpy"),
                "import torch": partial(_command, "-c", "import torch"),
            },
        )
    ]
