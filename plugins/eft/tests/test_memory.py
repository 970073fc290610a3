"""What a pair takes: weights and caches."""

import pytest
from helpers import gpt2

from omnitrain_eft.configs.models import CompositionConfig, ShapedCausalConfig
from omnitrain_eft.models.memory import cache_bytes_per_token, plan_lines


def planned(**members):
    """A composition whose members have the given settings, as a recipe resolves them."""
    use = {"use": "eft/causal"}
    composition = CompositionConfig.model_validate({"large": use, "small": use, "experts": [{"model": use}]})
    uses = {"large": composition.large, "small": composition.small, "expert": composition.experts[0].model}
    for name, member in uses.items():
        member.resolved(ShapedCausalConfig(**members[name]))
    return composition


def test_memory_plan_of_the_papers_pair_counts_weights_and_caches():
    small = {"architecture": "llama-2-7b", "dtype": "bfloat16"}
    lines = plan_lines(planned(large={"architecture": "llama-2-70b", "dtype": "bfloat16"}, small=small, expert=small))
    assert lines[0] == (
        "large base: 68,976,648,192 parameters, 128.5 GiB in bfloat16, 64.8 GiB in 8 bit, 320 KiB of cache a token"
    )
    # 2 (keys, values) x layers x key-value heads x width x 2 bytes, of 70B and twice 7B
    caches = 2 * 2 * 128 * (80 * 8 + 2 * 32 * 32) * 4096
    assert lines[3] == f"caches: 1344 KiB a token, {caches / 2**30:.1f} GiB for a text of 4,096 tokens, the longest for all"
    every = 2 * (68_976_648_192 + 2 * 6_738_415_616) + caches
    assert f"all in bfloat16 {every / 2**30:.1f} GiB;" in lines[4]
    assert lines[4].endswith(f"as set here {every / 2**30:.1f} GiB")
    assert len(lines) == 5
    assert cache_bytes_per_token(gpt2(2, 32, 0).config) == 2 * 2 * 2 * 16 * 2


def test_memory_plan_says_what_is_set_and_what_it_can_not_know():
    large = {"path": "a/large", "architecture": "llama-2-13b", "dtype": "int8"}
    lines = plan_lines(planned(large=large, small={"architecture": "llama-2-7b"}, expert={"path": "a/tuned"}))
    assert lines[-1] == "not in the memory plan: expert 0; set `architecture` beside `path`"
    mixed, as_set = (float(lines[-2].split(what)[1].split()[0]) for what in ("large base in 8 bit ", "as set here "))
    # The small base has no dtype, so that it is loaded in float32.
    assert as_set - mixed == pytest.approx(2 * 6_738_415_616 / 2**30, abs=0.11)
    assert plan_lines(planned(large={}, small={}, expert={})) == []
