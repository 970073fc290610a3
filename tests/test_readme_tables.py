"""The tables of claims and benches in READMEs come from stored results and are not edited by hand."""

from pathlib import Path

import pytest
from conftest import Command

ROOT = Path(__file__).parents[1]
STORED = sorted(path for path in ROOT.glob("*/*/results/*.json")) + sorted(ROOT.glob("core/results/*.json"))
COMMANDS = {"claims": "reproduce", "bench": "bench"}


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parents[1].name} {path.stem}")
def test_table_of_the_readme_is_what_the_stored_file_gives(path: Path, omnitrain: Command) -> None:
    omnitrain(COMMANDS[path.stem], path.parents[1].name, "--check-readme")


def test_claims_and_benches_are_stored() -> None:
    assert {path.stem for path in STORED} == set(COMMANDS)


def test_performance_page_shows_the_stored_table_of_the_core() -> None:
    table = (ROOT / "core/README.md").read_text("utf-8").partition("<!-- bench -->")[2].partition("<!-- /bench -->")[0]
    assert table.strip() in (ROOT / "docs/performance.md").read_text("utf-8")
