"""Sources of pairs: what every machine has, columns of tables, splits named by a field."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import FakeContext
from pydantic import ValidationError

from omnitrain.errors import DataError, UsageError
from omnitrain_language.data.builtin.pairs import first_sentence, library_pairs, objects_of
from omnitrain_language.records import Problems, read_fields
from omnitrain_language.splitting import split_of

SOURCE = '''"""A module of boxes. It has more to say."""

class Box:
    """A thing to put
    things into."""

    def open(self):
        """Open the lid of the box."""

        def inside():
            """Not an object with a name of its own."""

    async def close(self):
        """Close it!  Then lock it."""

def pack(things):
    """Short."""
'''


def pairs(context: FakeContext, **settings: Any) -> Any:
    return context.make("pairs", "data", **settings)


def write(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return str(path)


def test_objects_are_named_by_kind_with_their_first_sentence() -> None:
    found = [(o.kind, o.name, o.summary) for o in objects_of(SOURCE, "boxes")]
    assert found == [
        ("module", "boxes", "A module of boxes."),
        ("class", "boxes.Box", "A thing to put things into."),
        ("method", "boxes.Box.open", "Open the lid of the box."),
    ]
    assert first_sentence("Wait, 1.5 seconds? Yes.\n\nMore.") == "Wait, 1.5 seconds?"
    assert list(objects_of("def broken(:", "broken")) == []


def test_builtin_kinds_are_near_balanced_and_without_doubt() -> None:
    found = library_pairs("kinds")
    counts = Counter(pair.targets for pair in found)
    assert set(counts) == {"class", "function", "method", "module"}
    assert max(counts.values()) <= 3 * min(counts.values())
    assert len({pair.inputs for pair in found}) == len(found) > 1000
    assert all(12 <= len(pair.inputs) <= 200 for pair in found)


def test_builtin_pairs_keep_out_of_training_what_the_text_keeps_out(context: FakeContext) -> None:
    for name in ("kinds", "summaries"):
        data = pairs(context, path=f"builtin:{name}", valid_fraction=0.1)
        assert data.splits() == ["train", "valid"]
        train, valid = ([(r["inputs"], r["targets"]) for r in data.records(split)] for split in ("train", "valid"))
        modules = {(p.inputs, p.targets): p.module for p in library_pairs(name)}
        assert {split_of(modules[pair], 0.05, 0.05) for pair in train} == {"train"}
        assert {split_of(modules[pair], 0.05, 0.05) for pair in valid} == {"valid", "test"}
        assert len(train) + len(valid) == len(library_pairs(name))
    with pytest.raises(UsageError, match="kinds"):
        next(pairs(context, path="builtin:kind").records("train"))


def test_columns_of_a_table_are_fields_and_a_field_names_the_split(context: FakeContext, tmp_path: Path) -> None:
    rows = [("train", "a small cat", "animal"), ("valid", 'a "tall" tree', "plant"), ("train", "an oak", "plant")]
    path = write(tmp_path / "nouns.tsv", "".join("\t".join(r) + "\n" for r in [("split", "definition", "class"), *rows]))
    data = pairs(context, path=path, inputs_field="definition", targets_field="class", split_field="split")
    assert data.splits() == ["train", "valid"]
    assert list(data.records("train")) == [
        {"inputs": "a small cat", "targets": "animal"},
        {"inputs": "an oak", "targets": "plant"},
    ]
    assert list(data.records("valid")) == [{"inputs": 'a "tall" tree', "targets": "plant"}]
    with pytest.raises(DataError, match="no split 'test'"):
        next(data.records("test"))


def test_rows_with_another_number_of_columns_are_named_with_their_line(context: FakeContext, tmp_path: Path) -> None:
    path = write(tmp_path / "nouns.tsv", "inputs\ttargets\na\tb\nc\n\nd\te\tf\n")
    with pytest.raises(DataError, match=r"2 malformed records.*nouns.tsv:3: 1 columns.*nouns.tsv:5: 3 columns"):
        list(pairs(context, path=path, valid_fraction=0.0).records("train"))
    kept = pairs(context, path=path, valid_fraction=0.0, malformed="skip")
    assert list(kept.records("train")) == [{"inputs": "a", "targets": "b"}]


def test_wrong_splits_are_refused(context: FakeContext, tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.jsonl", json.dumps({"inputs": "a", "targets": "b", "part": "dev"}) + "\n")
    with pytest.raises(DataError, match="part 'dev' is no split; expected train, valid, test"):
        pairs(context, path=path, split_field="part").splits()
    with pytest.raises(ValidationError, match="splits of their own"):
        pairs(context, path="builtin:kinds", valid_path=path)


def test_a_malformed_pair_is_named_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"inputs": "a", "targets": 5}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: targets: text is int, not a string"):
        list(read_fields(tmp_path / "a.jsonl", ["inputs", "targets"], Problems(refuse=True)))
