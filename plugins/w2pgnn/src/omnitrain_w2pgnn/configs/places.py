"""Where relative sources of graphs are looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_folders(root: str | None) -> list[Path]:
    """Return the folders that relative sources are looked for in, besides the working directory."""
    if root is not None:
        return [Path(root)]
    own = os.environ.get("OMNITRAIN_DATA")
    named = [Path(own) / "w2pgnn"] if own else []
    return [*named, Path("data/w2pgnn")]
