"""What this package adds to the command line."""

from __future__ import annotations

from omnitrain.api import Command, Plugin, hookimpl

PLUGIN = Plugin(
    name="testing",
    summary="For authors: a plugin to start from, and the contract that it must hold to, as a command and as a pytest plugin.",
    api="1.1",
    commands=(
        Command("new-plugin", "Write a complete plugin to start from.", ".authoring.command:new_plugin"),
        Command("check", "Check a plugin against the contract.", ".command:check"),
    ),
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
