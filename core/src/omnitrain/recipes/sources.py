"""What the stages of a recipe leave, so that `from:` and the settings beside it are checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from omnitrain.api.config import Config, Use, UseArtifact
from omnitrain.api.protocols import TellsArtifacts

_ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def data_field(config: Config) -> Use | None:
    """Return the data of a stage: its field `data`, else the model whose data it takes; None where it has neither."""
    found = getattr(config, "data", None)
    if isinstance(found, Use):
        return found
    model = getattr(config, "model", None)
    return model if isinstance(model, Use) else None


def stage_data(stage: str, config_of: Callable[[str], Config | None]) -> Use | None:
    """Return the data field of a stage, through the stages that its model is from; None where there is none.

    config_of: returns the settings of a stage, None where they are not known.
    """
    name: str | None = stage
    while name is not None and (config := config_of(name)) is not None:
        field = data_field(config)
        if field is None or field.kind == "data":
            return field
        name = field.stage
    return None


class Sources:
    """The stages so far, each with the artifacts that it tells (see omnitrain.api.TellsArtifacts)."""

    def __init__(self) -> None:
        self._configs: dict[str, Config] = {}
        self._made: dict[str, Mapping[str, str | Use]] = {}

    def add(self, stage: str, config: Config) -> None:
        """Add a stage whose settings hold."""
        self._configs[stage] = config
        if isinstance(config, TellsArtifacts):
            self._made[stage] = config.artifacts()

    def fault(self, use: Use) -> str | None:
        """Say why a stage that is there can't give what a field takes from it, or None."""
        if use.kind not in ("model", "data", "artifact"):
            return f"a stage leaves models and data, no {use.kind}; write 'use: plugin/name'."
        stage, artifact = str(use.stage), str(use.artifact)
        if artifact and not _ARTIFACT.fullmatch(artifact):
            return f"{artifact!r} is no name of an artifact; write 'from: {stage}' or 'from: {stage}/name'."
        made = self._made.get(stage)
        if made is None:
            return None
        left = ", ".join(f"{name} ({_kind(kind)})" for name, kind in made.items()) or "nothing"
        if artifact not in made:
            if use.kind == "data" and "/" not in str(use.source):  # data may also be what the stage was trained on
                without = data_field(self._configs[stage]) is None
                return f"stage {stage!r} has no data to take; it leaves {left}." if without else None
            return f"stage {stage!r} leaves no artifact {artifact!r}; it leaves {left}."
        wanted = use.artifact_kind if isinstance(use, UseArtifact) else use.kind
        if wanted and _kind(made[artifact]) != wanted:
            return f"a {wanted} is taken here, and {artifact!r} of stage {stage!r} is none; it leaves {left}."
        return None

    def origin(self, use: Use) -> tuple[str, dict[str, Any]] | None:
        """Return address and settings of the component that a field stands for, also through `from`; None where unknown."""
        if use.source is None:
            return str(use.use), use.raw
        stage = str(use.stage)
        made = self._made.get(stage, {}).get(str(use.artifact))
        if isinstance(made, str) or stage not in self._configs:
            return None
        if made is None and use.kind == "data" and "/" not in str(use.source):
            made = stage_data(stage, self._configs.get)
        found = None if made is None else self.origin(made)
        return None if found is None else (found[0], {**found[1], **use.raw})


def _kind(made: str | Use) -> str:
    return made if isinstance(made, str) else made.kind
