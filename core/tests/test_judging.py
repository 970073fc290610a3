"""What counts as shown: verdicts by hand-computed numbers, levels, looks and families."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.api import Claim, Contrast, Looks, Published, Variant
from omnitrain.api.measures import t_tail
from omnitrain.errors import UsageError
from omnitrain.evidence.claims import claim_row, with_family
from omnitrain.evidence.judging import adjusted, check, compare, gains, judge
from omnitrain.evidence.looks import described, is_declared, level_of, look, numbered, refuse_undeclared
from omnitrain.evidence.statistics import detectable, holm, mean_p, no_spread, power, seeds_needed

BETTER = Contrast("a", "b", "higher")
# Of gains 1, 2, 3: mean 2, spread 1, interval 2 +- 4.302652729911275 / sqrt(3) (t of 2 degrees, 97.5 %).
HALF = 4.302652729911275 / math.sqrt(3)


def rows(*found: float) -> list[dict[str, float]]:
    """Numbers of seeds whose gains of a over b are those."""
    return [{"a": 10 + gain, "b": 10.0, "idle": 8.0} for gain in found]


@pytest.mark.parametrize(
    ("contrast", "found", "verdict"),
    [
        (BETTER, (0.9, 1.0, 1.1), "shown"),
        (replace(BETTER, direction="lower"), (-0.9, -1.0, -1.1), "shown"),
        (BETTER, (-0.9, -1.0, -1.1), "contradicted"),
        (BETTER, (1.0, 2.0, -0.5), "open"),
        # The interval of .3 .6 .7 .5 .6 is .54 +- .188: its near end, not its mean, has to reach the margin.
        (replace(BETTER, margin=0.5), (0.3, 0.6, 0.7, 0.5, 0.6), "open"),
        (replace(BETTER, margin=0.35), (0.3, 0.6, 0.7, 0.5, 0.6), "shown"),
        (replace(BETTER, smallest=0.5), (-0.1, 0.0, 0.1), "equivalent"),
        (replace(BETTER, smallest=0.2), (-0.1, 0.0, 0.1), "open"),
        (BETTER, (-0.1, 0.0, 0.1), "open"),
        (replace(BETTER, kind="not-worse", margin=0.5), (-0.1, 0.0, 0.1), "shown"),
        (replace(BETTER, kind="not-worse", margin=0.2), (-0.1, 0.0, 0.1), "open"),
        (replace(BETTER, kind="not-worse", margin=0.2), (-0.9, -1.0, -1.1), "contradicted"),
        (replace(BETTER, kind="equal", margin=0.5), (-0.1, 0.0, 0.1), "shown"),
        (replace(BETTER, kind="equal", margin=0.2), (-0.1, 0.0, 0.1), "open"),
        (replace(BETTER, kind="equal", margin=0.5), (0.9, 1.0, 1.1), "contradicted"),
        (replace(BETTER, kind="equal", margin=0.5), (-0.9, -1.0, -1.1), "contradicted"),
    ],
)
def test_contrast_is_judged_by_the_ends_of_its_interval(contrast: Contrast, found: tuple[float, ...], verdict: str) -> None:
    assert compare(contrast, rows(*found)).verdict == verdict


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ((1.0,), "one seed has no interval"),
        ((1.0, math.nan), "not finite"),
        ((1.0, math.inf), "not finite"),
        ((1.0, 1.0, 1.0), "a spread of 0 shows nothing"),
        ((1e-300, 1e-300), "a spread of 0 shows nothing"),
        ((0.3, 0.1 + 0.2), "a spread of 0 shows nothing"),
    ],
)
def test_one_seed_equal_seeds_and_numbers_that_are_not_finite_show_nothing(found: tuple[float, ...], reason: str) -> None:
    compared = compare(BETTER, [{"a": gain, "b": 0.0} for gain in found])
    assert (compared.verdict, compared.p) == ("open", None)
    assert reason in compared.reason


def test_interval_p_and_power_are_those_of_the_paired_t_test() -> None:
    found = compare(BETTER, rows(1.0, 2.0, 3.0))
    assert found.interval == pytest.approx((2 - HALF, 2 + HALF))
    # t = 2 sqrt(3) of 2 degrees: one-sided p (1 - t / sqrt(2 + t^2)) / 2.
    assert found.p == pytest.approx(1 - 2 * math.sqrt(3) / math.sqrt(14))
    assert found.detectable == pytest.approx(3.26404355, abs=1e-6)
    assert found.needed == 5
    assert compare(replace(BETTER, smallest=4.0), rows(1.0, 2.0, 3.0)).needed == 3
    assert compare(BETTER, rows(-1.0, -2.0, -3.0)).needed is None


def test_scales_take_logarithms_and_say_when_there_is_none() -> None:
    ratio = Contrast("a", "b", "lower", scale="log-ratio")
    assert gains(ratio, [{"a": 1.0, "b": math.e}]) == pytest.approx([1.0])
    assert gains(replace(ratio, offset=0.5), [{"a": 0.0, "b": 0.5}]) == pytest.approx([math.log(2)])
    assert math.isnan(gains(ratio, [{"a": 0.0, "b": 1.0}])[0])
    logit = Contrast("a", "b", "higher", scale="logit")
    assert gains(logit, [{"a": 0.75, "b": 0.5}]) == pytest.approx([math.log(3)])
    assert math.isnan(gains(logit, [{"a": 1.0, "b": 0.5}])[0])


def claim(*contrasts: Contrast, **more: object) -> Claim:
    """A claim of these contrasts."""
    settings: dict[str, object] = {"nothing": ("idle",), "looks": Looks.fixed(3), **more}
    return Claim("C1", "S.", {"x": Published(1.0, "-")}, (Variant("v", "toy/tiny"),), "m:f", contrasts, **settings)  # type: ignore[arg-type]


def test_claim_is_shown_only_when_every_contrast_is_and_its_p_is_the_largest() -> None:
    numbers = [{"a": 10 + i / 10, "b": 5.0, "c": 5.0 + 2 * i, "idle": 0.0} for i in range(3)]
    second = Contrast("a", "c", "higher")
    found = judge(claim(BETTER, second), numbers)
    assert [c.verdict for c in found.compared] == ["shown", "open"]
    assert found.verdict == "open"
    assert found.p == max(c.p for c in found.compared if c.p is not None)
    worse = [{**row, "c": 20 + row["a"] * 1.5} for row in numbers]
    assert judge(claim(BETTER, second), worse).verdict == "contradicted"
    assert judge(claim(BETTER, replace(BETTER, kind="equal", margin=9.0)), numbers).verdict == "shown"


def test_claim_is_compared_with_doing_nothing_or_says_that_it_was_not() -> None:
    found = judge(claim(BETTER, nothing=("idle", "chance")), rows(0.9, 1.0, 1.1))
    assert [row and row.verdict for row in found.nothing.values()] == ["shown", None]


def test_row_of_doing_nothing_may_have_a_metric_of_its_own() -> None:
    own = Contrast("a", "idle", "lower")
    found = judge(claim(BETTER, nothing=(own, "b")), rows(0.9, 1.0, 1.1))
    assert [row and row.verdict for row in found.nothing.values()] == ["contradicted", "shown"]


def test_check_holds_in_every_run_and_needs_no_spread() -> None:
    assert check(BETTER, rows(1.0, 1.0)).verdict == "check passed"
    assert check(BETTER, rows(1.0, -1e-9)).verdict == "check failed"
    assert check(replace(BETTER, margin=1.0), rows(1.0)).verdict == "check failed"
    assert check(replace(BETTER, kind="equal", margin=0.0), rows(0.0)).verdict == "check passed"
    assert check(replace(BETTER, kind="not-worse", margin=0.1), rows(-0.05)).verdict == "check passed"
    assert check(BETTER, rows(math.nan)).verdict == "check failed"
    found = judge(claim(BETTER, check=True), rows(1.0))
    assert (found.verdict, found.p, found.compared[0].interval) == ("check passed", None, None)


ORIGIN = {"versions": {}, "commit": "c", "date": "d", "cpu": "k", "machine": "m"}


def row_of(measured: Claim, found: tuple[float, ...], made: tuple[tuple[int, ...], ...] | None = None) -> dict[str, object]:
    """A result as it is stored. made: seed sets of all looks; by default one at so many seeds."""
    looks: list[dict[str, object]] = []
    for seeds in made or (tuple(range(len(found))),):
        looks.append(look(seeds, "s", measured.looks, looks))
    seeds = tuple(range(len(found)))
    return claim_row(measured, seeds, rows(*found), looks, ORIGIN, {"v": "f"}, 1.0)


def family(*others: float, found: tuple[float, ...] = (0.9, 1.0, 1.1), **more: object) -> dict[str, object]:
    """The first claim's result within a family of claims with these p."""
    first = claim(BETTER, **more)
    results = [row_of(first, found)]
    claims = [first]
    for i, p in enumerate(others, 2):
        claims.append(replace(claim(BETTER), id=f"C{i}"))
        results.append({**row_of(claims[-1], (0.9, 1.0, 1.1)), "p": p})
    return with_family(results, claims)[0]


def test_shown_is_adjusted_within_the_plugin_else_it_is_called_unadjusted() -> None:
    alone = family()
    assert (alone["result"], alone["holds"]) == ("shown", True)
    assert alone["adjusted_p"] == alone["p"]
    crowded = family(*[0.9] * 20)
    assert (crowded["result"], crowded["holds"]) == ("shown (unadjusted)", False)
    assert crowded["adjusted_p"] == pytest.approx(21 * crowded["p"])  # type: ignore[operator]
    assert family(*[1e-9] * 20)["result"] == "shown"


def test_claims_that_were_not_measured_count_in_the_family_and_checks_do_not() -> None:
    claims = [claim(BETTER), *(replace(claim(BETTER), id=f"C{i}") for i in range(2, 22))]
    (found,) = with_family([row_of(claims[0], (0.9, 1.0, 1.1))], claims)
    assert (found["family"], found["result"]) == (21, "shown (unadjusted)")
    checks = [claims[0], *(replace(c, check=True) for c in claims[1:])]
    (found,) = with_family([row_of(claims[0], (0.9, 1.0, 1.1))], checks)
    assert (found["family"], found["result"]) == (1, "shown")


def test_status_names_what_each_contrast_came_to_and_doing_nothing() -> None:
    numbers = [{"a": 10 + i / 10, "b": 5.0, "c": 5.0 + 2 * i, "idle": 20.0 + i / 20} for i in range(3)]
    both = claim(BETTER, Contrast("a", "c", "higher"), nothing=("idle", "chance"))
    looks = [look((0, 1, 2), "s", both.looks, [])]
    (found,) = with_family([claim_row(both, (0, 1, 2), numbers, looks, ORIGIN, {"v": "f"}, 1.0)], [both])
    assert found["status"] == (
        "open: shown against b; open against c; not against doing nothing (idle); "
        "against doing nothing not measured yet: chance"
    )


def test_declared_looks_are_judged_at_their_level() -> None:
    two = Looks.two(5, 10)
    assert (two.seeds(0), two.seeds(1)) == (tuple(range(5)), tuple(range(10)))
    for sets in ([range(5)], [range(5), range(10)], [range(10)]):
        assert is_declared(sets, two)
    assert level_of([range(5), range(10)], two) == 0.028
    assert level_of([range(6)], Looks.fixed(6)) == 0.05
    assert described(two) == "looks at 5 and 10 seeds (0-9)"
    assert described(Looks.fixed(1, first=7)) == "1 seed (7)"


def test_looks_beyond_the_declaration_share_the_level_and_the_result_says_so() -> None:
    three = Looks.fixed(3)
    assert not is_declared([range(3), range(5)], three)
    assert not is_declared([range(10), range(5)], Looks.two(5, 10))
    assert not is_declared([(100, 101, 102)], three)
    assert level_of([range(3), range(5)], three) == 0.028
    assert level_of([range(3), range(5), range(10)], three) == pytest.approx(0.05 / 3)
    assert level_of([range(3), (100, 101, 102, 103, 104)], three) == 0.025
    measured = claim(BETTER)
    result = row_of(measured, (0.9, 1.0, 1.1, 1.0, 0.95), made=((0, 1, 2), (0, 1, 2, 3, 4)))
    (found,) = with_family([result], [measured])
    assert (found["level"], found["result"], found["holds"]) == (0.028, "shown (beyond the declaration)", False)


def test_runs_made_anew_are_no_other_look_and_a_new_declaration_begins_anew() -> None:
    three, made = Looks.fixed(3), []
    for _ in range(2):
        made.append(look((0, 1, 2), "settings", three, made))
    assert [entry["declared"] for entry in made] == [True, True]
    assert look(tuple(range(100, 110)), "settings", Looks.fixed(10, first=100), made)["declared"]
    assert look((0, 1, 2, 3), "settings", three, made)["declared"] is False
    assert look((0, 1, 2), "other settings", three, made)["declared"]


def test_undeclared_looks_are_stored_only_on_demand_and_pilots_never() -> None:
    measured = claim(BETTER)
    refuse_undeclared(measured, look((0, 1, 2), "s", measured.looks, []), beyond=False)
    further = look(tuple(range(5)), "s", measured.looks, [])
    with pytest.raises(UsageError, match=r"declares 3 seeds \(0-2\); a look at seeds 0-4 goes beyond"):
        refuse_undeclared(measured, further, beyond=False)
    refuse_undeclared(measured, further, beyond=True)
    with pytest.raises(UsageError, match="from 1000 on are pilots"):
        refuse_undeclared(measured, look((1000, 1001), "s", measured.looks, []), beyond=True)


def test_looks_that_can_not_be_are_refused() -> None:
    for at in ((), (0,), (5, 5), (5, 3)):
        with pytest.raises(ValueError, match="expected growing numbers of seeds"):
            Looks(at)
    with pytest.raises(ValueError, match="expected seeds below 1000"):
        Looks.fixed(10, first=995)
    with pytest.raises(ValueError, match="two looks at 5 and 9 seeds have no known level"):
        Looks.two(5, 9)


def test_seeds_are_written_as_ranges() -> None:
    assert numbered([5, 0, 1, 2, 7]) == "0-2, 5, 7"


@pytest.mark.parametrize(
    ("t", "degrees", "tail"),
    [
        # scipy 1.17.1, stats.t.sf(t, degrees)
        (2.5, 4, 0.03338327240599407),
        (1.0, 1, 0.25),
        (10.0, 2, 0.004926228511662845),
        (-0.7, 5, 0.7424255258425918),
        (3.2, 9, 0.005415651294950661),
    ],
)
def test_tail_of_student_is_that_of_scipy(t: float, degrees: int, tail: float) -> None:
    assert t_tail(t, degrees) == pytest.approx(tail, abs=1e-14)


@pytest.mark.parametrize(
    ("count", "effect", "level", "value"),
    [
        # scipy 1.17.1, 1 - stats.nct.cdf(stats.t.ppf(1 - level / 2, n - 1), n - 1, effect * sqrt(n))
        (6, 1.0, 0.05, 0.5068166814068781),
        (10, 1.0, 0.028, 0.7027438094271385),
        (3, 2.0, 0.05, 0.47074770619294315),
        (5, 0.5, 0.05, 0.13845277320920102),
    ],
)
def test_power_is_that_of_the_noncentral_t(count: int, effect: float, level: float, value: float) -> None:
    assert power(effect, count, level) == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize(
    ("count", "level", "effect"),
    [
        # scipy 1.17.1, the effect at which the power above is .8
        (2, 0.05, 11.549888435882442),
        (3, 0.05, 3.2640435498199154),
        (5, 0.028, 1.986176690817484),
        (6, 0.05, 1.4345453439498799),
        (10, 0.028, 1.1153854720630338),
    ],
)
def test_detectable_effect_and_seeds_needed_are_each_others_inverse(count: int, level: float, effect: float) -> None:
    assert detectable(count, level) == pytest.approx(effect, rel=1e-6)
    assert seeds_needed(effect * 1.0001, level) == count
    assert seeds_needed(effect * 0.999, level) == count + 1


def test_no_number_of_seeds_shows_nothing() -> None:
    assert seeds_needed(0.0) is None
    assert seeds_needed(-1.0) is None
    assert seeds_needed(0.05) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert adjusted({"a": 0.01, "b": None}, 3) == {"a": pytest.approx(0.03), "b": None}


GAINS = st.integers(-(10**6), 10**6).map(lambda number: number / 10**5)
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(PROBABILITIES, st.randoms())
def test_holm_keeps_the_order_never_lowers_and_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    found = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, found, strict=True))
    ranked = sorted(range(len(values)), key=lambda i: values[i])
    assert all(found[a] <= found[b] for a, b in pairwise(ranked))
    turned = holm(values[::-1])
    assert turned[::-1] == found


@given(PROBABILITIES, st.floats(0, 1))
def test_a_p_that_is_not_known_yet_can_only_lower_the_others(values: list[float], late: float) -> None:
    named = {str(i): p for i, p in enumerate(values)}
    before, after = adjusted(dict(named), len(values) + 1), adjusted({**named, "late": late}, len(values) + 1)
    for name in named:
        assert (after[name] or 0.0) <= (before[name] or 0.0) + 1e-12


@given(st.lists(GAINS, min_size=2, max_size=4))
def test_order_of_seeds_does_not_matter(found: list[float]) -> None:
    results = [compare(BETTER, rows(*order)) for order in (found, found[::-1], sorted(found))]
    assert len({result.verdict for result in results}) == 1
    assert all(result.p == pytest.approx(results[0].p, abs=1e-9) for result in results)


@given(st.lists(GAINS, min_size=3, max_size=6), st.sampled_from([0.05, 0.028]))
def test_p_is_below_the_level_exactly_where_the_interval_is_on_the_claimed_side(found: list[float], level: float) -> None:
    result = compare(BETTER, [{"a": gain, "b": 0.0} for gain in found], level)
    if result.p is not None and result.interval is not None and abs(result.p - level) > 1e-9:
        assert (result.p < level) == (result.interval[0] > 0) == (result.verdict == "shown")


@given(st.lists(GAINS, min_size=2, max_size=6))
def test_opposite_direction_turns_shown_into_contradicted(found: list[float]) -> None:
    turned = replace(BETTER, direction="lower")
    one, other = compare(BETTER, rows(*found)).verdict, compare(turned, rows(*found)).verdict
    assert (one == "shown") == (other == "contradicted")


def test_values_that_differ_by_rounding_have_no_spread() -> None:
    assert no_spread([0.1 + 0.2, 0.3])
    assert not no_spread([0.3, 0.3001])
    assert mean_p([2.0, 2.0]) is None
