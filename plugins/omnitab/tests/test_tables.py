"""Tables out of files: what is read, and what is said of those that can't be."""

import csv
import os
from pathlib import Path

import pytest
from helpers import record

from omnitrain.errors import DataError
from omnitrain_omnitab.paper.denotations import correct
from omnitrain_omnitab.paper.wikisql import execute
from omnitrain_omnitab.tables.embedded import embedded_tables
from omnitrain_omnitab.tables.reading import read_table
from omnitrain_omnitab.tables.sources import kind_of, read_lines, read_questions, splits_of
from omnitrain_omnitab.tables.templates import questions, sentences

SHARED = Path(os.environ.get("OMNITRAIN_TEST_DATA", Path(__file__).resolve().parent / "../../../../shared/data"))
WTQ = SHARED / "omnitab" / "wtq"


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_with_a_mark_quotes_line_ends_and_equal_names_is_read(tmp_path):
    path = write(tmp_path, "a.csv", 'name,name,note\nann,"a, ""b""","two\nlines"\n,|,x\ty\n', "utf-8-sig")
    table = read_table(path)
    assert table.header == ("name", "name", "note")
    assert table.rows == (("ann", 'a, "b"', "two lines"), ("", "|", "x\ty"))


def test_tables_of_wtq_undo_their_escapes(tmp_path):
    comma = write(tmp_path, "1.csv", '"a","b \\"c\\""\n"1","x \\\\ y"\n')
    tab = write(tmp_path, "1.tsv", "a\tb\n1\tx\\ny \\p z\n")
    assert read_table(comma, escaped=True).header == ("a", 'b "c"')
    assert read_table(comma, escaped=True).rows == (("1", "x \\ y"),)
    assert read_table(tab, escaped=True).rows == (("1", "x y | z"),)


@pytest.mark.parametrize(
    ("name", "text", "encoding", "sentence"),
    [
        ("a.csv", "name,points\nann,3\nbob\n", "utf-8", "a.csv:3: the row has 1 cells, the first line names 2 columns"),
        ("a.tsv", "name\tpoints\nann\t3\t4\n", "utf-8", "a.tsv:2: the row has 3 cells, the first line names 2 columns"),
        ("a.csv", "name,points\n", "utf-8", "no rows, so no question can be asked about it"),
        ("a.csv", "", "utf-8", "the table has no names of columns; its first line must name them"),
        ("a.csv", "name\nJosé\n", "latin-1", "a.csv:2"),
        ("a.csv", 'name\n"ann\n', "utf-8", "can't be read as a row of comma separated cells"),
        ("a.xlsx", "x", "utf-8", "a table is a .csv or a .tsv file"),
    ],
)
def test_what_is_no_table_is_told_in_a_sentence_with_its_place(tmp_path, name, text, encoding, sentence):
    path = write(tmp_path, name, text, encoding)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert sentence in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv is not there; expected a table"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"rows": [[1]]}, r"lines.jsonl:1: row 1 of the table has 1 cells, its header 2 names"),
        ({"rows": [["a", [1]]]}, r"lines.jsonl:1: a cell is text, a number or null; found list \[1\]"),
        ({"rows": []}, r"lines.jsonl:1: the table has names of columns and no rows"),
        ({"header": [], "rows": [[]]}, r"lines.jsonl:1: the table has no names of columns"),
        ({"mentions": [[0, 99]]}, r"lines.jsonl:1: mentions is no list of \[start, end\] within the 8 characters"),
        ({"answers": "x"}, r"lines.jsonl:1: answers is no list of texts"),
    ],
)
def test_records_that_are_no_text_about_a_table_are_named_by_line(lines, more, sentence):
    with pytest.raises(DataError, match=sentence):
        list(read_lines(lines(record(**more))))


def test_none_and_floats_are_cells(lines):
    (question,) = read_lines(lines(record(answers=["ann"])))
    assert question.table.rows == (("ann", 3), ("bob", None), ("eve", 1.5))


def wtq(folder):
    write(
        folder, "data/pristine-unseen-tables.tsv", "id\tutterance\tcontext\ttargetValue\nnu-0\ta \\p b?\tcsv/0.csv\tx|y\\pz\n"
    )
    write(folder, "tagged/data/pristine-unseen-tables.tagged", "id\ttargetCanon\nnu-0\tx|y\\pz\n")
    write(folder, "csv/0.csv", '"wrong","file"\n"1","2"\n')
    write(folder, "csv/0.tsv", "a\tb\nx\\nw\ty\n")
    return folder


def test_questions_of_wtq_come_from_their_files_with_escapes(tmp_path):
    folder = wtq(tmp_path)
    assert kind_of(folder) == "wtq"
    assert splits_of(folder) == ["test"]
    (question,) = read_questions(folder, "test")
    assert (question.id, question.text, question.answers) == ("nu-0", "a | b?", ("x", "y|z"))
    assert question.canon == ("x", "y|z")
    assert question.table.rows == (("x w", "y"),)  # of the .tsv, as the published models read it


def test_a_question_whose_table_is_missing_is_named_by_its_line(tmp_path):
    folder = wtq(tmp_path)
    for name in ("0.csv", "0.tsv"):
        (folder / "csv" / name).unlink()
    with pytest.raises(DataError, match=r"pristine-unseen-tables.tsv:2: there is no table .*csv/0.csv"):
        list(read_questions(folder, "test"))


def test_questions_of_wikisql_are_answered_by_their_query(tmp_path):
    write(
        tmp_path,
        "dev.tables.jsonl",
        '{"id": "t", "header": ["name", "points"], "types": ["text", "real"], "rows": [["Ann", 3], ["Bob", 4]]}\n',
    )
    sql = '{"sel": 0, "agg": 0, "conds": [[1, 1, "3"]]}'
    path = write(tmp_path, "dev.jsonl", f'{{"table_id": "t", "question": "who?", "sql": {sql}}}\n')
    (question,) = read_questions(tmp_path, "valid")
    assert question.answers == ("Bob",)
    path.write_text('{"table_id": "u", "question": "who?", "sql": {}}\n', "utf-8")
    with pytest.raises(DataError, match=r"dev.jsonl:1: table_id 'u' is not in dev.tables.jsonl"):
        list(read_questions(tmp_path, "valid"))
    path.write_text('{"table_id": "t", "question": "who?", "sql": {"sel": 5, "agg": 0, "conds": []}}\n', "utf-8")
    with pytest.raises(DataError, match=r"dev.jsonl:1: sql is no query of WikiSQL on a table of 2 typed columns"):
        list(read_questions(tmp_path, "valid"))


def test_embedded_tables_share_no_row_and_their_questions_have_the_answer_that_the_table_gives():
    tables = embedded_tables(60, 4, 0)
    names = [row[0] for table in tables for row in table.rows]
    assert len(tables) == 60
    assert len(names) == len(set(names))
    for table in tables:
        for question in questions(table, 8, lambda below: 0):
            assert question.answers[0] == _answer(question, table), question.text
        for sentence in sentences(table, 2, lambda below: below - 1):
            mentioned = [sentence.text[a:b] for a, b in sentence.mentions]
            assert mentioned[0] == table.rows[-1][0]
            assert mentioned[1] in table.rows[-1]


def _answer(question, table):
    numbers = [int(row[1]) for row in table.rows]
    if question.operation == "count":
        return str(
            int(
                float(
                    execute(["text", "real", "text"], table.rows, {"sel": 0, "agg": 3, "conds": [[2, 0, table.rows[0][2]]]})[0]
                )
            )
        )
    if question.operation == "superlative":
        return table.rows[numbers.index(max(numbers))][0]
    if question.operation == "difference":
        return str(abs(numbers[0] - numbers[1]))
    return table.rows[0][1]


def test_csv_that_python_writes_is_read_back(tmp_path):
    rows = [["a", 'q"q'], ["x,y", "z"], ["", "|"]]
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    table = read_table(path)
    assert [list(table.header), *map(list, table.rows)] == rows


@pytest.mark.skipif(not WTQ.is_dir(), reason="the real questions are not beside this checkout")
def test_all_real_questions_are_read_with_their_tables_and_are_right_when_answered_by_their_own_answers():
    found = {split: list(read_questions(WTQ, split)) for split in splits_of(WTQ)}
    assert {split: len(items) for split, items in found.items()} == {"train": 3567, "valid": 910, "test": 1752}
    assert all(len(row) == len(q.table.header) for items in found.values() for q in items for row in q.table.rows)
    assert all(q.canon is not None for q in found["test"])
    single = [q for q in found["test"] if len(q.answers) == 1]
    assert all(correct(q.answers[0], q.answers, q.canon) for q in single)
