"""Where omnitrain keeps what is not a run's."""

from __future__ import annotations

import os
from pathlib import Path

from omnitrain.errors import EnvironmentFault


def cache_folder() -> Path:
    """Return where slow, reusable work is kept: OMNITRAIN_CACHE, else omnitrain in the user's cache folder.

    Raises EnvironmentFault where it can't be made.
    """
    named = os.environ.get("OMNITRAIN_CACHE")
    try:
        base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omnitrain"
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"The cache folder {base} can't be made: {error.strerror}; set OMNITRAIN_CACHE.") from error
    except RuntimeError as error:  # this user has no home folder
        raise EnvironmentFault(f"There is no place for the cache folder: {error}; set OMNITRAIN_CACHE.") from error
    return base
