"""Shapes of causal models."""

import pytest

from omnitrain_eft.models.causal import released_shape


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("falcon-7b", 6_921_720_704),
    ],
)
def test_released_architectures_have_the_published_number_of_parameters(architecture, parameters):
    assert sum(p.numel() for p in released_shape(architecture).parameters()) == parameters
