from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FakeContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_language.configs.data import TextConfig
from omnitrain_language.data.builtin import prose as builtin
from omnitrain_language.data.builtin.prose import builtin_documents, docstrings
from omnitrain_language.data.text import TextData
from omnitrain_language.splitting import split_of


def read_all(data: TextData) -> list[tuple[str, str]]:
    return [(split, e["text"]) for split in data.splits() for e in data.examples(split)]


def text_of(path: Path, **settings: object) -> TextData:
    return TextData(TextConfig.model_validate({"path": str(path), **settings}))


def test_every_document_is_in_exactly_one_split_and_reading_twice_gives_the_same(corpus: Path) -> None:
    data = text_of(corpus, valid_fraction=0.2, test_fraction=0.2)
    documents = read_all(data)
    assert len(documents) == len({text for _, text in documents}) == 120
    assert read_all(data) == documents
    assert {split for split, _ in documents} == {"train", "valid", "test"}


def test_split_of_a_document_does_not_depend_on_its_neighbours(corpus: Path, tmp_path: Path) -> None:
    before = {text: split for split, text in read_all(text_of(corpus))}
    lines = corpus.read_text("utf-8").splitlines(keepends=True)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(reversed(lines[::2])), "utf-8")
    assert all(before[text] == split for split, text in read_all(text_of(other)))


def test_share_of_a_split_is_near_its_fraction() -> None:
    found = [split_of(str(i), 0.1, 0.2) for i in range(5000)]
    assert abs(found.count("valid") / 5000 - 0.1) < 0.02
    assert abs(found.count("test") / 5000 - 0.2) < 0.02


BAD = {
    b"{oops": "not JSON",
    b"[1]": "record is list, not an object",
    b'{"other": "x"}': "no field 'text'",
    b'{"text": 3}': "text is int, not a string",
    b'{"text": " "}': "empty text",
    b'{"text": "a\\u0000b"}': "NUL character",
    b'{"text": "\\ud800"}': "lone surrogate",
    b'{"text": "\xff"}': "not UTF-8",
    b'{"a":' * 100_000: "not JSON",
}


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:20].decode("latin-1"))
def test_malformed_record_is_refused_with_file_and_physical_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "first \xe2\x80\xa8 line"}\n\n' + line + b'\n{"text": "last"}')
    with pytest.raises(DataError) as caught:
        read_all(text_of(path))
    assert f"{path}:3: {BAD[line]}" in str(caught.value)


def test_skipped_records_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(BAD) + b'\n{"text": "good"}\n')
    data = text_of(path, malformed="skip", valid_fraction=0.0, test_fraction=0.0)
    assert read_all(data) == [("train", "good")]
    assert sum(data.problems.counts.values()) == len(BAD)
    assert data.problems.shown[0] == f"{path}:1: not JSON"


def test_empty_and_missing_sources_are_data_errors(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    for name in ("empty.txt", "empty.jsonl", "folder", "missing.txt"):
        with pytest.raises(DataError):
            read_all(text_of(tmp_path / name))


def test_empty_split_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("only one document", "utf-8")
    with pytest.raises(DataError, match="none of its documents is in split"):
        read_all(text_of(path))


def test_folders_and_patterns_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/z.txt", "a.md", "b/a.txt", "ignored.bin"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(name, "utf-8")
    everything = {"valid_fraction": 0.0, "test_fraction": 0.0}
    assert [t for _, t in read_all(text_of(tmp_path / "d", **everything))] == ["a.md", "b/a.txt", "b/z.txt"]
    assert [t for _, t in read_all(text_of(tmp_path / "d" / "**" / "*.txt", **everything))] == ["b/a.txt", "b/z.txt"]


def test_plain_text_is_cut_into_the_asked_units(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("one\ntwo\n\n\nthree\n", "utf-8")
    everything = {"valid_fraction": 0.0, "test_fraction": 0.0}

    def units(**settings: object) -> list[str]:
        return [text for _, text in read_all(text_of(path, **everything, **settings))]

    assert units(unit="file") == ["one\ntwo\n\n\nthree"]
    assert units(unit="paragraph") == ["one\ntwo", "three"]
    assert units(unit="line") == ["one", "two", "three"]
    assert units(unit="file", document_characters=5) == ["one\ntwo", "three"]


def test_parquet_is_read_and_its_bad_rows_are_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"body": ["good", None, "fine"], "n": [1, 2, 3]}), path)
    data = text_of(path, field="body", malformed="skip", valid_fraction=0.0, test_fraction=0.0)
    assert [t for _, t in read_all(data)] == ["good", "fine"]
    assert data.problems.shown == [f"{path}:2: text is NoneType, not a string"]
    path.write_bytes(b"no parquet")
    with pytest.raises(DataError, match="can't be read as a parquet file"):
        read_all(data)


def test_fingerprint_follows_content_and_settings(corpus: Path) -> None:
    first = text_of(corpus).fingerprint
    assert text_of(corpus).fingerprint == first
    assert len(first) >= 16
    assert text_of(corpus, valid_fraction=0.1).fingerprint != first
    corpus.write_text(corpus.read_text("utf-8").replace("cat", "dog"), "utf-8")
    assert text_of(corpus).fingerprint != first


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_any_text_survives_the_round_trip_through_jsonl(tmp_path: Path, texts: list[str]) -> None:
    texts = [t for t in texts if t.strip()] or ["x"]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), "utf-8")
    data = text_of(path, valid_fraction=0.0, test_fraction=0.0)
    assert [t for _, t in read_all(data)] == texts


def test_docstrings_are_read_without_running_the_module() -> None:
    source = 'raise SystemExit\ndef f():\n    """A sentence that is long enough to be worth keeping."""\n'
    assert docstrings(source) == ["A sentence that is long enough to be worth keeping."]
    assert docstrings("def broken(:") == []


def test_fingerprint_of_builtin_text_follows_its_sources_without_parsing_them(
    context: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module.py").write_text('"""A documented module."""')
    monkeypatch.setattr(builtin, "library_root", lambda: tmp_path)
    monkeypatch.setattr(builtin, "parse", lambda source: pytest.fail("parsed"))

    def fingerprint(**settings: object) -> str:
        builtin.library_digest.cache_clear()
        return str(context.make("text", "data", path="builtin", **settings).fingerprint)

    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint(content="code") != before
    (tmp_path / "module.py").write_text('"""Another text."""')
    assert fingerprint() != before
    builtin.library_digest.cache_clear()


def test_builtin_prose_is_real_text_and_modules_stay_in_one_split(context: FakeContext) -> None:
    prose = builtin_documents("prose")
    assert len(prose) > 300
    assert sum(len(text) for _, text, _ in prose) > 1_000_000
    data = context.make("text", "data", content="prose", max_documents=20)
    keys = {d.key: data.split_of(d) for d in data.documents()}
    assert len(keys) == 20


def test_reading_a_large_file_holds_no_more_than_a_few_documents(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    line = json.dumps({"text": "x" * 10_000}) + "\n"
    with path.open("w", encoding="utf-8") as out:
        for _ in range(4000):
            out.write(line)
    code = (
        "import tracemalloc, sys\n"
        "from omnitrain_language.configs.data import TextConfig\n"
        "from omnitrain_language.data.text import TextData\n"
        "data = TextData(TextConfig(path=sys.argv[1], valid_fraction=0.0, test_fraction=0.0))\n"
        "tracemalloc.start()\n"
        "data.fingerprint\n"
        "count = sum(1 for _ in data.examples('train'))\n"
        "assert count == 4000, count\n"
        "print(tracemalloc.get_traced_memory()[1])\n"
    )
    found = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 4_000_000
