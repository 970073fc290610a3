"""The Pareto front."""

from omnitrain_phf.paper.pareto import pareto


def test_front_has_the_points_that_nothing_is_better_than():
    points = {"a": (1.0, 5.0), "b": (2.0, 3.0), "c": (3.0, 4.0), "d": (2.0, 3.0)}
    assert pareto(points) == ["a", "b", "d"]
