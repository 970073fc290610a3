"""Claims: statistics, runs in worker processes, verdicts, stored results and the tables made from them."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnitrain.api import Claim, Contrast, Looks, Published, Variant
from omnitrain.cli import run
from omnitrain.errors import EnvironmentFault, OmnitrainError, PluginError, Stopped, UsageError
from omnitrain.evidence import checkouts, trials, workers
from omnitrain.evidence.claims import claim_row, measure_seed
from omnitrain.evidence.looks import look
from omnitrain.evidence.origin import NOT_RECORDED
from omnitrain.evidence.stored import merged, write_stored
from omnitrain.evidence.trials import Plan, Trial, is_finished, make_plan
from omnitrain.evidence.workers import Pool, make_pool, run_trials
from omnitrain.plugins import installed
from omnitrain.report.forest import Row, forest
from omnitrain.report.markdown import between_markers, claims_table
from omnitrain.runs import StopRequest


def _plan(out: Path, *ids: str, seeds: tuple[int, ...] = (0, 1)) -> Plan:
    claims = [claim for claim in installed().claims("toy") if not ids or claim.id in ids]
    return make_plan("toy", claims, {claim.id: seeds for claim in claims}, out, installed())


def test_equal_runs_of_different_claims_are_run_once(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    assert len(plan.trials) == 4
    assert len({trial.folder for trial in plan.trials}) == 4
    first, second = plan.claims
    assert plan.of(first, 1)["many"] is plan.of(second, 1)["many"]
    assert {trial.recipe.seed for trial in plan.trials} == {0, 1}


def test_settings_that_a_recipe_does_not_take_are_found_before_anything_runs(tmp_path: Path) -> None:
    claim = replace(installed().claims("toy")[0], variants=(Variant("odd", "tiny", ("train.fit.stpes=3",)),))
    with pytest.raises(UsageError, match="Variant 'odd' of claim 'C1'") as caught:
        make_plan("toy", [claim], {"C1": (0,)}, tmp_path, installed())
    assert "'steps'" in str(caught.value)


def _numbers_of(value: Any, **more: Any) -> Claim:
    """Return a claim whose measure gives that value."""
    sys.modules[__name__].__dict__["measured_value"] = lambda runs: value
    sys.modules.setdefault("claims_under_test", sys.modules[__name__])
    paper = {"x": Published(None, "-")}
    contrasts = (Contrast("a", "b", "higher"),)
    return Claim("C9", "S.", paper, (), "claims_under_test:measured_value", contrasts, ("c",), **more)


def test_measure_has_to_give_the_numbers_that_the_claim_names() -> None:
    assert measure_seed(_numbers_of({"a": 1, "b": 2.5, "c": 0}), {}, 0) == {"a": 1.0, "b": 2.5, "c": 0.0}
    with pytest.raises(PluginError, match="the claim needs b as well"):
        measure_seed(_numbers_of({"a": 1}), {}, 0)
    with pytest.raises(PluginError, match="expected numbers by name"):
        measure_seed(_numbers_of({"a": "1", "b": 2}), {}, 0)


def test_measure_that_fails_names_its_claim_and_seed() -> None:
    claim = replace(_numbers_of({}), measure="claims_under_test:nowhere")
    with pytest.raises(PluginError, match="claim 'C9' failed for seed 3: AttributeError"):
        measure_seed(claim, {}, 3)


def _python(code: str) -> Callable[[Trial], list[str]]:
    """Return a command for every trial that runs this code with the run's folder as its argument."""
    return lambda trial: [sys.executable, "-c", code, str(trial.folder)]


def _run_all(plan: Plan, code: str, jobs: int = 2) -> list[Trial]:
    ended: list[Trial] = []
    with StopRequest() as stop:
        run_trials(plan.trials, Pool(jobs, 3), stop, lambda trial, seconds: ended.append(trial), _python(code))
    return ended


def test_every_trial_runs_in_a_process_of_its_own_with_its_threads(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    code = "import os, sys; os.mkdir(sys.argv[1]); print(os.environ['OMP_NUM_THREADS'], os.getpid())"
    assert {trial.folder for trial in _run_all(plan, code)} == {trial.folder for trial in plan.trials}
    said = [trial.log.read_text().split() for trial in plan.trials]
    assert {threads for threads, _ in said} == {"3"}
    assert len({process for _, process in said}) == 4


def test_no_more_runs_than_jobs_go_on_at_a_time(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib, time; place = pathlib.Path(sys.argv[1]).parent; mark = place / f'on-{os.getpid()}';"
        "mark.touch(); time.sleep(0.05); print(len(list(place.glob('on-*')))); mark.unlink()"
    )
    plan = _plan(tmp_path)
    _run_all(plan, code, jobs=1)
    assert [trial.log.read_text().strip() for trial in plan.trials] == ["1"] * 4


def test_failed_run_names_variant_seed_and_log_and_gives_its_exit_code(tmp_path: Path) -> None:
    code = "import sys; print('a note'); print('error: no such file x.txt.'); sys.exit(4)"
    with pytest.raises(OmnitrainError) as caught:
        _run_all(_plan(tmp_path), code, jobs=1)
    assert caught.value.exit_code == 4
    said = str(caught.value)
    assert said.startswith("C1 few, seed 0 failed with exit code 4: no such file x.txt.")
    assert f"{_plan(tmp_path).trials[0].log}" in said


def test_run_that_is_killed_is_a_fault_of_the_environment(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="ended by SIGKILL"):
        _run_all(_plan(tmp_path), "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", jobs=1)


def test_ctrl_c_stops_the_workers_and_waits_for_them(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "def leave(number, frame):\n    time.sleep(0.2)\n    place.with_suffix('.saved').touch()\n    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, leave)\nplace.with_suffix('.ready').touch()\ntime.sleep(60)\n"
    )
    plan = _plan(tmp_path)

    def interrupt() -> None:
        while len(list(tmp_path.glob("*.ready"))) < 2:
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped, match="run the same command again"):
        _run_all(plan, code)
    assert len(list(tmp_path.glob("*.saved"))) == 2


def test_processors_are_shared_among_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "processors", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert make_pool(None, 9) == Pool(2, 8)
    assert make_pool(5, 9) == Pool(5, 3)
    assert make_pool(5, 1) == Pool(1, 16)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert make_pool(4, 9) == Pool(4, 2)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs of the toy's claims but one."""
    folder = tmp_path_factory.mktemp("reproduce") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNITRAIN_CACHE", str(folder.parent / "cache"))
        for trial in _plan(folder).trials[1:]:
            command = ["run", trial.address, *trial.overrides, f"seed={trial.seed}", "--out", str(trial.folder), "--quiet"]
            assert run(command) == 0
    return folder


@pytest.fixture(scope="module")
def content(out: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of the toy's claims; the missing run is made by a worker."""
    before = {trial.folder: (trial.folder / "run.json").exists() for trial in _plan(out).trials}
    assert sum(before.values()) == 3
    file = tmp_path_factory.mktemp("saved") / "results" / "claims.json"
    assert run(["reproduce", "toy", "--out", str(out), "--save", str(file), "--quiet"]) == 0
    stored: dict[str, Any] = json.loads(file.read_text())
    return stored


def test_claim_that_shows_and_its_opposite_are_told_apart(content: dict[str, Any]) -> None:
    shown, opposite = content["claims"]
    for key in ("id", "statement", "paper", "measured", "direction", "holds", "seeds", "seconds"):
        assert key in shown
    assert (shown["id"], shown["holds"], shown["result"], shown["seeds"]) == ("C1", True, "shown", 2)
    assert shown["status"] == "shown; also against doing nothing (guess)"
    assert (opposite["id"], opposite["holds"], opposite["result"]) == ("C2", False, "contradicted")
    assert opposite["status"] == "contradicted; against doing nothing not measured yet: untouched"
    assert shown["paper"] == {"error": {"value": 0.5, "source": "Table 1"}}
    assert shown["measured"]["mean"] == pytest.approx(sum(shown["measured"]["per_seed"]) / 2)
    assert shown["contrasts"][0]["gain"]["interval"][0] > 0
    assert shown["adjusted_p"] == pytest.approx(2 * shown["p"])
    assert shown["seconds"] > 0


def test_result_says_what_made_it(content: dict[str, Any]) -> None:
    row = content["claims"][0]
    assert {"omnitrain-core", "omnitrain-toy", "torch", "numpy"} <= row["versions"].keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
    assert {"kind", "bf16", "capability"} == row["cpu"].keys()
    assert {len(variant["fingerprint"]) for variant in row["variants"].values()} == {32}
    (look,) = row["looks"]
    assert (look["seeds"], look["declared"], look["declaration"]) == ([0, 1], True, "2 seeds (0-1)")


def test_run_of_a_worker_is_the_run_of_the_command_line(out: Path, content: dict[str, Any]) -> None:
    made = _plan(out).trials[0]
    assert is_finished(made, installed())
    assert (made.folder / "report.html").exists()
    record = json.loads((made.folder / "run.json").read_text())
    assert (record["address"], record["recipe"]["seed"]) == ("toy/tiny", 0)


@pytest.mark.usefixtures("content")
def test_finished_runs_are_not_run_again(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **more: pytest.fail("a run was started"))
    assert run(["reproduce", "toy", "--out", str(out), "--claim", "C1", "--json"]) == 0
    shown = capsys.readouterr()
    assert [claim["id"] for claim in json.loads(shown.out)["claims"]] == ["C1"]
    assert "4 of 4 runs finished before" in shown.err


@pytest.mark.usefixtures("content")
def test_runs_of_another_version_of_the_code_do_not_count(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = _plan(out).trials[0]
    assert is_finished(trial, installed())
    monkeypatch.setattr(trials, "stage_code", lambda stage, registry: {"omnitrain-core": "9.9"})
    assert not is_finished(trial, installed())


@pytest.mark.usefixtures("content")
def test_strict_command_ends_with_6_when_a_claim_is_not_shown(out: Path) -> None:
    assert run(["reproduce", "toy", "--out", str(out), "--quiet", "--strict"]) == 6
    assert run(["reproduce", "toy", "--out", str(out), "--quiet", "--strict", "--claim", "C1"]) == 0


@pytest.mark.usefixtures("content")
def test_page_of_claims_is_whole_and_loads_nothing(out: Path) -> None:
    assert run(["reproduce", "toy", "--out", str(out), "--quiet"]) == 0
    page = (out / "claims.html").read_text(encoding="utf-8")
    assert "1 of 2 shown" in page
    assert page.count("<svg") == 2
    assert "More updates lower the error." in page
    assert not re.search(r"<script|<link|<iframe|@import|(src|action)\s*=", page)


def test_forest_escapes_its_texts_and_leaves_out_what_is_not_finite() -> None:
    rows = [Row("<b> a&b", [1.0, math.nan], 1.0, (0.5, 1.5), (0.2,)), Row("2", [math.nan], math.nan)]
    drawing = str(forest(rows, "difference"))
    assert drawing.count("<circle") == 2
    assert drawing.count('class="interval"') == 3
    assert drawing.count('class="limit"') == 1
    assert "<b>" not in drawing
    assert "&lt;b&gt; a&amp;b" in drawing


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["toy", "--claim", "C7"], 2, "has no claim 'C7'"),
        (["core"], 3, "declares no claims"),
        (["toy", "--seeds", "2", "--seed", "1"], 2, "exclude each other"),
        (["toy", "--seed", "1,x"], 2, "'x' is not a seed"),
        (["toy", "--seed", "5-2"], 2, "'5-2' is no range"),
        (["toy", "--stored", "--save", "absent.json"], 2, "absent.json is missing"),
        (["toy", "--check-readme"], 2, "is not installed from a folder"),
    ],
)
def test_mistake_is_answered_before_anything_runs(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["reproduce", *arguments]) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_seeds_are_read_as_numbers_and_ranges() -> None:
    from omnitrain.cli.commands.reproduce import read_seeds

    assert read_seeds(None, None, "100-102, 7,101") == (100, 101, 102, 7)  # type: ignore[arg-type]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the toy plugin with a README."""
    monkeypatch.setattr(checkouts, "checkout", lambda name: tmp_path)
    marks = "".join(f"<!-- {name} -->\n<!-- /{name} -->\nafter {name}\n" for name in ("claims", "bench"))
    (tmp_path / "README.md").write_text(f"# toy\n{marks}")
    return tmp_path


def test_readme_is_written_from_stored_results_and_checked(
    sources: Path, content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    write_stored(sources / "results" / "claims.json", content)
    assert run(["reproduce", "toy", "--check-readme"]) == 6
    assert "omnitrain reproduce toy --stored --write-readme" in capsys.readouterr().err
    assert run(["reproduce", "toy", "--stored", "--write-readme"]) == 0
    written = (sources / "README.md").read_text()
    assert "| **C1** More updates lower the error. | error: 0.5 (Table 1) |" in written
    assert "| **shown; also against doing nothing (guess)**; adjusted p " in written
    assert "| contradicted; against doing nothing not measured yet: untouched; adjusted p 1 |" in written
    assert "- C1: Updates are counted, not time." in written
    assert "after claims" in written
    assert run(["reproduce", "toy", "--check-readme", "--claim", "C1"]) == 0
    assert run(["reproduce", "toy", "--stored", "--write-readme"]) == 0
    assert (sources / "README.md").read_text() == written
    (sources / "README.md").write_text(written.replace("**shown;", "**shown!;"))
    assert run(["reproduce", "toy", "--check-readme"]) == 6


def test_results_of_one_claim_are_stored_beside_those_of_others(tmp_path: Path, content: dict[str, Any]) -> None:
    file = tmp_path / "claims.json"
    first, second = content["claims"]
    write_stored(file, {**content, "claims": [second]})
    write_stored(file, merged(file, {**content, "claims": [{**first, "note": "new"}]}, "claims", "id", ["C1", "C2"]))
    assert [claim["id"] for claim in json.loads(file.read_text())["claims"]] == ["C1", "C2"]
    assert merged(file, {**content, "claims": []}, "claims", "id", ["C2"])["claims"] == [second]


def test_table_names_claims_without_a_result_and_keeps_cells_whole(content: dict[str, Any]) -> None:
    odd = {**content["claims"][0], "statement": "a | b\n<!-- /claims -->"}
    lines = claims_table("toy", ["C1", "C3"], {"claims": [odd]}).splitlines()
    assert lines[2].startswith("| **C1** a \\| b &lt;!-- /claims --> |")
    assert lines[4] == "| **C3** |  |  |  |  |  | not measured yet |"


def test_readme_without_its_markers_is_refused(tmp_path: Path) -> None:
    for text in ("nothing", "<!-- /claims --><!-- claims -->", "<!-- claims --><!-- claims --><!-- /claims -->"):
        with pytest.raises(UsageError, match="needs one line '<!-- claims -->'"):
            between_markers(text, "claims", "x", tmp_path)


def test_a_bench_that_compares_something_new_is_not_measured_yet_and_its_note_stays(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "toy", "--write-readme"]) == 0
    file = sources / "results" / "bench.json"
    stored = json.loads(file.read_text())
    stored["benches"][0] |= {"rows": [], "notes": {"": "once 9.87 times, of other work"}, "machine": "", "holds": None}
    write_stored(file, stored)
    assert run(["bench", "toy", "--stored", "--write-readme"]) == 0
    written = (sources / "README.md").read_text()
    name = stored["benches"][0]["name"]
    assert f"- {name}: once 9.87 times, of other work" in written
    (row,) = [line for line in written.splitlines() if line.startswith(f"| {name}: ")]
    assert row.endswith("|  |  |  | not measured yet |  |")
    assert "once 9.87 times" in capsys.readouterr().out


def test_bench_results_are_stored_shown_and_put_into_the_readme(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "toy", "--only", "sort", "--write-readme"]) == 0
    assert run(["bench", "toy", "--only", "sum", "--write-readme", "--json"]) == 0
    capsys.readouterr()
    written = (sources / "README.md").read_text()
    assert "| sum: Adding up. | 2 us | peer | 3 us | 1.50 (1.50 to 1.50) | 1.20 met |" in written
    assert "| sort: Sorting. | 4 us | peer | 2 us | 0.50 (0.50 to 0.50) |  |" in written
    assert "Not installed there: other." in written
    assert run(["bench", "toy", "--check-readme"]) == 0
    assert run(["bench", "toy", "--stored", "--only", "sum"]) == 0
    assert "ours is faster by" in capsys.readouterr().out
    (sources / "README.md").write_text(written.replace("1.50", "9.50"))
    assert run(["bench", "toy", "--check-readme"]) == 6


@pytest.mark.usefixtures("content")
def test_look_that_was_not_declared_is_measured_but_stored_only_on_demand(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ["reproduce", "toy", "--claim", "C1", "--seed", "1", "--out", str(out), "--quiet"]
    file = tmp_path / "claims.json"
    assert run([*one, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["claims"]
    assert (row["result"], row["contrasts"][0]["reason"]) == ("open (beyond the declaration)", "one seed has no interval")
    assert run([*one, "--save", str(file)]) == 2
    assert "declares 2 seeds (0-1); a look at seeds 1 goes beyond that and is not stored" in capsys.readouterr().err
    assert not file.exists()
    assert run([*one, "--save", str(file), "--beyond"]) == 0
    assert run(["reproduce", "toy", "--claim", "C1", "--out", str(out), "--quiet", "--save", str(file), "--beyond"]) == 0
    (row,) = json.loads(file.read_text())["claims"]
    assert [(look["seeds"], look["declared"]) for look in row["looks"]] == [([1], False), ([0, 1], False)]
    assert (row["level"], row["result"]) == (0.025, "shown (beyond the declaration)")


@pytest.mark.usefixtures("content")
def test_pilots_are_refused_before_anything_runs(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reproduce", "toy", "--seed", "1000-1002", "--out", str(tmp_path / "runs"), "--save", str(tmp_path / "c.json")]
    assert run([*command, "--beyond"]) == 2
    assert "Seeds from 1000 on are pilots" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("content")
def test_measuring_the_same_seeds_anew_is_the_same_look(out: Path, tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    for _ in range(2):
        assert run(["reproduce", "toy", "--out", str(out), "--quiet", "--save", str(file)]) == 0
    rows = json.loads(file.read_text())["claims"]
    assert [len(row["looks"]) for row in rows] == [2, 2]
    assert [(row["result"], row["level"]) for row in rows] == [("shown", 0.05), ("contradicted", 0.05)]


def test_stored_result_says_what_changed_since(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "claims.json"

    def told(**change: Any) -> dict[str, Any]:
        write_stored(file, {**content, "claims": [{**content["claims"][0], **change}]})
        assert run(["reproduce", "toy", "--stored", "--save", str(file), "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["claims"][0]["installed"]
        return found

    row = content["claims"][0]
    assert told() == {"equal": True, "changes": []}
    assert told(versions={**row["versions"], "omnitrain-core": "0.0.1"})["changes"] == [
        f"omnitrain-core 0.0.1 -> {row['versions']['omnitrain-core']}"
    ]
    other = {name: {**variant, "fingerprint": "0"} for name, variant in row["variants"].items()}
    assert told(variants=other)["changes"] == ["the recipe of few, many"]
    assert told(nothing=[])["changes"] == ["what the claim declares"]
    unknown = {name: {**variant, "fingerprint": NOT_RECORDED} for name, variant in row["variants"].items()}
    assert told(variants=unknown) == {"equal": None, "changes": []}
    write_stored(file, {**content, "claims": [{**row, "versions": {**row["versions"], "torch": "1.0"}}]})
    assert run(["reproduce", "toy", "--stored", "--save", str(file)]) == 0
    assert "changed since these numbers were measured: torch 1.0 -> " in capsys.readouterr().out
    assert run(["reproduce", "toy", "--stored", "--save", str(file), "--out", str(tmp_path / "page"), "--quiet"]) == 0
    assert "Changed since these numbers were measured: torch 1.0 -&gt; " in (tmp_path / "page" / "claims.html").read_text()


def test_results_of_an_older_form_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "claims.json").write_text('{"plugin": "toy", "claims": []}')
    assert run(["reproduce", "toy", "--stored", "--save", str(tmp_path / "claims.json")]) == 2
    assert "has schema version None; this version of omnitrain reads 2" in capsys.readouterr().err


def test_second_declared_look_is_judged_at_the_level_of_two() -> None:
    two = replace(installed().claims("toy")[0], looks=Looks.two(3, 5))
    rows = [{"many_error": value, "few_error": 1.0, "guess": 2.0} for value in (0.9, 1.1, 1.0)]
    made = [look((0, 1, 2), "s", two.looks, [])]
    origin = {"versions": {}, "commit": "c", "date": "d", "cpu": "k", "machine": "m"}
    row = claim_row(two, (0, 1, 2), rows, made, origin, {"few": "f", "many": "f"}, 1.0)
    assert (row["level"], row["verdict"], row["beyond"]) == (0.028, "open", False)
    later = [{**rows[0], "many_error": value} for value in (0.2, 0.3, 0.25, 0.2, 0.3)]
    made.append(look(range(5), "s", two.looks, made))
    row = claim_row(two, range(5), later, made, origin, {"few": "f", "many": "f"}, 1.0)
    assert (row["level"], row["verdict"], row["beyond"], len(row["looks"])) == (0.028, "shown", False, 2)
