"""The contract on `core/mixture`, over data of the language package that is mixed in every way."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from omnitrain_testing.checks import objectives
from omnitrain_testing.collecting import checks_of
from omnitrain_testing.declaration import Declaration
from omnitrain_testing.examination import Examination
from omnitrain_testing.findings import Note, Result, carry_out
from omnitrain_testing.subjects import combination

MODEL = {"use": "language/causal", "size": "tiny"}
OBJECTIVE = {"use": "language/causal-nll", "group": "member_ids"}
CHECKS = {"config light", "config documented", "config round trip", "config inputs", "config strict"}
EXERCISED = {"exercised", "batch fields", "read twice", "fingerprint"}
LOSSES = [objectives.gradients, objectives.padding, objectives.splitting, objectives.zero_weight]


@cache
def pairs() -> str:
    """Pairs in a file of a temporary folder that lives as long as the tests."""
    from tempfile import mkdtemp

    path = Path(mkdtemp()) / "pairs.jsonl"
    path.write_text("".join(json.dumps({"inputs": f"{i} and {7 * i}", "targets": str(8 * i)}) + "\n" for i in range(60)))
    return str(path)


def settings(**more: Any) -> dict[str, Any]:
    """Settings of a mixture of pairs, of which one is capped."""
    use = {"use": "language/pairs", "path": pairs(), "layout": "decoder-only", "tokenizer": {"vocabulary_size": 300}}
    members = {"many": {"data": use, "weight": 2.0}, "few": {"data": {**use, "prefix": "Add: "}, "cap": 5}}
    return {"members": members, "facts_of": "many", **more}


@pytest.fixture(scope="module", params=[{}, {"unit": "update", "order": "alternating"}], ids=["by example", "by update"])
def examination(request: pytest.FixtureRequest) -> Iterator[Examination]:
    """The core under examination, with settings for the mixture."""
    made = Examination(Declaration("core", settings={"core/mixture": settings(**request.param)}))
    yield made
    made.close()


def test_mixture_holds_to_the_contract_of_data(examination: Examination) -> None:
    chosen = [check for check in checks_of(examination) if check.name.startswith("core/mixture ")]
    assert {check.name.removeprefix("core/mixture ") for check in chosen} == CHECKS | EXERCISED
    found: list[Result] = [carry_out(check, examination) for check in chosen]
    assert {result.name: result.problems for result in found if result.problems} == {}


@pytest.mark.parametrize("check", LOSSES, ids=lambda check: check.__name__)
def test_losses_of_a_mixture_hold_to_the_contract(examination: Examination, check: Callable[..., Iterator[str]]) -> None:
    chosen = {"data": {"use": "core/mixture", **examination.declared.settings["core/mixture"]}}
    subject = combination("mixture", examination, {**chosen, "model": MODEL, "objective": OBJECTIVE}, frozenset({"data"}))
    assert subject is not None
    assert [found for found in check(subject) if not isinstance(found, Note)] == []
