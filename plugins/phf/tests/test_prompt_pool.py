"""The pool of prompts of red teaming."""

import numpy as np
import pytest

from omnitrain_phf.paper.prompt_pool import PromptPool


def test_pool_draws_different_prompts_by_their_mean():
    pool = PromptPool(temperature=0.5)
    for name, score in (("a", 0.0), ("b", 0.5), ("c", 1.0)):
        pool.add(name, [score])
    random = np.random.default_rng(0)
    first = [pool.draw(2, random) for _ in range(4000)]
    assert all(len(set(pair)) == 2 for pair in first)
    shares = [sum(pair[0] == name for pair in first) / 4000 for name in "abc"]
    assert shares == pytest.approx(pool.probabilities().tolist(), abs=0.03)
