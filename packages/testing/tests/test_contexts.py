"""The context for unit tests gives what core's gives: seeds by name, components, progress."""

import pytest

from omnitrain_testing.contexts import FakeContext


def test_seeds_depend_on_run_and_name_alone(tmp_path):
    seeds = [FakeContext(tmp_path, run_seed=run).seed(name) for run in (0, 1) for name in ("order", "dropout")]
    assert len(set(seeds)) == 4
    assert seeds[0] == FakeContext(tmp_path / "elsewhere", {"vocabulary_size": 3}).seed("order")
    assert all(0 <= seed < 2**48 for seed in seeds)


def test_a_component_comes_from_the_builder(tmp_path):
    context = FakeContext(tmp_path, builder=lambda use, facts: (use, facts))
    assert context.build("ul2/denoising", {"pad_id": 0}) == ("ul2/denoising", {"pad_id": 0})
    with pytest.raises(LookupError, match="builder="):
        FakeContext(tmp_path).build("ul2/denoising")


def test_progress_can_be_advanced(tmp_path):
    with FakeContext(tmp_path).progress("reading", 3) as bar:
        assert bar.advance(1, loss=0.5) is None
