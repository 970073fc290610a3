"""What the commands do: open a saved composition, write replies as they come, find the compositions of a recipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omnitrain.engine import installed, load_recipe
from omnitrain.engine.adhoc import find_model, text_generator
from omnitrain.errors import UsageError
from omnitrain_eft.configs import ComposeConfig, CompositionConfig


def _show(number: int, text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def speaking(model: Path, settings: Mapping[str, Any]) -> Iterator[Callable[[str], None]]:
    """Load the composition that a path means; yield a function that writes the reply to a prompt while it is made.

    Raises EnvironmentFault where there is no model, UsageError for one that can't be talked to with these settings.
    """
    with text_generator(find_model(model), installed(), {**settings, "on_text": _show}) as answer:

        def reply(prompt: str) -> None:
            answer([prompt])
            print(flush=True)

        yield reply


def compositions_of(recipe: str, overrides: Sequence[str]) -> Iterator[tuple[str, CompositionConfig]]:
    """Yield (stage, composition) of a recipe.

    Raises UsageError for a recipe without any.
    """
    resolved = load_recipe(recipe, list(overrides))
    found = False
    for stage in resolved.stages:
        config = stage.config
        if isinstance(config, ComposeConfig) and config.model.use is not None:
            composition = config.model.config
            if isinstance(composition, CompositionConfig):
                found = True
                yield stage.name, composition
    if not found:
        raise UsageError(f"{recipe} has no stage eft/compose, so there is nothing to plan")
