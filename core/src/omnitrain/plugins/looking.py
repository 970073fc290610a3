"""Look at descriptions of plugins in processes of their own: whatever an import does, it ends there.

`look` starts one helper process, `examining`, which imports nothing of a plugin and forks a process for each of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from omnitrain.plugins.answering import Answer, broken, ending

MARK = "OMNITRAIN_LOOKING"
"""Set in processes that look at a description, in which nobody may ask for the installed plugins."""
_BOOT = "import json, sys; told = json.loads(sys.stdin.buffer.readline()); sys.path[:] = told['path']; " + (
    "from omnitrain.plugins.examining import main; main(told)"
)


def look(points: Sequence[tuple[str, str]], seconds: float) -> list[Answer]:
    """Return what became of each plugin, given by its name and the module that describes it, in their order.

    An answer holds status and reason and, where there are any, plugin (plain data), api, trace, printed, stamps.
    """
    import subprocess

    told = {"path": [folder for folder in sys.path if isinstance(folder, str)], "points": list(points), "seconds": seconds}
    command = [sys.executable, "-c", _BOOT]
    pipe = subprocess.PIPE
    try:
        helper = subprocess.Popen(command, stdin=pipe, stdout=pipe, env={**os.environ, MARK: "1"}, start_new_session=True)
    except OSError as error:
        return [broken(f"no process could be started to look at it: {error}") for _ in points]
    try:
        said, _ = helper.communicate(json.dumps(told).encode() + b"\n")
    except BaseException:
        helper.terminate()  # it ends its own children first
        helper.wait()
        raise
    try:
        answers: list[Answer] = json.loads(said)
    except ValueError:
        return [broken(f"the process that was to look at it {ending(helper.returncode)}") for _ in points]
    return answers
