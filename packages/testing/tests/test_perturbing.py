"""Settings with one value changed."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from omnitrain.api import Config
from omnitrain_testing.perturbing import LIMIT, perturbed


class Inner(Config):
    """Inside."""

    flag: bool = False
    """A switch."""


class Outer(Config):
    """Outside."""

    count: int = Field(default=1, ge=0, le=3)
    """A number."""
    share: float = Field(default=0.5, ge=0, le=1)
    """A share."""
    choice: Literal["a", "b", "c"] = "a"
    """A choice."""
    name: str = "left alone"
    """Text."""
    inner: Inner = Inner()
    """More."""


@given(st.integers(0, 3), st.floats(0, 1), st.sampled_from("abc"), st.booleans())
def test_every_change_differs_in_exactly_its_key(count: int, share: float, choice: str, flag: bool) -> None:
    config = Outer(count=count, share=share, choice=choice, inner=Inner(flag=flag))
    for key, changed in perturbed(config):
        one, other = config.model_dump(), changed.model_dump()
        differing = {name for name in one if one[name] != other[name]}
        assert differing == {key.partition(".")[0]}


def test_changes_that_the_config_refuses_are_left_out() -> None:
    assert [key for key, _ in perturbed(Outer(count=3))] == ["share", "choice", "choice", "inner.flag"]


def test_number_of_changes_is_limited() -> None:
    class Wide(Config):
        """Many choices."""

        choice: Literal[tuple(range(100))] = 0  # type: ignore[valid-type]
        """One of them."""

    assert len(list(perturbed(Wide()))) == LIMIT
