"""Every claim's numbers come out of a run of its recipe; here of a run far too short to show anything."""

import math

import pytest

from omnitrain.api import FinishedRun, load_reference
from omnitrain.engine import Options, run_recipe
from omnitrain.evidence.claims import needed_names
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain_lae.evidence.claims import CLAIMS


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One short run of every recipe that claims rest on."""
    found = {}
    for name in ("methods", "backbones"):
        stages = [s.name for s in load_recipe(f"lae/{name}").stages]
        learned = [s for s in stages if s not in ("scenario", "compare", "means") and not s.startswith("pretrain")]
        overrides = [f"{s}.fit.steps=1" for s in stages if s.startswith("pretrain")]
        overrides += [f"{s}.data.per_class=2" for s in stages if s.startswith("pretrain")]
        overrides += [f"{s}.epochs=1" for s in learned] + ["scenario.data.tasks=2", "scenario.data.data.max_per_class=25"]
        found[name] = tmp_path_factory.mktemp(name)
        run_recipe(load_recipe(f"lae/{name}", overrides), found[name], Options(quiet=True), installed())
    return found


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_claim_is_measured(claim, runs):
    values = load_reference(claim.measure)({variant.name: FinishedRun(runs[variant.name]) for variant in claim.variants})
    idle = [(row,) if isinstance(row, str) else (row.metric, row.opponent) for row in claim.nothing]
    assert {*needed_names(claim), *(name for names in idle for name in names)} <= set(values)
    assert all(math.isfinite(value) for value in values.values())
