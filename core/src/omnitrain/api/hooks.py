"""The hooks between core and plugins. A plugin's entry point names a module that implements `omnitrain_plugin`."""

from __future__ import annotations

import pluggy

from omnitrain.api.descriptors import Plugin

PROJECT = "omnitrain"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def omnitrain_plugin() -> Plugin:  # type: ignore[empty-body]
    """Return the description of this plugin. Import nothing but omnitrain.api for it.

    The answer is remembered until a file that was read for it changes.
    """
