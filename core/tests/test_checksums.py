"""A product that is not as its stage wrote it is refused by whatever reads it, in the run and outside."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from omnitrain.api import FinishedRun
from omnitrain.api.checksums import CHECKSUMS, check_files, check_folder, files_of
from omnitrain.cli import run
from omnitrain.errors import Damaged, DataError, EnvironmentFault

WEIGHTS = "train/model/model.safetensors"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy recipe: "train" makes a model that "measure" reads."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    assert run(["run", "toy/tiny", "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run in which the second stage is still to do."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/measure")
    return tmp_path / "run"


def flip(path: Path, at: int = -5) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def test_a_finished_stage_keeps_the_checksums_of_its_products(finished: Path) -> None:
    made = json.loads((finished / "train/stage.json").read_text())["artifacts"]["model"]
    assert made["files"] == files_of(finished / "train/model")
    assert set(made["files"]) == {"component.json", "model.safetensors", CHECKSUMS}


@pytest.mark.parametrize("file", ["model.safetensors", "component.json", CHECKSUMS])
def test_a_flipped_bit_stops_the_next_stage(file: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(copy / "train/model" / file)
    assert run(["run", "toy/tiny", "--out", str(copy), "--quiet"]) == 5
    told = capsys.readouterr().err
    assert f"{copy / 'train/model' / file} is damaged" in told
    assert f"remove {copy / 'train'} and run again" in told
    shutil.rmtree(copy / "train")
    assert run(["run", "toy/tiny", "--out", str(copy), "--quiet"]) == 0


@pytest.mark.parametrize("kept", [0, 30, -1])
def test_checksums_that_end_too_soon_are_damage(kept: int, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sums = copy / "train/model" / CHECKSUMS
    sums.write_bytes(sums.read_bytes()[:kept])
    assert run(["export", str(copy / "train/model"), str(copy.parent / "exported")]) == 5
    assert "is damaged: it ends inside a line" in capsys.readouterr().err


def test_a_line_of_checksums_whose_name_no_file_can_have_is_damage(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (_, digits) = files_of(tmp_path)["x"]
    for name, said in (("a\0b", "1: is damaged: it holds no checksum of a file"), ("a" * 300, r"\(File name too long\)")):
        (tmp_path / CHECKSUMS).write_text(f"{digits}  {name}\n")
        with pytest.raises(Damaged, match=said):
            check_folder(tmp_path)


def test_a_product_whose_record_names_what_no_file_can_be_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"can't be read \(embedded null byte\) although it was written; run again\."):
        check_files(tmp_path, {"a\0b": [1, "0" * 64]}, "run again")


@pytest.mark.parametrize("place", ["run", "model", "elsewhere"])
@pytest.mark.parametrize("command", [["evaluate", "--with", "toy/error"], ["generate", "--prompt", "a"], ["export", "TARGET"]])
def test_a_flipped_bit_is_noticed_outside_a_run(
    command: list[str], place: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(copy / WEIGHTS)
    model = {"run": copy, "model": copy / "train/model", "elsewhere": tmp_path / "moved"}[place]
    if place == "elsewhere":
        shutil.copytree(copy / "train/model", model)
    words = [str(tmp_path / "exported") if word == "TARGET" else word for word in command[1:]]
    assert run([command[0], str(model), *words]) == 5
    told = capsys.readouterr().err
    assert "model.safetensors is damaged" in told
    assert told.count("\n") == 1


def test_a_missing_file_is_named_and_one_too_many_is_told(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "train/model/more.txt").write_text("x")
    (copy / "train/model/.hidden").write_text("x")
    assert run(["run", "toy/tiny", "--out", str(copy)]) == 0
    told = capsys.readouterr().err
    assert "train/model/more.txt was not written by stage 'train'" in told
    assert ".hidden" not in told
    shutil.rmtree(copy / "measure")
    (copy / "train/model/component.json").unlink()
    assert run(["run", "toy/tiny", "--out", str(copy)]) == 5
    assert "component.json can't be read (No such file or directory) although it was written" in capsys.readouterr().err


def test_a_finished_run_refuses_a_damaged_product(copy: Path) -> None:
    opened = FinishedRun(copy)
    assert opened.artifact("train") == copy / "train/model"
    flip(copy / WEIGHTS)
    for kind in (DataError, EnvironmentFault):
        with pytest.raises(kind, match=r"model\.safetensors is damaged.*run stage 'train' again"):
            opened.artifact("train")


def test_checksums_of_a_folder_are_those_that_other_tools_check(finished: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", CHECKSUMS], cwd=finished / "train/model", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_single_file_is_a_product_too(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    path.write_bytes(b"content")
    files = files_of(path)
    assert check_files(path, files, "run again") == []
    flip(path)
    with pytest.raises(EnvironmentFault, match=r"scores\.npz is damaged.*; run again\."):
        check_files(path, files, "run again")
