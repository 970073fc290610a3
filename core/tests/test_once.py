"""A folder of slow work is built once, is whole or absent, and is built again when it is damaged."""

import multiprocessing
import os
import socket

import pytest
from racing import race

from omnitrain.engine import build_once, is_complete

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
        (f".tmp-{HOST}-other", True),
        (".tmp-elsewhere-1-ab", True),
    ],
    # Names hold numbers of processes, by which two that share out the tests would not know them again.
    ids=["ended", "ended and damaged", "running", "of no process", "of another machine"],
)
def test_what_killed_processes_of_this_machine_left_is_removed(name, stays, built, tmp_path):
    (tmp_path / name).mkdir()
    built()
    assert (tmp_path / name).exists() == stays
