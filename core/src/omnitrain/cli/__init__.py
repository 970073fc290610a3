"""The command line. Commands are imported when they are called, so that help and completion are instant."""

from __future__ import annotations


def run(argv: list[str]) -> int:
    """Run one command and return the exit code that the process should end with. argv: without the program's name."""
    from omnitrain.cli.failures import guarded

    return guarded(argv)


__all__ = ["run"]
