"""What the kit finds in claims: what is declared, and what is stored of it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omnitrain.api import Claim, Contrast, Looks, Published
from omnitrain.evidence.claims import claim_row, with_family
from omnitrain.evidence.looks import look
from omnitrain.evidence.stored import SCHEMA
from omnitrain_testing.checks import claims

BETTER = Contrast("a", "b", "higher")
GOOD = Claim(
    "C1", "S.", {"x": Published(1.0, "Table 1")}, (), "math:sqrt", (BETTER,), ("untrained", Contrast("a", "chance", "higher"))
)
ROWS = [{"a": 2.0 + i / 10, "b": 1.0} for i in range(6)]


def findings(claim: Claim, checkout: Path | None = None) -> list[str]:
    """What is found in a claim, but that it rests on no run."""
    examination: Any = SimpleNamespace(checkout=checkout, plugin=SimpleNamespace(name="p"))
    return [text for text in claims.complete(examination, claim) if "rests on no run" not in text]


def test_complete_claim_has_no_finding() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contrasts": ()}, "It compares nothing"),
        ({"contrasts": (replace(BETTER, opponent="a"),)}, "does not name two different numbers"),
        ({"contrasts": (replace(BETTER, direction="up"),)}, "has the direction 'up'"),
        ({"contrasts": (replace(BETTER, kind="best"),)}, "has the kind 'best'"),
        ({"contrasts": (replace(BETTER, scale="log"),)}, "has the scale 'log'"),
        ({"contrasts": (replace(BETTER, kind="equal"),)}, "has the margin 0"),
        ({"contrasts": (replace(BETTER, kind="not-worse"),)}, "has the margin 0"),
        ({"contrasts": (replace(BETTER, margin=-0.1),)}, "has the margin -0.1"),
        ({"contrasts": (replace(BETTER, smallest=0.0),)}, "has 0 as the smallest effect of interest"),
        ({"nothing": ()}, "It has no row of doing nothing"),
        ({"nothing": (replace(BETTER, scale="log"),)}, "has the scale 'log'"),
        ({"looks": Looks.fixed(1)}, "looked at after one seed"),
        ({"statement": " "}, "Its 'statement' is empty"),
        ({"minutes": 0.0}, "takes 0.0 minutes"),
        ({"measure": "math:pi"}, "is not a function"),
    ],
)
def test_what_a_declaration_lacks_is_found(change: dict[str, Any], said: str) -> None:
    (found,) = findings(replace(GOOD, **change))
    assert said in found


def test_check_may_have_one_run_and_no_margin() -> None:
    assert findings(replace(GOOD, check=True, looks=Looks.fixed(1), contrasts=(replace(BETTER, kind="equal"),))) == []


def stored(folder: Path, claim: Claim, **change: Any) -> Path:
    """A checkout with results of a claim, some of them changed."""
    origin = {"versions": {}, "commit": "c", "date": "d", "cpu": "k", "machine": "m"}
    row = claim_row(claim, range(6), ROWS, [look(range(6), "s", claim.looks, [])], origin, {}, 1.0)
    (row,) = with_family([row], [claim])
    (folder / "results").mkdir()
    content = {"schema": SCHEMA, "plugin": "p", "claims": [{**row, **change}]}
    (folder / "results" / "claims.json").write_text(json.dumps(content))
    return folder


def test_stored_results_that_fit_have_no_finding(tmp_path: Path) -> None:
    assert findings(GOOD, stored(tmp_path, GOOD)) == []
    assert findings(replace(GOOD, id="C2"), tmp_path) == []


def test_opponent_that_the_stored_values_lack_is_found(tmp_path: Path) -> None:
    folder = stored(tmp_path, GOOD)
    (found,) = findings(replace(GOOD, contrasts=(BETTER, Contrast("a", "elsewhere", "higher"))), folder)
    assert "Its contrasts name elsewhere, which the stored values lack: they have a, b" in found


def test_stored_verdict_that_its_values_do_not_give_is_found(tmp_path: Path) -> None:
    (found,) = findings(GOOD, stored(tmp_path, GOOD, verdict="contradicted"))
    assert "Its stored 'verdict' is 'contradicted', while its stored values and what it declares give 'shown'" in found


def test_look_that_was_not_declared_is_found(tmp_path: Path) -> None:
    folder = stored(tmp_path, GOOD)
    (found,) = findings(replace(GOOD, looks=Looks.fixed(10)), folder)
    assert "Its stored 'beyond' is False" in found
    assert "give True" in found


def test_results_that_can_not_be_read_are_found(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "claims.json").write_text("{")
    (found,) = findings(GOOD, tmp_path)
    assert "Its stored results can't be read" in found
