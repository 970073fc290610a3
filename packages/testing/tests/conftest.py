"""What the kit's own tests share: two warm workers, and plugins that can be imported while a test runs."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SUPPORT = str(Path(__file__).parent / "support")
sys.path.insert(0, SUPPORT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SUPPORT, os.environ.get("PYTHONPATH", "")]))  # for the fork server
os.environ["OMP_NUM_THREADS"] = "1"
for _name in ("OMNITRAIN_PLUGINS", "OMNITRAIN_STRICT"):
    os.environ.pop(_name, None)

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def workers() -> Iterator["object"]:
    """Workers that have imported the engine once for all plugins."""
    from omnitrain_testing.workers import Workers

    found = Workers()
    yield found
    found.close()
