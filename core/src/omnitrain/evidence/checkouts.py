"""Where the sources of an installed plugin are, when it is installed from a checkout."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

from omnitrain.errors import UsageError
from omnitrain.plugins import Registry


def checkout(name: str) -> Path | None:
    """Return the folder that an editable installation of a distribution points to, or None."""
    try:
        text = distribution(name).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    url = json.loads(text).get("url", "") if text else ""
    return Path(unquote(urlparse(url).path)) if url.startswith("file:") else None


def sources_of(plugin: str, registry: Registry, wish: str) -> Path:
    """Return the folder with a plugin's pyproject.toml and README.md. wish: what it is needed for, for the message.

    Raises UsageError when the plugin is not installed from a checkout.
    """
    described = registry.plugin(plugin)
    folder = checkout(next(s.distribution for s in registry.states if s.plugin is described))
    if folder is None or not folder.is_dir():
        raise UsageError(
            f"{wish} needs the sources of plugin {plugin!r}, which is not installed from a folder; "
            "install it with 'pip install -e FOLDER'."
        )
    return folder
