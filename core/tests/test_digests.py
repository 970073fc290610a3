"""A file's digest is that of its whole content, read once and again when the file changed."""

import builtins
import hashlib

import pytest

from omnitrain.engine import file_digest


@pytest.fixture
def opened(monkeypatch):
    """Count how often a file is opened."""
    times = []
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *a, **k: (times.append(a[0]), real(*a, **k))[1])
    return times


def test_a_change_anywhere_in_a_file_is_another_digest(tmp_path):
    path = tmp_path / "film"
    content = bytearray(1_000_000)
    path.write_bytes(content)
    before = file_digest(path)
    assert before == hashlib.sha256(content).hexdigest()
    content[500_000] = 7
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest() != before


def test_a_settled_file_is_read_once(tmp_path, opened, monkeypatch):
    path = tmp_path / "x"
    path.write_text("content")
    monkeypatch.setattr("omnitrain.api.digests._SETTLED_NS", -1)
    assert file_digest(path) == file_digest(str(path))
    assert len(opened) == 1
    path.write_text("changed")
    assert file_digest(path) == hashlib.sha256(b"changed").hexdigest()


def test_a_file_written_just_now_is_read_each_time(tmp_path, opened):
    path = tmp_path / "x"
    path.write_text("content")
    assert file_digest(path) == file_digest(path)
    assert len(opened) == 2
