"""The kit finds every fault, each with the one check that is there for it, and none in a good plugin."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from faults import FAULTS, GROUPS
from sample import Fault, write_plugin

from omnitrain_testing.checks.recipes import dry_run
from omnitrain_testing.collecting import DECLARED, checks_of
from omnitrain_testing.declaration import Declaration
from omnitrain_testing.examination import Examination
from omnitrain_testing.findings import Note, Result, carry_out
from omnitrain_testing.workers import Workers

torch.set_num_threads(1)


def examined(folder: Path, name: str, faults: list[Fault], workers: Workers) -> dict[str, Result]:
    source = write_plugin(folder, name, *faults)
    sys.path.insert(0, str(source))
    examination = Examination(Declaration(name), workers)
    try:
        return {check.name: carry_out(check, examination) for check in checks_of(examination)}
    finally:
        examination.close()
        sys.path.remove(str(source))


def failures(results: dict[str, Result]) -> dict[str, tuple[str, ...]]:
    return {name: result.problems for name, result in results.items() if result.status == "failed"}


def test_good_plugin_passes_every_check_without_a_note(tmp_path: Path, workers: Workers) -> None:
    results = examined(tmp_path, "sample", [], workers)
    assert failures(results) == {}
    assert {name: result.notes for name, result in results.items() if result.notes} == {}


@pytest.mark.parametrize("names", GROUPS, ids=" and ".join)
def test_fault_is_found_by_its_check_alone(names: tuple[str, ...], tmp_path: Path, workers: Workers) -> None:
    faults, plugin = [FAULTS[name] for name in names], "sample" + "".join(c for c in names[0] if c.isalpha())
    found = failures(examined(tmp_path, plugin, faults, workers))
    assert set(found) == {fault.check.replace("NAME", plugin) for fault in faults}, found
    for fault in faults:
        assert fault.says.replace("NAME", plugin) in " ".join(found[fault.check.replace("NAME", plugin)])


@pytest.mark.parametrize(("code", "kind"), [(5, Note), (4, str), (2, str)])
def test_dry_run_is_not_judged_only_where_the_machine_lacks_something(code: int, kind: type, tmp_path: Path) -> None:
    stages = [{"name": "train", "problems": ["own.csv needs a library."], "code": code, "notes": []}]
    plugin = SimpleNamespace(name="absent")
    examination: Any = SimpleNamespace(
        plugin=plugin, registry=None, scratch=tmp_path, ask=lambda *_: {"code": 0, "error": "", "stages": stages}
    )
    [found] = dry_run(examination, "paper")
    assert type(found) is kind
    assert "own.csv needs a library." in str(found)


def test_every_check_of_the_good_plugin_has_a_fault(tmp_path: Path) -> None:
    source = write_plugin(tmp_path, "samplenames")
    sys.path.insert(0, str(source))
    examination = Examination(Declaration("samplenames"))
    names = {check.name.partition("/")[2].partition(" ")[2] or check.name for check in checks_of(examination)}
    examination.close()
    sys.path.remove(str(source))
    covered = {fault.check.partition("/")[2].partition(" ")[2] or fault.check for fault in FAULTS.values()}
    assert names - covered == {DECLARED, "recipe tiny", "recipe paper"}
