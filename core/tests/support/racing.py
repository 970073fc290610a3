"""One folder built by two processes at once."""

import os

from omnitrain.runs.once import build_once


def race(folder, barrier):
    """Build a folder; finish only when the other process builds it too."""

    def build(temporary):
        (temporary / "pid").write_text(str(os.getpid()))
        barrier.wait()

    build_once(folder, build)
