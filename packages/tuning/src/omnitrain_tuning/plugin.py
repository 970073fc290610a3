"""What this package is; plugins make components of its parts."""

from __future__ import annotations

from omnitrain.api import Plugin, hookimpl

PLUGIN = Plugin(
    name="tuning",
    summary="Parameter-efficient tuning of any backbone, and learning tasks one after the other.",
    api="1.1",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
