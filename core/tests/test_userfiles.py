"""What users bring as files: encodings that say what they are, and no library's exception past the guard."""

import errno
import struct
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from omnitrain.api import InputPath, read_text, reading, shown, text_lines, user_path
from omnitrain.errors import DataError, EnvironmentFault, UsageError

TEXT = "a 1\r\né 2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_with_and_without_a_mark_is_the_same_text(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert list(text_lines(path)) == [(1, "a 1"), (2, "é 2")]
    assert read_text(path) == "a 1\né 2\n"


def test_lines_end_at_line_ends_only(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\u2028still one\x0cstill\ntwo", encoding="utf-8")
    assert [number for number, _ in text_lines(path)] == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb\nclassé 0\n".encode("latin-1"), r"a\.txt:3: the byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"PK\x03\x04rest", r"a\.txt is a zip archive; expected text: unpack it"),
        (b"\x1f\x8brest", r"a\.txt is a gzip file"),
        (b"\xff\xfea", r"a\.txt: the text can't be decoded as utf-16 behind line 0; save the file as UTF-8\.$"),
        ("a\nb".encode("utf-32")[:-1], r"a\.txt: the text can't be decoded as utf-32 behind line 1; save the file as UTF-8\.$"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text(path)


def test_absent_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is not there; expected a text file"):
        read_text(tmp_path / "nothing")
    with pytest.raises(DataError, match="is a folder; expected a text file"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    "error", [TypeError("no"), IndexError("no"), OverflowError("no"), struct.error("no"), RecursionError("no"), OSError("no")]
)
def test_whatever_a_library_raises_while_reading_names_the_file(error: Exception) -> None:
    with (
        pytest.raises(DataError, match=r"^x\.png:7 can't be read as an image: .*no\. Replace it\.$") as caught,
        reading("x.png:7", "an image", "Replace it."),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_the_machines_faults_and_omnitrains_own_errors_keep_their_class() -> None:
    for error in (PermissionError(errno.EACCES, "denied"), OSError(errno.ENOSPC, "full")):
        with pytest.raises(EnvironmentFault, match=r"x can't be read: (denied|full)"), reading("x", "text"):
            raise error
    with pytest.raises(UsageError, match="mine"), reading("x", "text"):
        raise UsageError("mine")


def test_shown_text_is_short_and_obeys_nothing() -> None:
    assert shown("a\x1b[31m\x00b\n c") == "a [31m b c"
    assert shown("x" * 10_000) == "x" * 80 + "..."


def test_a_home_is_found_and_that_of_no_user_is_a_name_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/texts") == tmp_path / "texts"
    assert user_path("~no-such-user/texts") == Path("~no-such-user/texts")


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_a_path_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a file or folder"):
        TypeAdapter(InputPath).validate_python(text)
