"""The lines of a stage that is started again are there once, whatever the stage does about it."""

import json

import pytest

from omnitrain.api import Component, Config, Evaluation, Metric, Plugin
from omnitrain.engine import Journal
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.plugins import Registry, installed
from omnitrain.plugins.discovery import PluginState
from omnitrain.recipes import resolve
from omnitrain.recipes.reading import Document

faults: list[str] = []


class Killed(Exception):
    """Nothing behind it is done."""


class Empty(Config):
    """Nothing."""


def die(place):
    """Stop here once, if a test asks for it."""
    if faults and faults[0] == place:
        faults.pop()
        raise Killed


def plain(config, run):
    """Log in all ways and remember nothing."""
    run.event("begun")
    run.log(1, {"loss": 1.0})
    run.timing(1, {"seconds": 2.0})
    run.part("inner").log(1, {"loss": 3.0})
    if faults:
        run.report("other", Evaluation({"error": Metric(4.0, 1, "lower")}))
    run.report("found", Evaluation({"error": Metric(4.0, 1, "lower")}))
    die("end")


def looping(config, run):
    """Log before a loop with checkpoints, in it, and behind it."""
    state = {"step": 0}
    run.log(0, {"before": 1.0})
    journal = Journal(run, lambda: {"loop": state}, lambda parts: state.update(parts["loop"]), every=2)
    for step in range(journal.resume() + 1, 6):
        state["step"] = step
        run.log(step, {"loss": float(step)})
        run.event("bad", step=step)
        die(f"step {step}")
        journal.after(step, 5)
        journal.wait()  # in one process the thread that writes would outlive what dies
    run.report("found", Evaluation({"error": Metric(4.0, 1, "lower")}))
    die("end")


def skipping(config, run):
    """Log and train in parts that a later checkpoint says to be done."""
    state = {"step": 0}
    journal = Journal(run, lambda: {"loop": state}, lambda parts: state.update(parts["loop"]), every=1)
    first = journal.resume()
    if first == 0:
        run.part("plain").log(1, {"loss": 1.0})
        inner = run.part("inner")
        inner.log(1, {"loss": 2.0})
        inner.line_counts()
        die("parts")
    for step in range(first + 1, 4):
        state["step"] = step
        run.log(step, {"loss": float(step)})
        journal.after(step, 4)
        journal.wait()
        die(f"step {step}")


def own(config, run):
    """Keep checkpoints in a form of its own, and forget to rewind where there is none."""
    kept = run.directory / "kept.json"
    first = 1
    if kept.exists():
        state = json.loads(kept.read_text())
        run.rewind(*state["lines"])
        first = state["step"] + 1
    for step in range(first, 5):
        run.log(step, {"loss": float(step)})
        lines = run.line_counts()
        die(f"step {step}")
        if step == 2:
            kept.write_text(json.dumps({"step": step, "lines": lines}))


@pytest.fixture
def run(tmp_path):
    """Run one stage in a folder."""
    stages = {"plain": plain, "looping": looping, "skipping": skipping, "own": own}
    parts = tuple(Component("stage", n, "x", f"{__name__}:Empty", f"{__name__}:{b.__name__}") for n, b in stages.items())
    plugin = Plugin(name="logs", summary="Logs.", api="1.1", components=parts)
    registry = Registry([*installed().states, PluginState("logs", "omnitrain-core", "1", "ok", plugin=plugin)])

    def run(stage, out):
        recipe = resolve(Document({"stages": [{"name": "work", "use": f"logs/{stage}"}]}, {}), "logging", registry)
        return run_recipe(recipe, tmp_path / out, Options(quiet=True), registry).root

    return run


def lines(root):
    """Return the lines of all records, without the events of going on."""
    events = (root / "events.jsonl").read_text().splitlines() if (root / "events.jsonl").exists() else []
    found = {name: (root / name).read_text() for name in ("metrics.jsonl", "timing.jsonl") if (root / name).exists()}
    return {**found, "events": [line for line in events if '"resumed"' not in line]}


@pytest.mark.parametrize(
    ("stage", "kills"),
    [
        ("plain", ["end", "end"]),
        ("looping", ["step 1", "step 3", "step 5", "end"]),
        ("looping", ["end"]),
        ("skipping", ["parts", "step 1", "step 2"]),
        ("own", ["step 1", "step 2", "step 3"]),
    ],
)
def test_a_stage_that_dies_and_is_started_again_has_the_lines_of_one_that_did_not(run, stage, kills):
    whole = run(stage, "whole")
    for kill in kills:
        faults.append(kill)
        with pytest.raises(Killed):
            run(stage, "killed")
    assert lines(run(stage, "killed")) == lines(whole)
    folders = [root / "work/evaluations" for root in (whole, whole.with_name("killed"))]
    assert len({tuple(sorted(p.name for p in folder.glob("*"))) for folder in folders}) == 1
