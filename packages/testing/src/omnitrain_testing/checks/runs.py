"""The recipe tiny: runs, runs alike under the same seed, and goes on after a stop as if there had been none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnitrain.api import TellsArtifacts
from omnitrain.errors import Stopped
from omnitrain.runs import RunDirectory
from omnitrain_testing.findings import Note

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

METRICS = "metrics.jsonl"


def tiny_run(examination: Examination) -> Iterator[str]:
    """The recipe tiny ends well."""
    found = examination.first_run
    if found["code"]:
        yield f"'omnitrain run {examination.state.name}/tiny' ends with exit code {found['code']}: {found['error']}"


def determinism(examination: Examination) -> Iterator[str]:
    """Two runs of tiny in different processes, with strings hashed differently, agree in every bit."""
    if examination.first_run["code"]:
        yield Note("not judged, since tiny does not run")
        return
    second = examination.second_run
    if second["code"]:
        yield f"The second run of tiny ends with exit code {second['code']}: {second['error']}"
        return
    difference = first_difference(Path(examination.first_run["out"]), Path(second["out"]))
    if difference:
        yield (
            f"Two runs of tiny with the same seed differ: {difference}. Take every draw from run.seed or context.seed, and "
            "order nothing by sets, hashes, clocks or folders' listings."
        )


def artifacts(examination: Examination) -> Iterator[str]:
    """The plugin's stages in tiny leave what their settings tell, so that a wrong `from:` is refused before a run."""
    if examination.first_run["code"]:
        yield Note("not judged, since tiny does not run")
        return
    out = Path(examination.first_run["out"])
    for stage in examination.tiny.stages if examination.tiny is not None else ():
        if not stage.use.startswith(f"{examination.state.name}/"):
            continue
        if not isinstance(stage.config, TellsArtifacts):
            yield (
                f"The settings of the stage {stage.use} don't tell what it leaves: give {type(stage.config).__name__} a method "
                "`artifacts` (omnitrain.api.TellsArtifacts); {} for a stage that only reports."
            )
            continue
        told = {name: kind if isinstance(kind, str) else kind.kind for name, kind in stage.config.artifacts().items()}
        record = RunDirectory(out, writes=False).stage_record(stage.name)
        made = {name: found["kind"] for name, found in record.artifacts.items()} if record is not None else {}
        if told != made:
            yield f"The stage {stage.use} leaves {made or 'nothing'}, its settings tell {told or 'nothing'}: make them agree."


def resume(examination: Examination) -> Iterator[str]:
    """A run of tiny that is stopped in its middle and run again equals one that was not stopped."""
    if examination.first_run["code"]:
        yield Note("not judged, since tiny does not run")
        return
    recipe = f"{examination.state.name}/tiny"
    looks = max(1, _looks(examination) // 2)
    stopped = examination.ask(0, "run", recipe, stop_at=looks)
    if stopped["code"] != Stopped.exit_code:
        yield (
            f"Asked to stop half-way, tiny ends with exit code {stopped['code']} instead of {Stopped.exit_code}"
            f"{': ' + stopped['error'] if stopped['error'] else ''}. Look at run.should_stop in loops, save, raise Stopped."
        )
        return
    resumed = examination.ask(0, "run", recipe, out=stopped["out"])
    if resumed["code"]:
        yield f"The stopped run of tiny can't be gone on with, exit code {resumed['code']}: {resumed['error']}"
        return
    difference = first_difference(Path(examination.first_run["out"]), Path(resumed["out"]))
    if difference:
        yield (
            f"Stopped and resumed, tiny ends with other results: {difference}. Put everything that decides how training goes "
            "on into a state_dict, or derive it from the step and the seed."
        )
        return
    yield from _repeated(examination, Path(resumed["out"]))


def _repeated(examination: Examination, out: Path) -> Iterator[str]:
    """Stages that do not train, killed at their very end and run again, leave the same."""
    folder = RunDirectory(out)
    stages = [stage["name"] for stage in folder.record["recipe"]["stages"] if stage["use"] != "core/fit"]
    for name in stages:
        record = folder.stage_record(name)
        if record is not None:
            folder.write_stage(name, replace(record, status="running", artifacts={}))
    again = examination.ask(0, "run", f"{examination.state.name}/tiny", out=str(out)) if stages else {"code": 0}
    if again["code"]:
        yield f"The stages {', '.join(stages)} of tiny can't be run again, exit code {again['code']}: {again['error']}"
        return
    difference = first_difference(Path(examination.first_run["out"]), out, by_stage=True)
    if difference:
        yield (
            f"Killed at their end and run again, the stages {', '.join(stages)} of tiny leave other results: {difference}. "
            "Keep nothing of an earlier attempt but ledgers and checkpoints."
        )


def _looks(examination: Examination) -> int:
    """How often a run with filled caches looks whether it should stop."""
    found = examination.second_run
    return int(found["looks"] if not found["code"] else examination.first_run["looks"])


def first_difference(one: Path, other: Path, by_stage: bool = False) -> str | None:
    """Compare metrics line by line, then weights and evaluations bit by bit. by_stage: whatever the order of the stages is."""
    lines, others = ((folder / METRICS).read_text(encoding="utf-8").splitlines() for folder in (one, other))
    if by_stage:
        lines, others = (sorted(found, key=lambda line: str(json.loads(line)["stage"])) for found in (lines, others))
    for number, (a, b) in enumerate(zip(lines, others, strict=False), 1):
        if a != b:
            return f"{METRICS}:{number} is {b}, it was {a}"
    if len(lines) != len(others):
        return f"{METRICS} has {len(others)} lines, it had {len(lines)}"
    digests, found = _digests(one), _digests(other)
    names = sorted({*digests, *found})
    changed = [name for name in names if digests.get(name) != found.get(name)]
    return f"{', '.join(changed[:3])} differ" if changed else None


def _digests(out: Path) -> dict[str, str]:
    files = [*out.glob("*/*/*.safetensors"), *out.glob("*/evaluations/*.json")]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if "checkpoints" not in path.parts
    }
