"""A folder of slow work is built once, is whole or absent, and is built again when it is damaged."""

import logging
import multiprocessing
import os
import socket

import pytest
from racing import race

from omnitrain.engine import build_once, is_complete
from omnitrain.errors import EnvironmentFault
from omnitrain.runs.warned import warnings_to

HOST = socket.gethostname().replace("-", "_")


@pytest.fixture
def built(tmp_path):
    """Build a folder with a file and one in a folder; count how often that was done."""
    times = []

    def build(folder):
        times.append(folder)
        (folder / "x").write_text("content")
        (folder / "inner").mkdir()
        (folder / "inner/y").write_text("more")

    def built():
        assert build_once(tmp_path / "made", build) == tmp_path / "made"
        return len(times)

    return built


def test_a_folder_is_built_once(built, tmp_path):
    assert (built(), built()) == (1, 1)
    assert (tmp_path / "made/inner/y").read_text() == "more"
    assert is_complete(tmp_path / "made")


@pytest.mark.parametrize("file", ["x", "inner/y", "complete.json"])
@pytest.mark.parametrize("text", ["", "c0ntent", "more content", "{}", "[]", None])
def test_a_damaged_folder_is_built_again(file, text, built, tmp_path):
    built()
    path = tmp_path / "made" / file
    path.unlink() if text is None else path.write_text(text)
    assert not is_complete(tmp_path / "made")
    assert (built(), built()) == (2, 2)
    assert (tmp_path / "made/x").read_text() == "content"


def test_a_failed_build_leaves_nothing_behind(tmp_path):
    def build(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        build_once(tmp_path / "key", build)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once_get_one_valid_result(tmp_path):
    multi = multiprocessing.get_context("spawn")
    barrier = multi.Barrier(2)
    both = [multi.Process(target=race, args=(tmp_path / "key", barrier)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [p.exitcode for p in both] == [0, 0]
    assert is_complete(tmp_path / "key")
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        (f".tmp-{HOST}-{2**22 + 12345}-ab", False),
        (f".tmp-{HOST}-{2**22 + 12345}-ab-damaged", False),
        (f".tmp-{HOST}-{os.getpid()}-ab", True),
        (f".tmp-{2**22 + 12345}-deadbeef", False),
        (f".tmp-{2**22 + 12345}-1-ab", True),
        (f".tmp-{HOST}-other", True),
        (".tmp-elsewhere-1-ab", True),
    ],
    # Names hold numbers of processes, by which two that share out the tests would not know them again.
    ids=[
        "ended",
        "ended and damaged",
        "running",
        "unnamed machine",
        "machine of digits",
        "of no process",
        "of another machine",
    ],
)
def test_what_killed_processes_of_this_machine_left_is_removed(name, stays, built, tmp_path):
    (tmp_path / name).mkdir()
    built()
    assert (tmp_path / name).exists() == stays


def test_a_change_in_the_middle_of_a_large_file_is_noticed_and_told(tmp_path, capsys):
    times = []

    def build(folder):
        times.append(folder)
        with open(folder / "tokens.bin", "wb") as file:
            file.truncate(40 * 2**20)

    folder = build_once(tmp_path / "made", build)
    assert capsys.readouterr().err == ""
    with open(folder / "tokens.bin", "r+b") as file:
        file.seek(20 * 2**20)
        file.write(b"\x07")
    assert not is_complete(folder)
    build_once(folder, build)
    assert len(times) == 2
    told = capsys.readouterr().err
    assert f"{folder / 'tokens.bin'} is damaged" in told
    assert f"{folder} is built again" in told
    assert told.count("\n") == 1
    assert is_complete(folder)


def test_all_is_on_disk_before_a_folder_gets_its_name(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda f: (done.append(os.readlink(f"/proc/self/fd/{f}").rsplit("/", 1)[1]), sync(f))[1])
    monkeypatch.setattr(os, "rename", lambda a, b, **k: (done.append("renamed"), rename(a, b, **k))[1])
    build_once(tmp_path / "made", lambda folder: (folder / "x").write_text("content"))
    at = done.index("renamed")
    temporary = next(name for name in done if name.startswith(".tmp-"))
    assert set(done[:at]) == {"x", "complete.json", temporary}
    assert done[at + 1 :] == [tmp_path.name]


def test_two_processes_that_find_it_damaged_both_end_well(tmp_path):
    build_once(tmp_path / "key", lambda folder: (folder / "pid").write_text("?"))
    (tmp_path / "key/pid").write_text("!")
    multi = multiprocessing.get_context("spawn")
    barrier = multi.Barrier(2)
    both = [multi.Process(target=race, args=(tmp_path / "key", barrier)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [p.exitcode for p in both] == [0, 0]
    assert is_complete(tmp_path / "key")
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_another_process_finished_meanwhile_is_left_alone(tmp_path):
    """Of two that found it damaged, the later one must not take away what the first made and is reading."""
    folder = tmp_path / "key"
    build_once(folder, lambda place: (place / "x").write_text("old"))
    (folder / "x").write_text("bad")

    def slowly(place):
        build_once(folder, lambda other: (other / "x").write_text("first"))
        (place / "x").write_text("second")

    build_once(folder, slowly)
    assert (folder / "x").read_text() == "first"


def test_a_full_disk_names_the_cache(tmp_path):
    def build(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(EnvironmentFault, match=rf"{tmp_path} can't be written: No space left.*OMNITRAIN_CACHE"):
        build_once(tmp_path / "key", build)
    assert list(tmp_path.iterdir()) == []


def test_what_was_warned_of_when_a_folder_was_built_is_said_again_by_whoever_finds_it_done(tmp_path):
    def build(folder):
        logging.getLogger("a.plugin").warning("left out %d records", 3)
        logging.getLogger("a.plugin").warning("left out %d records", 3)

    heard = []
    for _ in range(2):
        with warnings_to(heard.append):
            build_once(tmp_path / "made", build)
    assert heard == ["left out 3 records"] * 2
