"""Output whose other end is closed, broken or full, or can't hold a text, is never a reason to stop or to crash."""

import errno
import io
import json
import os
import subprocess
import sys

import pytest
from children import recipe_text

from omnitrain import streams
from omnitrain.api import Piece
from omnitrain.cli.examples import marked
from omnitrain.cli.output import emit_json, note
from omnitrain.errors import EnvironmentFault
from omnitrain.runs import progress
from omnitrain.runs.progress import Display


class _Broken(io.TextIOBase):
    """A stream whose reader went away, or whose disk is full."""

    def __init__(self, number):
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))

    flush = isatty = lambda self: self.write("")


def _shell(command, **environment):
    command = command.replace("omnitrain", f"{sys.executable} -m omnitrain")
    return subprocess.run(
        ["bash", "-c", command], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("stream", [_Broken(errno.EPIPE), _Broken(errno.ENOSPC), _Broken(errno.EIO), None])
def test_progress_and_remarks_go_on_without_a_reader(stream, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress, "QUIET_BEFORE_S", -1.0)
    monkeypatch.setattr(sys, "stderr", stream)
    display = Display(lambda: None)
    with display.bar("training", 2) as bar:
        bar.advance(loss=1.0)
        display.say("half of it")
    note("a remark")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("redirections", [">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
def test_run_ends_as_it_would_without_output(redirections, tmp_path):
    (tmp_path / "recipe.yaml").write_text(recipe_text(fit={"steps": 2}))
    out = tmp_path / "run"
    done = _shell(f"omnitrain run {tmp_path}/recipe.yaml --out {out} {redirections}")
    assert done.returncode == 0, done.stderr
    assert {json.loads(path.read_text())["status"] for path in out.glob("*/stage.json")} == {"finished"}
    assert (out / "report.html").exists()
    # What was closed is not open under the number of a file of the run.
    assert not [path for path in out.rglob("*") if path.is_file() and b"run directory:" in path.read_bytes()]


@pytest.mark.parametrize("command", ["omnitrain recipes", "omnitrain recipes --json", "omnitrain --help"])
def test_product_that_is_lost_is_an_error_and_a_closed_pipe_is_none(command):
    full = _shell(f"{command} >/dev/full")
    assert (full.returncode, full.stderr) == (5, "error: Standard output can't be written: No space left on device.\n")
    closed = _shell(f"({command}; echo $? >&2) | true")
    assert closed.stderr.strip() in ("141", "0")


def test_json_is_all_that_gets_to_standard_output(tmp_path):
    code = "import sys; sys.argv[1:] = ['doctor', '--json']; import omnitrain.__main__ as m; import omnitrain.cli.checks as c\n"
    code += (
        "import os\ndef loud():\n    print('by print'); os.write(1, b'by descriptor'); return []\nc.check_all = loud\nm.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == {"healthy": True, "checks": []}
    assert "by print" in done.stderr
    assert "by descriptor" in done.stderr


def _terminal(monkeypatch, encoding, errors="strict"):
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding=encoding, errors=errors, write_through=True))
    return held


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_text_for_a_terminal_without_its_characters_is_written_with_others(encoding, monkeypatch):
    held = _terminal(monkeypatch, encoding)
    assert marked([Piece("a\n", "loss"), Piece("b", "mask")]) == "<<a\\n>>[[b]]" if encoding == "ascii" else True
    print("\u27e6\ud800", file=streams.Product(sys.stdout), flush=True)
    assert held.getvalue() == b"??\n"


def test_json_for_a_terminal_without_its_characters_holds_them_all_the_same(monkeypatch):
    held = _terminal(monkeypatch, "ascii")
    emit_json({"text": "\u27e6 \ud800"})
    assert json.loads(held.getvalue()) == {"text": "\u27e6 \ud800"}


def test_dry_run_in_an_old_locale(tmp_path):
    (tmp_path / "recipe.yaml").write_text(recipe_text(fit={"steps": 2}))
    done = _shell(f"omnitrain run {tmp_path}/recipe.yaml --dry-run --out {tmp_path}/run", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr


def test_full_standard_output_is_named():
    with pytest.raises(EnvironmentFault, match="Standard output can't be written: No space left"):
        streams.Product(_Broken(errno.ENOSPC)).write("x")
    with pytest.raises(BrokenPipeError):
        streams.Product(_Broken(errno.EPIPE)).write("x")
