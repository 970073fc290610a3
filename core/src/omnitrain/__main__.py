"""`python -m omnitrain` is `omnitrain`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with the documented code."""
    from omnitrain.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
