"""The fingerprints of the data that a stage builds, compared with those of its earlier attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omnitrain.api.config import Use
from omnitrain.errors import PluginError, UsageError
from omnitrain.recipes import Stage, fingerprint, plain, uses


class ChangedData(UsageError):
    """The data of a stage is another one than in its earlier attempts."""


class DataNotes:
    """Notes the fingerprint of each data that a stage builds, whoever asked for it.

    known: what earlier attempts noted, by setting. keep: stores the notes. stage: whose settings name the data.
    """

    def __init__(self, stage: Stage, known: Mapping[str, Sequence[str]], keep: Callable[[dict[str, list[str]]], None]) -> None:
        self._stage, self._keep = stage, keep
        self._held = [(".".join(map(str, path)), use) for path, use in uses(stage.config)]
        self._noted = {setting: list(digits) for setting, digits in known.items()}
        self._built: set[str] = set()

    def note(self, use: Use, data: Any) -> None:
        """Compare and store the fingerprint of data.

        Raises ChangedData where earlier attempts at the stage had other data under this setting, PluginError for data without
        a fingerprint.
        """
        setting, digits = self._setting(use), getattr(data, "fingerprint", None)
        if digits is None:
            raise PluginError(f"The data {use.use} has no fingerprint; give it one: digits of content and settings.")
        known = self._noted.get(setting, [])
        if str(digits) not in known:
            if known and setting not in self._built:
                raise ChangedData(
                    f"The data of stage {self._stage.name!r} changed since the stage was begun: {setting} had fingerprint "
                    f"{' or '.join(known)} and has {digits}; restore its files, add "
                    "--force to run the stage again from its beginning, or choose another --out."
                )
            self._noted[setting] = [*known, str(digits)]
            self._keep(self._noted)
        self._built.add(setting)

    def _setting(self, use: Use) -> str:
        for setting, held in self._held:
            if held is use:
                return setting
        settings = {"from": use.source, **use.raw} if not use.is_resolved else plain(use.config)
        return f"{use.use or use.source} {fingerprint(settings)[:8]}"
