"""Whatever happened to the files of a run: the commands that read it end with a sentence, and other runs are shown."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omnitrain.api.kept import kept_summary
from omnitrain.cli import run
from omnitrain.runs import Records, RunDirectory, read_records

SEEDS = 24
FILES = (
    "run.json",
    "recipe.lock.yaml",
    "metrics.jsonl",
    "timing.jsonl",
    "events.jsonl",
    "train/stage.json",
    "measure/evaluations/toy-error.json",
    "summary.json",
    ".lock",
)
WILD: list[Any] = [None, "text", -1, 10**400, 1e999, [], {}, [[]], True, "\x1b]0;title\x07", "\ud800", "../..", {"a": {"b": 1}}]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a recipe of two stages."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert run(["run", "toy/tiny", "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    """A folder with two copies of the run, "bad" and "good"."""
    for name in ("bad", "good"):
        shutil.copytree(finished, tmp_path / "runs" / name)
    return tmp_path / "runs"


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from spots(item)


def other_shape(text: str, draw: random.Random) -> str:
    """Return JSON, or a line of several, with one value replaced or dropped."""
    lines = text.split("\n") if text.count("\n}") == 0 and "\n" in text else [text]
    number = draw.randrange(max(1, len(lines) - 1))
    value = json.loads(lines[number])
    container, key = draw.choice(list(spots(value)))
    if draw.random() < 0.3:
        del container[key]
    else:
        container[key] = draw.choice(WILD)
    lines[number] = json.dumps(value)
    return "\n".join(lines)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return bytes as a fault of the disk or a person may leave them."""
    at = draw.randrange(len(content)) if content else 0
    shape: Callable[[], bytes] = lambda: other_shape(content.decode(), draw).encode("utf-8", "surrogatepass")  # noqa: E731
    kinds: list[Callable[[], bytes]] = [
        lambda: content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :] if content else b"\x00",
        lambda: content[:at],
        lambda: content[:at] + bytes(draw.randrange(1, 400)) + content[at:],
        lambda: content[:at] + draw.randbytes(20) + content[at:],
        lambda: content[:at] + b"\xff\xfe" + content[at:],
    ]
    if content.startswith(b"{"):
        return draw.choice([*kinds, *[shape] * 5])()
    return draw.choice(kinds)()


def check(place: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Run the commands that read runs; see that each ends well and the good run is shown."""
    bad, good = place / "bad", place / "good"
    for arguments in (
        ["report", str(bad)],
        ["runs", str(place)],
        ["compare", str(bad), str(good), "--html", str(place.parent / "x.html")],
    ):
        code = run(arguments)
        shown = capsys.readouterr()
        assert code in (0, 5), (what, arguments, shown.err)
        assert " bug " not in shown.err, (what, arguments, shown.err)
        assert "Traceback" not in shown.err
        assert "\x1b" not in shown.out + shown.err, (what, arguments)
        if code == 5:
            assert shown.err.startswith("error: "), (what, shown.err)
            assert shown.err.count("\n") == 1, (what, shown.err)
        if arguments[0] == "runs":
            assert code == 0
            assert str(good) in shown.out, (what, shown.out)


@pytest.mark.parametrize("file", FILES)
def test_no_damage_is_a_bug_or_hides_other_runs(file: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = place / "bad" / file
    content = path.read_bytes()
    for seed in range(SEEDS):
        path.write_bytes(damaged(content, random.Random(f"{file} {seed}")))
        check(place, capsys, f"{file} {seed}")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "empty", "deep", "number", "aliases"])
def test_what_is_no_file_or_without_end_is_told(kind: str, file: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = place / "bad" / file
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "aliases":
        rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 40)}]" for i in range(12)]
        path.write_text("\n".join(rows))
    else:
        path.write_text({"empty": "", "deep": "[" * 100_000, "number": '{"created": ' + "1" * 5000 + "}\n"}[kind])
    check(place, capsys, f"{file} {kind}")


def test_a_summary_of_a_file_that_none_can_be_is_left_aside(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", str(place), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    path = place / "bad/summary.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "basis": {**kept["basis"], "metrics\0": "5 5"}}))
    assert kept_summary(place / "bad") is None
    assert run(["runs", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed


def test_a_report_names_what_is_damaged(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = place / "bad"
    (bad / "train/stage.json").write_text("{")
    (bad / "metrics.jsonl").write_bytes(b"\x00" + (bad / "metrics.jsonl").read_bytes()[1:])
    (bad / "measure/evaluations/toy-error.json").write_text('{"name": 3}')
    assert run(["report", str(bad)]) == 0
    told = capsys.readouterr().err
    page = (bad / "report.html").read_text()
    for said in ("train/stage.json can't be read", "metrics.jsonl: line 1 is damaged", "name: expected text, not 3"):
        assert said in told
        assert said.replace("'", "&#39;") in page


def test_a_run_that_cannot_be_read_is_listed_as_damaged_with_its_reason(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((place / "bad/run.json").read_text())
    (place / "bad/run.json").write_text(json.dumps({**record, "created": 5}))
    assert run(["runs", str(place)]) == 0
    shown = capsys.readouterr()
    (row,) = [line for line in shown.out.splitlines() if str(place / "bad") in line]
    assert "damaged" in row
    assert "created: expected a date and time, not 5" in row
    assert str(place / "good") in shown.out


def test_a_comparison_leaves_a_damaged_run_out_and_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(place / "good", place / "third")
    (place / "bad/run.json").write_text("{")
    names = [str(place / name) for name in ("good", "bad", "third")]
    assert run(["compare", *names, "--json"]) == 0
    shown = capsys.readouterr()
    assert [entry["name"] for entry in json.loads(shown.out)["runs"]] == ["good", "third"]
    assert "run.json can't be read" in shown.err
    assert run(["compare", *names[:2]]) == 5


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Lines of three stages, the middle one with steps 1 to 6."""
    written = Records(tmp_path / "metrics.jsonl")
    written.append("first", step=0, note="a\u2028b\x0cc\x85d")
    for step in range(1, 7):
        written.append("train", step=step, loss=float(step))
    written.append("last", step=0)
    written.close()
    return tmp_path / "metrics.jsonl"


def flipped(path: Path, line: int) -> bytes:
    """Damage the first byte of a line; return the file's content."""
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = bytes([lines[line - 1][0] ^ 1]) + lines[line - 1][1:]
    path.write_bytes(b"\n".join(lines))
    return path.read_bytes()


@pytest.mark.parametrize("line", range(1, 9))
def test_a_damaged_line_is_kept_and_named_and_those_behind_it_too(records: Path, line: int) -> None:
    content = flipped(records, line)
    again = Records(records)
    assert again.count("train") == 6
    again.append("last", step=1)
    again.close()
    assert records.read_bytes() == content + b'{"stage": "last", "step": 1}\n'
    (said,) = again.damage()
    assert f"{records}: line {line} is damaged" in said
    assert len(read_records(records)) == 8


@pytest.mark.parametrize("line", [2, 4, 7])
def test_cutting_back_counts_a_damaged_line(records: Path, line: int) -> None:
    flipped(records, line)
    again = Records(records)
    again.cut("train", 3)
    again.close()
    steps = [row["step"] for row in read_records(records, "train")]
    assert steps == [step for step in (1, 2, 3) if step != line - 1]
    assert len(read_records(records, "last")) == 1


def test_only_a_torn_end_is_dropped(records: Path) -> None:
    whole = records.read_bytes()
    records.write_bytes(whole + b'{"stage": "last", "st')
    again = Records(records)
    again.open()
    again.close()
    assert records.read_bytes() == whole
    assert again.damage() == []


def test_damage_is_said_once_when_a_run_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = place / "bad"
    content = flipped(bad / "metrics.jsonl", 2)
    for times in (1, 0):
        assert run(["run", "toy/tiny", "--out", str(bad)]) == 0
        assert capsys.readouterr().err.count("metrics.jsonl: line 2 is damaged") == times
    assert (bad / "metrics.jsonl").read_bytes() == content
    events = read_records(RunDirectory(bad).events.path)
    assert sum("line 2 is damaged" in event.get("note", "") for event in events) == 1


def test_what_a_terminal_would_obey_is_shown_as_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\r\n\u202erecipe"
    record = json.loads((place / "bad/run.json").read_text())
    (place / "bad/run.json").write_text(json.dumps({**record, "address": evil}))
    with open(place / "bad/metrics.jsonl", "a") as file:
        file.write(json.dumps({"stage": "measure", "step": 9, "split": evil, "x": 1.0}) + "\n")
    for arguments in (
        ["runs", str(place)],
        ["runs", str(place), "--json"],
        ["compare", str(place / "bad"), str(place / "good")],
    ):
        assert run(arguments) == 0
        shown = capsys.readouterr()
        assert not set("\x1b\x07\x9b\r\u202e") & set(shown.out + shown.err), arguments
        assert "\\x1b]0;owned" in shown.out or "\\u001b]0;owned" in shown.out
    assert run(["runs", str(place), "--json"]) == 0
    assert evil in {entry["recipe"] for entry in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("at", ["a step", "the model", "an evaluator"])
def test_a_run_directory_that_is_removed_under_the_run_is_told(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from omnitrain.engine.building import ComponentBuilder
    from omnitrain_toy import parts

    out = tmp_path / "run"
    owner, name = {
        "a step": (parts._Square, "__call__"),
        "the model": (ComponentBuilder, "write_model"),
        "an evaluator": (parts.Error, "__call__"),
    }[at]
    own, times = getattr(owner, name), []

    def removing(*arguments: Any, **more: Any) -> Any:
        times.append(1)
        if len(times) == (5 if at == "a step" else 1):
            shutil.rmtree(out)
        return own(*arguments, **more)

    monkeypatch.setattr(owner, name, removing)
    steps = ["train.fit.steps=12", "train.fit.checkpoint_every=0", "train.fit.log_every=2"]
    assert run(["run", "toy/tiny", *steps, "--out", str(out), "--quiet"]) == 5
    told = capsys.readouterr().err
    assert "removed" in told
    assert " bug " not in told
    assert not (out / "run.json").exists()
