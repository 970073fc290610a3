"""Which libraries the files that settings name are read with; see `omnitrain.api.TellsNeeds`."""

from __future__ import annotations

from omnitrain.api import user_path
from omnitrain_language.folders import named_by

_SUFFIX = ".parquet"
_HUB = "hub:"


def reading_needs(*paths: str | None, distribution: str = "omnitrain-language") -> dict[str, str]:
    """Return what installs the libraries that read these paths: files, folders, glob patterns, `hub:OWNER/NAME`.

    distribution: the one whose extras `parquet` and `hub` are named.
    """
    named = [path for path in paths if path is not None]
    found = {}
    if any(path.startswith(_HUB) for path in named):
        found["datasets"] = f"{distribution}[hub]"
    if any(_holds_parquet(path) for path in named if not path.startswith(_HUB)):
        found["pyarrow"] = f"{distribution}[parquet]"
    return found


def _holds_parquet(path: str) -> bool:
    place = user_path(path)
    # What is not there yet, and what a pattern asks for, is known by its name.
    named = [] if place.exists() else [place]
    return any(file.suffix.lower() == _SUFFIX for file in [*named, *named_by(path, [_SUFFIX]).files])
