"""Digests of what a component's settings name, for caches that must not outlive it."""

from __future__ import annotations

from omnitrain.api.config import Config
from omnitrain.places import cache_folder
from omnitrain.recipes import named_inputs
from omnitrain.runs.contents import Contents


def input_digests(config: Config) -> dict[str, str]:
    """Return, by setting, a digest of each file, folder or code that settings name; names of hubs have none.

    A cache whose content depends on more than settings has these in its key.
    """
    contents = Contents(cache_folder())
    found = {named.key: contents.of_all(named.texts, named.what) for named in named_inputs(config)}
    return {key: content.digest for key, content in found.items() if content is not None}
