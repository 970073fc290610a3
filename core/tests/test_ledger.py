"""A ledger keeps every finished item whole, whatever happens to its file or to the processes that work for it."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import ledger_work
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError, EnvironmentFault, Stopped
from omnitrain.runs import Ledger
from omnitrain.runs import ledger as module

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.dictionaries(st.text(min_size=1, max_size=12), JSON, min_size=1, max_size=6)


def filled(folder, items, **more):
    """Return the ledger's file after adding items."""
    with Ledger(folder, **more) as ledger:
        for key, value in items.items():
            ledger.add(key, value)
    return folder / "items.jsonl"


def content(folder, **more):
    """Return all items of a ledger."""
    with Ledger(folder, **more) as ledger:
        return dict(ledger.items())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Give new folders."""
    place, numbers = tmp_path_factory.mktemp("ledgers"), itertools.count()
    return lambda: place / f"ledger-{next(numbers)}"


def test_items_are_found_again_by_key_in_the_order_of_adding(tmp_path):
    filled(tmp_path / "answers", {"b": [1, None], "a": {"x": 0.1}})
    with Ledger(tmp_path / "answers") as ledger:
        assert list(ledger) == ["b", "a"]
        assert (ledger["b"], ledger["a"]) == ([1, None], {"x": 0.1})
        assert ("a" in ledger, "c" in ledger, len(ledger)) == (True, False, 2)
        with pytest.raises(KeyError):
            ledger["c"]


def test_of_two_items_with_one_key_the_later_counts(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        for value in (1, 2):
            ledger.add("a", value)
        assert (ledger["a"], len(ledger)) == (2, 1)
    assert content(tmp_path / "l") == {"a": 2}


def test_lines_are_json_that_other_programs_can_read(tmp_path):
    lines = filled(tmp_path / "l", {"a": "naïve"}).read_text("utf-8").splitlines()
    assert [(row["key"], row["value"]) for row in map(json.loads, lines[1:])] == [("a", "naïve")]


@settings(deadline=None, max_examples=40)
@given(ITEMS)
def test_values_come_back_as_they_were(folders, items):
    folder = folders()
    filled(folder, items)
    assert content(folder) == items


def test_an_empty_file_and_no_file_are_ledgers_without_items(tmp_path):
    (tmp_path / "l").mkdir()
    (tmp_path / "l/items.jsonl").touch()
    assert content(tmp_path / "l") == content(tmp_path / "new") == {}


@settings(deadline=None, max_examples=60)
@given(ITEMS, st.data())
def test_any_truncation_loses_only_what_stood_behind_it(folders, items, data):
    folder = folders()
    path = filled(folder, items)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = max(whole[:cut].count(b"\n") - 1, 0)  # the first line is the ledger's own
    assert content(folder) == dict(list(items.items())[:kept])
    filled(folder, items)
    assert content(folder) == items


@settings(deadline=None, max_examples=100)
@given(ITEMS, st.data())
def test_any_damaged_byte_loses_at_most_its_own_line_which_is_named(folders, items, data):
    folder = folders()
    path = filled(folder, items)
    damaged = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    line = path.read_bytes()[:place].count(b"\n")  # 0 is the ledger's own line
    path.write_bytes(damaged)
    warnings = []
    found = content(folder, warn=warnings.append)
    lost = set(items) - set(found)
    assert lost <= set(list(items)[line - 1 : line] if line else [])
    assert all(found[key] == items[key] for key in found)
    assert bool(warnings) or not lost
    assert all(f"line {line + 1} " in w or f"line {line + 2} " in w or "torn" in w for w in warnings)
    filled(folder, items)
    assert content(folder) == items


def test_item_that_is_damaged_while_the_ledger_is_open_is_refused(tmp_path):
    path = filled(tmp_path / "l", {"a": "content"})
    with Ledger(tmp_path / "l") as ledger:
        path.write_bytes(path.read_bytes().replace(b"content", b"conTent"))
        with pytest.raises(EnvironmentFault, match="'a' was damaged"):
            ledger["a"]


@pytest.mark.parametrize("value", [{1, 2}, Path("x"), b"x", object()])
def test_what_is_not_plain_json_is_refused_and_nothing_is_written(value, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        with pytest.raises(TypeError):
            ledger.add("a", value)
        with pytest.raises(ValueError, match="empty"):
            ledger.add("", 1)
    assert content(tmp_path / "l") == {}


def test_half_of_a_surrogate_pair_survives(tmp_path):
    filled(tmp_path / "l", {"\ud83d": "\udc00"})
    assert content(tmp_path / "l") == {"\ud83d": "\udc00"}


def test_items_made_with_other_settings_are_cleared_with_their_files(tmp_path):
    with Ledger(tmp_path / "l", "first") as ledger:
        ledger.add("a", 1)
        (ledger.folder / "a.bin").touch()
    assert content(tmp_path / "l", identity="first") == {"a": 1}
    warnings = []
    assert content(tmp_path / "l", identity="second", warn=warnings.append) == {}
    assert not (tmp_path / "l/files").exists()
    assert "other settings" in warnings[0]


def test_another_format_is_refused_and_left_alone(tmp_path, monkeypatch):
    path = filled(tmp_path / "l", {"a": 1})
    before = path.read_bytes()
    monkeypatch.setattr(module, "FORMAT", 2)
    with pytest.raises(EnvironmentFault, match="another format"):
        Ledger(tmp_path / "l")
    assert path.read_bytes() == before


def test_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    with Ledger(tmp_path / "l") as ledger:
        ledger.add("a", 1)
        write = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, place: write(file, data[:7], place))
        with pytest.raises(EnvironmentFault, match=r"items\.jsonl can't be written: No space left"):
            ledger.add("b", 2)
        monkeypatch.undo()
        ledger.add("c", 3)
    warnings = []
    assert content(tmp_path / "l", warn=warnings.append) == {"a": 1, "c": 3}
    assert warnings == []


def test_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match=r"items\.jsonl can't be opened"):
        Ledger(tmp_path / "file" / "l")


def test_what_is_added_is_forced_to_disk_in_batches(tmp_path, monkeypatch):
    synced = []
    with Ledger(tmp_path / "l") as ledger:
        monkeypatch.setattr(module.os, "fsync", synced.append)
        monkeypatch.setattr(module.time, "monotonic", lambda: ledger._synced)
        for number in range(2500):
            ledger.add(str(number), number)
        assert len(synced) == 2
        monkeypatch.setattr(module.time, "monotonic", lambda: ledger._synced + module.SYNC_S)
        ledger.add("late", 1)
        assert len(synced) == 3


def test_two_open_ledgers_share_a_file_without_losing_items(tmp_path):
    with Ledger(tmp_path / "l") as first, Ledger(tmp_path / "l") as second:
        for number in range(10):
            (first if number % 2 else second).add(str(number), number)
        assert "8" in first
    assert content(tmp_path / "l") == {str(n): n for n in range(10)}


def test_threads_may_add_to_one_ledger(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        threads = [threading.Thread(target=lambda n=n: [ledger.add(f"{n}-{i}", i) for i in range(50)]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(content(tmp_path / "l")) == 200


def test_process_that_must_not_write_sees_what_is_there_and_keeps_its_own_items_to_itself(tmp_path):
    filled(tmp_path / "l", {"a": 1})
    with Ledger(tmp_path / "l", writes=False) as ledger:
        ledger.add("b", 2)
        assert dict(ledger.items()) == {"a": 1, "b": 2}
    assert content(tmp_path / "l") == {"a": 1}
    with Ledger(tmp_path / "none", writes=False) as ledger:
        ledger.add("b", 2)
    assert not (tmp_path / "none").exists()


SQUARES = [(str(n), {"square": n * n, "pair": [n, str(n)]}) for n in range(20)]


@pytest.mark.parametrize("workers", [0, 2])
def test_missing_items_are_worked_on_and_all_are_given_in_order(workers, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        ledger.add("7", "was there")
        found = list(ledger.map(ledger_work.square, range(20), key=str, workers=workers))
    assert found == [*SQUARES[:7], ("7", "was there"), *SQUARES[8:]]
    assert content(tmp_path / "l") == dict(found)


def test_items_are_given_as_completed_where_order_does_not_matter(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        found = list(ledger.map(ledger_work.square, range(20), key=str, workers=2, ordered=False))
    assert sorted(found) == sorted(SQUARES)


@pytest.mark.parametrize("workers", [0, 2])
def test_one_key_is_worked_on_once(workers, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        found = list(ledger.map(ledger_work.square, [1, 1, 2, 1], key=str, workers=workers))
    assert [key for key, _ in found] == ["1", "1", "2", "1"]
    assert (tmp_path / "l/items.jsonl").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_error_names_the_item_and_what_was_finished_is_kept(workers, tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        with pytest.raises(DataError, match="number 3 is bad") as caught:
            list(ledger.map(ledger_work.faulty, [1, 2, 3], key="n{}".format, workers=workers))
        assert "'n3'" in caught.value.__notes__[0]
        assert {"n1", "n2"} >= set(ledger)
        if not workers:
            assert len(ledger) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_faulty_items_are_left_out_where_somebody_takes_the_errors(workers, tmp_path):
    errors = {}
    with Ledger(tmp_path / "l") as ledger:
        found = list(ledger.map(ledger_work.faulty, range(6), key=str, workers=workers, on_error=errors.__setitem__))
        assert found == [(str(n), n) for n in (1, 2, 4, 5)]
        assert "0" not in ledger
    assert {key: str(error) for key, error in errors.items()} == {k: f"number {k} is bad." for k in "03"}


def test_error_that_can_not_be_sent_between_processes_is_told_all_the_same(tmp_path):
    with Ledger(tmp_path / "l") as ledger, pytest.raises(RuntimeError, match="Odd: very odd"):
        list(ledger.map(ledger_work.odd, [1], key=str, workers=1))


def test_worker_that_dies_is_no_endless_wait(tmp_path):
    with Ledger(tmp_path / "l") as ledger, pytest.raises(EnvironmentFault, match="worker process died"):
        list(ledger.map(ledger_work.deadly, range(6), key=str, workers=1))


def test_worker_that_died_before_an_item_is_handed_out_is_named_the_same(tmp_path, monkeypatch):
    def broken(self, function, item):
        raise BrokenProcessPool("died")

    monkeypatch.setattr("omnitrain.runs.mapping._Pool.submit", broken)
    with Ledger(tmp_path / "l") as ledger, pytest.raises(EnvironmentFault, match="worker process died"):
        list(ledger.map(ledger_work.deadly, range(6), key=str, workers=1))


def _alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_request_to_stop_ends_workers_that_are_busy(tmp_path):
    def check():
        if len(list(tmp_path.glob("begun-*"))) == 2:
            raise Stopped("stop")

    with Ledger(tmp_path / "l", check=check) as ledger, pytest.raises(Stopped):
        list(ledger.map(ledger_work.endless, [str(tmp_path), f"{tmp_path}/."], key=str, workers=2))
    begun = [int(path.name.removeprefix("begun-")) for path in tmp_path.glob("begun-*")]
    assert len(begun) == 2
    assert not any(map(_alive, begun))


@pytest.mark.parametrize("error", [Stopped("stop"), KeyboardInterrupt()])
def test_stop_between_two_items_keeps_what_is_finished(error, tmp_path):
    calls = itertools.count()

    def check():
        if next(calls) == 5:
            raise error

    with Ledger(tmp_path / "l", check=check) as ledger, pytest.raises(type(error)):
        list(ledger.map(ledger_work.square, range(20), key=str))
    assert content(tmp_path / "l") == dict(SQUARES[:5])


def test_who_stops_reading_ends_the_work(tmp_path):
    with Ledger(tmp_path / "l") as ledger:
        found = list(itertools.islice(ledger.map(ledger_work.square, range(20), key=str, workers=1), 3))
    assert found == SQUARES[:3]
    assert len(content(tmp_path / "l")) >= 3


@pytest.mark.parametrize(("workers", "count"), [(0, 0), (0, 1), (0, 13), (2, 12)])
def test_killed_job_goes_on_to_the_same_content(workers, count, tmp_path):
    folder = tmp_path / "l"
    command = [sys.executable, ledger_work.__file__, str(folder), str(workers)]
    killed = subprocess.run([*command, str(count)], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if not workers:
        assert content(folder) == dict(SQUARES[:count])
    finished = subprocess.run([*command, "-1"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert sorted(content(folder).items()) == sorted(SQUARES)
