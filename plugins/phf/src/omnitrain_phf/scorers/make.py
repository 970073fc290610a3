"""From the settings of a scorer to the scorer, and to what identifies its scores."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from omnitrain.api import load_reference
from omnitrain.engine import input_digests
from omnitrain_phf.configs.scorers import ScorerConfig
from omnitrain_phf.scorers.base import Scorer, ScorerClass


def scorer_class(config: ScorerConfig) -> ScorerClass:
    """Return the class of the scorer that a config asks for."""
    found: ScorerClass = load_reference(config.scorer_class)
    return found


def make_scorer(config: ScorerConfig) -> Scorer:
    """Return the scorer that a config asks for.

    Raises EnvironmentFault where a library is missing, UsageError or DataError where the config can't be met.
    """
    return scorer_class(config)(config)


def header(config: ScorerConfig) -> dict[str, Any]:
    """Return what identifies scores: name, options, content of what these name, versions, notes, and a digest of all.

    Raises EnvironmentFault where a library is missing, DataError for a word list that can't be read.
    """
    kind = scorer_class(config)
    dumped = config.model_dump(mode="json")
    options = {key: value for key, value in dumped.items() if key != "name"}
    identity = {"scorer": dumped["name"], "options": options, "versions": kind.versions(config)}
    inputs = input_digests(config)
    if inputs:
        identity["inputs"] = inputs
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8).hexdigest()
    return {**identity, "notes": kind.notes(config), "digest": digest}
