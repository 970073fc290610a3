"""`python -m omnitrain` is `omnitrain`."""

from __future__ import annotations

import atexit
import os
import sys
import threading

PATIENCE_S = 5.0
"""How long threads that plugins or libraries have left running may keep a finished command from ending."""


def main() -> None:
    """Run the command line and exit with the documented code."""
    from omnitrain.cli import run
    from omnitrain.cli.output import prepare_output

    prepare_output(sys.argv[1:])
    code = run(sys.argv[1:])
    _leave_behind(code)
    sys.exit(code)


def _leave_behind(code: int) -> None:
    """See to it that the process ends: the interpreter would wait for threads of others for ever.

    What is registered to be called at exit comes after them and is left its time.
    """
    threads_are_over = threading.Event()

    def end() -> None:
        if not threads_are_over.wait(PATIENCE_S):
            os._exit(code)

    atexit.register(threads_are_over.set)
    others = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    if others:
        threading.Thread(target=end, daemon=True).start()


if __name__ == "__main__":
    main()
