"""Discovery of plugins and look-up of what they hold, without importing more than their descriptions."""

from omnitrain.plugins.discovery import PluginState, discover
from omnitrain.plugins.listing import GROUP
from omnitrain.plugins.registry import Registry, installed

__all__ = ["GROUP", "PluginState", "Registry", "discover", "installed"]
