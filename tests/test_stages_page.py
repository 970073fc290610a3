"""The page on stages says what a stage gets: every public name of Run is on it, and no other."""

import re

from omnitrain.api import Run
from workspace import ROOT

TEXT = (ROOT / "docs/stages.md").read_text(encoding="utf-8")


def test_every_method_of_run_is_on_the_page_and_no_other() -> None:
    public = {name for name in dir(Run) if not name.startswith("_")}
    assert set(re.findall(r"`run\.(\w+)", TEXT)) == public


def test_page_fits_ten_minutes_of_reading() -> None:
    assert len(TEXT.split()) < 2000
