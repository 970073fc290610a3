"""For authors of plugins: contexts and whole recipes for their tests, the contract, and a plugin to start from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnitrain_testing.contexts import FakeContext
    from omnitrain_testing.finished import finished_run
    from omnitrain_testing.running import dry_run, read_recipe, run_recipe, run_tiny

__version__ = "0.1.0"

# Loaded on first access: every pytest session of an environment with this package imports it.
_HOME = {
    "FakeContext": "contexts",
    "dry_run": "running",
    "finished_run": "finished",
    "read_recipe": "running",
    "run_recipe": "running",
    "run_tiny": "running",
}

__all__ = ["FakeContext", "dry_run", "finished_run", "read_recipe", "run_recipe", "run_tiny"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"omnitrain_testing.{_HOME[name]}"), name)
    raise AttributeError(f"module 'omnitrain_testing' has no attribute {name!r}")
