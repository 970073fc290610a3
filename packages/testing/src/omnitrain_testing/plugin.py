"""What this package adds to the command line."""

from __future__ import annotations

from omnitrain.api import Command, Plugin, hookimpl

PLUGIN = Plugin(
    name="testing",
    summary="The contract kit: what a plugin must hold to, as a command and as a pytest plugin.",
    api="1.1",
    commands=(Command("check", "Check a plugin against the contract.", ".command:check"),),
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
