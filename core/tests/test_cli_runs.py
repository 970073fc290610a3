"""Running, resuming, listing and using runs from the command line."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from omnitrain.api import Piece
from omnitrain.cli import run
from omnitrain.cli.examples import marked
from omnitrain.errors import DataError, EnvironmentFault, Unreachable, UsageError

SHORT = ["train.fit.steps=6", "train.fit.evaluate_every=3", "train.fit.log_every=1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy recipe."""
    out = tmp_path_factory.mktemp("runs") / "first"
    assert run(["run", "toy/tiny", *SHORT, "--out", str(out), "--quiet", "--json"]) == 0
    return out


def test_run_leaves_lock_metrics_model_and_report(finished: Path) -> None:
    for name in ("recipe.lock.yaml", "metrics.jsonl", "train/model/component.json", "report.html"):
        assert (finished / name).is_file(), name


def test_run_again_goes_on_and_prints_its_result_as_json(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    assert run(["run", str(finished), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["out", "status", "stages", "report"]
    assert result["status"] == "finished"
    assert [s["name"] for s in result["stages"]] == ["train", "measure"]
    assert result["stages"][0]["metrics"]["valid/loss"] > 0
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_run_prints_plain_text_where_there_is_no_terminal(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(finished)]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert f"report: {finished / 'report.html'}" in shown.out
    assert "finished before" in shown.err


def test_product_of_a_finished_run_that_was_damaged_since_is_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "copied"
    shutil.copytree(finished, out)
    assert run(["run", str(out)]) == 0
    assert "damaged" not in capsys.readouterr().err
    weights = out / "train/model/model.safetensors"
    weights.write_bytes(bytes(byte ^ 1 for byte in weights.read_bytes()))
    assert run(["run", str(out)]) == 0
    assert f"train: {weights} is damaged: its content is not what was written" in capsys.readouterr().err
    weights.unlink()
    assert run(["run", str(out)]) == 0
    assert f"train: {weights} can't be read" in capsys.readouterr().err


def test_overrides_of_a_run_that_goes_on_are_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(finished), "train.fit.steps=7"]) == 2
    assert "--force" in capsys.readouterr().err


def test_run_directory_with_another_out_is_a_new_run_with_overrides(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "second"
    assert run(["run", str(finished), "train.fit.steps=4", "--out", str(out), "--quiet"]) == 0
    assert "steps: 4" in (out / "recipe.lock.yaml").read_text()
    assert json.loads((out / "run.json").read_text())["address"] == "toy/tiny"


def test_impossible_out_fails_before_anything_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "toy/tiny", "--out", "/proc/nowhere"]) == 5
    assert "choose another --out" in capsys.readouterr().err


def test_wrong_override_names_the_nearest_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "toy/tiny", "train.fit.stpes=5", "--out", str(tmp_path / "x")]) == 2
    assert "'steps'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    assert run(["run", str(tmp_path)]) == 2


def test_default_out_is_named_after_the_recipe_and_never_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from omnitrain.cli.targets import default_out

    first = default_out("toy/tiny")
    assert first.parts[0] == "runs"
    assert first.name.startswith("toy-tiny-20")
    first.mkdir(parents=True)
    assert default_out("toy/tiny") != first
    assert default_out("some/where/mine.yaml").name.startswith("mine-20")


def test_several_processes_need_an_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["run", "toy/tiny"]) == 2
    assert "--out" in capsys.readouterr().err


def test_time_limit_stops_with_a_resumable_exit_code_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "slow"
    slow = ["train.data.slow_s=0.02", "train.fit.steps=2000"]
    assert run(["run", "toy/tiny", *slow, "--out", str(out), "--time-limit", "0.3", "--quiet", "--json"]) == 75
    shown = capsys.readouterr()
    assert json.loads(shown.out)["status"] == "stopped"
    assert shown.err.startswith("Stopped on request (time limit)")
    assert "unfinished" in (out / "report.html").read_text()


def test_bug_inside_a_run_points_to_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import omnitrain_toy.parts

    def broken(config: object, context: object) -> None:
        raise LookupError("a bug of the toy")

    monkeypatch.setattr(omnitrain_toy.parts, "net", broken)
    out = tmp_path / "bug"
    assert run(["run", "toy/tiny", "--out", str(out), "--quiet"]) == 1
    err = capsys.readouterr().err
    assert f"The traceback is in {out / 'run.log'}." in err
    assert "Traceback" not in err
    assert "a bug of the toy" in (out / "run.log").read_text()


def test_report_that_can_not_be_written_does_not_hide_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import omnitrain.report

    def fails(folder: object) -> None:
        raise KeyError("template")

    monkeypatch.setattr(omnitrain.report, "write_report", fails)
    assert run(["run", "toy/tiny", *SHORT, "--out", str(tmp_path / "r"), "--quiet"]) == 0
    assert "report could not be written" in capsys.readouterr().err


def test_runs_lists_run_directories_newest_first(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finished.parent / "not-a-run").mkdir(exist_ok=True)
    assert run(["runs", str(finished.parent), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["out"] for entry in found] == [str(finished)]
    assert found[0]["recipe"] == "toy/tiny"
    assert run(["runs", str(tmp_path)]) == 0
    assert "holds no runs" in capsys.readouterr().err


def test_list_of_finished_runs_is_read_from_their_summaries(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import omnitrain.report

    def listed() -> list[dict[str, Any]]:
        assert run(["runs", str(finished.parent), "--json"]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found

    kept = listed()
    with monkeypatch.context() as patch:
        patch.setattr(omnitrain.report, "summarise", lambda folder: pytest.fail("its files were read"))
        assert listed() == kept
    (finished / "summary.json").rename(finished / "aside.json")
    assert listed() == kept
    (finished / "aside.json").rename(finished / "summary.json")
    lines = (finished / "metrics.jsonl").read_bytes()
    (finished / "metrics.jsonl").write_bytes(lines + b'{"stage": "measure", "step": 9, "split": "more", "x": 1.0}\n')
    assert listed()[0]["stages"][1]["metrics"]["more/x"] == 1.0
    (finished / "metrics.jsonl").write_bytes(lines)
    assert run(["report", str(finished)]) == 0
    capsys.readouterr()


def test_damaged_run_is_a_note_in_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    assert run(["runs", str(tmp_path), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == []
    assert "can't be read" in shown.err


def test_report_is_written_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finished / "report.html").unlink()
    assert run(["report", str(finished)]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


def test_evaluate_measures_a_saved_model_as_its_run_did(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (finished, finished / "train", finished / "train" / "model"):
        assert run(["evaluate", str(place), "--with", "toy/error", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        stored = json.loads((finished / "measure" / "evaluations" / "toy-error.json").read_text())
        assert found["metrics"] == stored["metrics"]


def test_evaluate_takes_settings_of_evaluator_and_data(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--data-set", "validation=3", "slow=0"]
    assert run(["evaluate", str(finished), "--with", "toy/error", *chosen]) == 2
    assert "slow_s" in capsys.readouterr().err
    chosen = ["--data-set", "validation=3", "slow_s=0.0", "--json"]
    assert run(["evaluate", str(finished), "--with", "toy/error", *chosen]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["mean_error"]["n"] == 3


def test_evaluate_of_something_else_says_what_was_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(tmp_path), "--with", "toy/error"]) == 5
    assert "component.json" in capsys.readouterr().err


def test_generate_names_the_ability_that_a_model_lacks(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", str(finished), "--prompt", "x"]) == 2
    assert "'generate_text'" in capsys.readouterr().err


def test_export_of_a_model_without_hugging_face_format_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(finished), str(tmp_path / "exported")]) == 2
    assert "has no Hugging Face format" in capsys.readouterr().err
    assert list(tmp_path.glob("*exported*")) == []


class _Parrot:
    def __init__(self, model: object, directory: Path, context: object) -> None:
        pass

    def generate_text(self, prompts: list[str], *, times: int = 1, loud: bool = False, behind: Sequence[str] = ()) -> list[str]:
        return [(prompt.upper() if loud else prompt) * times + "".join(behind) for prompt in prompts]


class _Streaming(_Parrot):
    """Shows letter by letter, the last one only with the whole text."""

    def generate_text(  # type: ignore[override]
        self, prompts: list[str], *, times: int = 1, on_text: Callable[[int, str], None] | None = None
    ) -> list[str]:
        for number, prompt in enumerate(prompts):
            for letter in (prompt * times)[:-1]:
                if on_text is not None:
                    on_text(number, letter)
        return [prompt * times for prompt in prompts]


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every model repeat its prompt."""
    from omnitrain.plugins import Registry

    monkeypatch.setattr(Registry, "predictor", lambda self, component: _Parrot)


@pytest.mark.usefixtures("parrot")
def test_generate_answers_prompts_of_options_and_file(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.txt").write_text("b\n\nc\n", "utf-8-sig")
    asked = ["--prompt", "a", "--file", str(tmp_path / "prompts.txt"), "--set", "times=2", "--json"]
    assert run(["generate", str(finished), *asked]) == 0
    assert [e["text"] for e in json.loads(capsys.readouterr().out)] == ["aa", "bb", "cc"]


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize("given", ["file", "standard input"])
def test_a_prompt_ends_at_a_line_end_and_nowhere_else(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    content = "\ufeffone\u2028still\x0cone\r\n\ntwo\x85\x1e\n"
    (tmp_path / "prompts.txt").write_bytes(content.encode())
    monkeypatch.setattr("sys.stdin", io.StringIO(content.replace("\r\n", "\n")))
    file = str(tmp_path / "prompts.txt") if given == "file" else "-"
    assert run(["generate", str(finished), "--file", file, "--json"]) == 0
    asked = [answer["prompt"] for answer in json.loads(capsys.readouterr().out)]
    assert asked == ["one\u2028still\x0cone", "two\x85\x1e"]
    assert run(["generate", str(finished), "--file", str(tmp_path / "absent.txt")]) == 2


@pytest.mark.usefixtures("parrot")
def test_generate_refuses_a_setting_that_the_model_does_not_know(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", str(finished), "--prompt", "a", "--set", "tmies=2"]) == 2
    assert "It knows: times, loud, behind." in capsys.readouterr().err


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--times", "2"], "abab"),
        (["--times=2", "--loud"], "ABAB"),
        (["--behind", "c"], "abc"),
        (["--behind", "c", "--behind", "d", "--loud"], "ABcd"),
        (["--set", "times=3", "--times", "-1"], ""),
    ],
)
def test_generate_takes_settings_as_flags(
    finished: Path, capsys: pytest.CaptureFixture[str], flags: list[str], text: str
) -> None:
    assert run(["generate", str(finished), *flags, "--prompt", "ab"]) == 0
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL", "--tmies", "2"], "It knows: times, loud, behind."),
        (["MODEL", "--times", "many"], "times 'many' can't be used: input should be a valid integer"),
        (["MODEL", "--times"], "times needs a value, such as '--times 1'"),
        (["MODEL", "more"], "'more' belongs to no option"),
        (["--times", "2", "MODEL"], "--times stands before the model"),
    ],
)
def test_generate_names_a_wrong_flag(
    finished: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["generate", *(str(finished) if w == "MODEL" else w for w in words), "--prompt", "a"]) == 2
    assert message in capsys.readouterr().err


class _Pieces(io.StringIO):
    """Standard output that keeps what was written until each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def flush(self) -> None:
        self.pieces.append(self.getvalue())
        self.truncate(self.seek(0))


def test_generate_shows_the_text_of_one_prompt_while_it_is_written(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from omnitrain.plugins import Registry

    monkeypatch.setattr(Registry, "predictor", lambda self, component: _Streaming)
    shown = _Pieces()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", shown)
        assert run(["generate", str(finished), "--prompt", "abc"]) == 0
    assert [piece for piece in shown.pieces if piece] == ["a", "b", "c\n"]
    assert run(["generate", str(finished), "--prompt", "abc", "--prompt", "d"]) == 0
    assert capsys.readouterr().out == "abc\n\nd\n"
    assert run(["generate", str(finished), "--prompt", "abc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"prompt": "abc", "text": "abc"}]
    assert run(["generate", str(finished), "--prompt", "abc", "--set", "on_text=1"]) == 2
    assert "It knows: times." in capsys.readouterr().err


@pytest.mark.usefixtures("parrot")
def test_generate_asks_in_a_terminal(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = iter(["hello", ""])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda text: next(prompts))
    assert run(["generate", str(finished)]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dry"
    assert run(["run", "toy/tiny", "--dry-run", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "toy/tiny"
    assert not out.exists()


class _Planning:
    """A stage that says beforehand what it takes."""

    def __call__(self, config: Any, run: Any) -> None:
        raise AssertionError("a dry run started a stage")

    def plan(self, config: Any, run: Any) -> list[str]:
        return [f"{run.name}: 2 requests"]


def test_dry_run_shows_what_a_stage_plans_and_its_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from omnitrain.plugins import Registry

    own = Registry.builder
    monkeypatch.setattr(Registry, "builder", lambda self, c: _Planning() if c.build.endswith("evaluate") else own(self, c))
    assert run(["run", "toy/tiny", "--dry-run"]) == 0
    assert "\n  measure: 2 requests" in capsys.readouterr().out

    def refused(self: _Planning, config: Any, run: Any) -> list[str]:
        raise UsageError("no such thing")

    monkeypatch.setattr(_Planning, "plan", refused)
    assert run(["run", "toy/tiny", "--dry-run"]) == 2
    assert "PROBLEM: no such thing" in capsys.readouterr().out


def test_dry_run_shows_once_what_data_took_of_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from omnitrain_toy.parts import _Base as Toy

    def prepare(self: Toy, workspace: Path, context: Any) -> None:
        context.event("read", path="a.csv", note="line 1 is taken for column names")
        context.event("read", path="a.csv", note="line 1 is taken for column names")

    monkeypatch.setattr(Toy, "prepare", prepare, raising=False)
    assert run(["run", "toy/tiny", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("  read: path a.csv, note line 1 is taken for column names") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (Unreachable("a hub is away"), 0),
        (DataError("a.csv:1: no row"), 4),
        (EnvironmentFault("a.csv needs a library"), 5),
    ],
)
def test_dry_run_reads_the_data_of_stages_that_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception | None, code: int
) -> None:
    from omnitrain.engine import reads_data
    from omnitrain.plugins import Registry
    from omnitrain_toy.parts import _Base as Toy

    @reads_data
    def measure(config: Any, run: Any) -> None:
        raise AssertionError("a dry run started a stage")

    def prepare(self: Toy, workspace: Path, context: Any) -> None:
        if context.name == "measure":
            context.event("read", note="line 1 names columns")
            if error is not None:
                raise error

    own = Registry.builder
    monkeypatch.setattr(Registry, "builder", lambda self, c: measure if c.build.endswith("evaluate") else own(self, c))
    monkeypatch.setattr(Toy, "prepare", prepare, raising=False)
    assert run(["run", "toy/tiny", "--dry-run", "measure.data=toy/rows"]) == code
    shown = capsys.readouterr().out
    assert "\n  read: note line 1 names columns" in shown
    assert ("\n  data: not checked here: a hub is away" in shown) == isinstance(error, Unreachable)
    assert "not checked here: a.csv" not in shown


def test_examples_are_marked_by_role() -> None:
    pieces = [Piece("a ", "plain"), Piece("b", "loss"), Piece("c\n", "loss"), Piece("d", "mask"), Piece("e", "special")]
    assert marked(pieces) == "a \u00abbc\u21b5\u00bb\u27e6d\u27e7e"


def test_run_in_use_by_another_process_is_shown_as_running(tmp_path: Path) -> None:
    import fcntl
    import os

    from omnitrain.report.summary import in_use

    lock = tmp_path / ".lock"
    lock.write_text("1")
    assert not in_use(tmp_path)
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert in_use(tmp_path)
        lock.write_text(str(os.getpid()))
        assert not in_use(tmp_path)
