"""What all tests of the core share."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parent / "support"

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH", "")]))
for name in ("OMNITRAIN_PLUGINS", "OMNITRAIN_STRICT"):
    os.environ.pop(name, None)

from children import Fault, Job, Outcome, recipe_text, start  # noqa: E402 - the fork server takes the variables above


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., Callable[[], Outcome]]:
    """Start a toy recipe in a child; give what waits for it. See `children.recipe_text` for the settings."""
    numbers = itertools.count()

    def launch(out: str = "run", *faults: Fault, job: dict[str, Any] | None = None, **settings: Any) -> Callable[[], Outcome]:
        side = tmp_path / f"side-{next(numbers)}"
        side.mkdir()
        recipe = side / "recipe.yaml"
        recipe.write_text(recipe_text(**settings))
        more = {"environment": {"OMNITRAIN_CACHE": os.environ["OMNITRAIN_CACHE"]}, **(job or {})}
        return start(Job(str(recipe), tmp_path / out, side, faults, **more))

    return launch


@pytest.fixture
def train(launch: Callable[..., Callable[[], Outcome]]) -> Callable[..., Outcome]:
    """Run a toy recipe in a child to its end."""
    return lambda *arguments, **settings: launch(*arguments, **settings)()
