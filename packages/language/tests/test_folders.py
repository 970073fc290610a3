"""Which files of a path are read, and what is told of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import FakeContext

from omnitrain.errors import DataError
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.folders import find_files, list_files, named_by, tell_files

TEXT = (".txt", ".md", ".jsonl")


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}\n", "utf-8")
    return folder


def names(path: str | Path) -> list[str]:
    return [file.name for file in find_files(str(path), TEXT)]


def test_hidden_files_and_folders_are_left_out_and_named(tmp_path: Path, context: FakeContext) -> None:
    write(tmp_path, "a.txt", "b/c.md", ".git/description.txt", "b/.ipynb_checkpoints/c.md", "._a.txt", ".DS_Store")
    assert names(tmp_path) == ["a.txt", "c.md"]
    assert names(tmp_path / "*") == ["a.txt"]
    assert names(tmp_path / "**/*.md") == ["c.md"]
    assert names(tmp_path / ".git") == ["description.txt"]
    assert names(tmp_path / ".git/*") == ["description.txt"]
    assert names(tmp_path / "._a.txt") == ["._a.txt"]
    tell_files(str(tmp_path), TEXT, context)
    note = "hidden ones left out (.git, ._a.txt, .ipynb_checkpoints)"
    assert context.events == [{"event": "files", "path": str(tmp_path), "read": 2, "note": note}]


def test_files_of_other_suffixes_are_counted_named_and_told_how_to_be_read(tmp_path: Path, context: FakeContext) -> None:
    write(tmp_path, "a.jsonl", "b.jsonl.gz", "c.json", "d.png", "e.csv", "README.md")
    tell_files(str(tmp_path), TEXT, context)
    assert context.events[0]["note"] == (
        "4 files of other suffixes not read (b.jsonl.gz, c.json, d.png and 1 more): unpack packed ones first; "
        "write .json as one record a line, .jsonl; read as documents like the others: README.md"
    )
    tell_files(str(tmp_path / "a.jsonl"), TEXT, context)
    assert len(context.events) == 1
    with pytest.raises(DataError, match=r"can't read \.gz; expected .*: unpack packed ones first"):
        find_files(str(tmp_path / "*.gz"), TEXT)
    with pytest.raises(DataError, match=r"no file with one of these suffixes; expected \.tsv \(there are README.md, a.j"):
        find_files(str(tmp_path), (".tsv",))


def test_linked_folders_are_followed_once_and_told(tmp_path: Path, context: FakeContext) -> None:
    elsewhere = write(tmp_path / "elsewhere", "e.txt")
    folder = write(tmp_path / "folder", "a.txt", "part/b.txt")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "part")
    (folder / "part" / "round").symlink_to(folder)
    (folder / "gone.txt").symlink_to(tmp_path / "nothing")
    assert names(folder) == ["a.txt", "e.txt", "b.txt"]
    tell_files(str(folder), TEXT, context)
    note = "1 link to nothing left out (gone.txt); linked folders followed (linked)"
    assert context.events[0]["note"] == note


def test_what_is_no_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\*\*x\.txt: no pattern of files"):
        list_files(str(tmp_path / "**x.txt"), TEXT)


def test_what_a_path_names_may_be_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.csv")
    assert named_by(str(tmp_path / "none"), TEXT).files == named_by(str(tmp_path), (".tsv",)).files == []
    assert named_by(str(tmp_path), TEXT).files == [tmp_path / "a.txt"]


def test_a_folder_that_is_read_whole_tells_nothing(tmp_path: Path, context: FakeContext) -> None:
    write(tmp_path, "a.txt", "b/c.md")
    assert list_files(str(tmp_path), TEXT).notes() == []
    tell_files(str(tmp_path), TEXT, context)
    assert context.events == []


@pytest.mark.parametrize("name", ["text", "pairs"])
def test_data_of_a_folder_tells_what_it_leaves_out(name: str, tmp_path: Path, context: FakeContext) -> None:
    lines = '{"text": "a", "inputs": "a", "targets": "b"}\n{"text": "c", "inputs": "c", "targets": "d"}\n'
    (write(tmp_path / "data", "x.json") / "a.jsonl").write_text(lines, "utf-8")
    settings = {"valid_fraction": 0, **({"test_fraction": 0} if name == "text" else {"tokenizer": {"vocabulary_size": 260}})}
    data = context.make(name, "data", path=str(tmp_path / "data"), **settings)
    data.prepare(context.workspace, context)
    assert [event["note"][:34] for event in context.events] == ["1 file of other suffixes not read "]


def test_the_home_of_no_user_is_a_folder_that_is_not_there() -> None:
    with pytest.raises(DataError, match="~no-such-user/texts: no such file, folder or pattern"):
        list_files("~no-such-user/texts", [".txt"])


def test_a_vocabulary_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="less than or equal to 4000000"):
        TokenizerConfig(vocabulary_size=10**9)
