"""Every kind of stage there is, killed and stopped at drawn renames and forced writes: the same products, nothing twice."""

import random
import signal
from pathlib import Path

import pytest
from campaign import SEED, SIGNAL, durable_calls, fresh, leftovers, prelude, products
from conftest import Command

# Together these have stages that fit, evaluate, score, label, record, learn continually, select, compose and reinforce.
RECIPES = ("control/tiny", "eft/tiny", "lae/tiny", "phf/tiny", "ul2/tiny", "vpt/tiny", "w2pgnn/tiny")
ATTEMPTS = 7
STOPPED = 75


@pytest.mark.parametrize("recipe", RECIPES)
def test_run_that_is_killed_and_stopped_again_and_again_ends_as_an_uninterrupted_one(
    recipe: str, omnitrain: Command, tmp_path: Path
) -> None:
    whole, broken = fresh(omnitrain, tmp_path / "whole"), fresh(omnitrain, tmp_path / "broken")
    arguments = ("run", recipe, "--out", "run", "--quiet")
    done = whole.start(*arguments, prelude=prelude(whole.folder)).finish()
    assert done.returncode == 0, done.stderr
    calls = durable_calls(whole.folder)
    draws = random.Random(f"{SEED} {recipe}")
    struck = 0
    for attempt in range(ATTEMPTS):
        number = signal.SIGTERM if attempt % 3 == 2 else signal.SIGKILL
        # The attempts share the run's calls among them; some more for what each start does again.
        at = draws.randint(1, 2 * calls // ATTEMPTS + 8)
        strike = SIGNAL.format(number=int(number))
        hooks = prelude(broken.folder, strike, at, behind=draws.random() < 0.5)
        done = broken.start(*arguments, prelude=hooks).finish()
        assert done.returncode in (0, STOPPED if number == signal.SIGTERM else -number), done.stderr
        struck += done.returncode != 0
        if done.returncode == 0:
            break
    assert struck >= 2
    broken(*arguments)
    assert products(broken.folder / "run") == products(whole.folder / "run")
    assert not leftovers(broken.folder / "run")
