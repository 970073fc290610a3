"""SQL sampled on tables: the official generator's results, and on real typed tables every answer executed again."""

import json
import os
from itertools import cycle
from pathlib import Path

import pytest

from omnitrain.api import numpy_generator
from omnitrain_omnitab.paper.sql import instantiate
from omnitrain_omnitab.paper.typed_tables import typed_table
from omnitrain_omnitab.tables.embedded import embedded_tables
from omnitrain_omnitab.tables.queries import queries, typed

SHARED = Path(os.environ.get("OMNITRAIN_TEST_DATA", Path(__file__).resolve().parent / "../../../../shared/data")) / "omnitab"
TABLES = SHARED / "squall_tables"
VECTORS = SHARED / "../../golden/omnitab/sql_template.json"
LISTS = {
    "headers": ["id", "agg", "team", "players"],
    "types": ["id", "agg", "text", "text"],
    "contents": [
        [{"col": "id", "type": "INTEGER", "data": [1, 2]}],
        [{"col": "agg", "type": "INTEGER", "data": ["0", 0]}],
        [{"col": "c1", "type": "TEXT", "data": ["reds", "blues"]}],
        [
            {"col": "c2", "type": "TEXT", "data": ["ann, bob", None]},
            {"col": "c2_list", "type": "LIST TEXT", "data": [["ann", "bob"], None]},
        ],
    ],
}


def tokens(text):
    return [["Column" if word[0] == "c" and word[1:2].isdigit() else "Keyword", word, []] for word in text.split()]


def test_list_columns_become_tables_of_their_elements_and_affinity_makes_numbers():
    table = typed_table(LISTS)
    database = table.database()
    assert table.rows == (("reds", "ann, bob"), ("blues", "none"))
    assert database.execute("select m_id, c2_list from t_c2_list").fetchall() == [(1, "ann"), (1, "bob")]
    assert database.execute("select id, agg, c1, c2 from w").fetchall() == [(1, 0, "reds", "ann, bob"), (2, 0, "blues", None)]


def test_a_list_column_is_executed_as_its_base_column():
    table = typed_table(LISTS)
    found = instantiate(tokens("select c2_list from w where id = 1"), table, table, lambda: 0.99)
    assert found.executed == "select c2 from w where id = 1"
    assert found.shown == "select players where id = 1"
    assert found.answers == ("ann, bob",)


def test_a_query_that_fails_or_gives_too_much_has_no_answer():
    table = typed_table(LISTS)
    for text in ("select nothing", "select c1 from w where id = 9", "select c2 from w", "select c1 , from"):
        assert instantiate(tokens(text), table, table, lambda: 0.99).answers == ()
    many = "with recursive n ( x ) as ( select 1 union all select x + 1 from n limit 10000 ) select x from n"
    assert instantiate(tokens(many), table, table, lambda: 0.0).answers == ()


def test_queries_about_embedded_tables_are_answered_as_sqlite_answers_them():
    generator = numpy_generator(0)
    tables = embedded_tables(12, 4, 0)
    found = [q for table in tables for q in queries(table, 14, lambda below: int(generator.integers(below)))]
    assert len(found) > 100
    assert all(1 <= len(q.answers) <= 10 and " from w" not in q.text for q in found)
    assert typed(tables[0]).alias == ("id", "agg", "c1", "c2", "c2_number", "c3")


@pytest.mark.skipif(not TABLES.is_dir(), reason="the real typed tables are not beside this checkout")
def test_answers_on_real_typed_tables_come_again_whatever_columns_they_have():
    generator = numpy_generator(1)
    template = tokens("select c1 from w order by id desc limit 3")
    held_out = set((TABLES / "dev-0.ids").read_text("utf-8").split())
    done = with_lists = 0
    for path in sorted(TABLES.glob("*.json")):
        if path.stem in held_out:
            continue
        table = typed_table(json.loads(path.read_text("utf-8")))
        lists = [name for name, kind, _ in table.columns if kind.startswith("LIST")]
        for text in [template, *(tokens(f"select {lists[0]} from w where id = 1") for _ in lists[:1])]:
            found = instantiate(text, table, table, lambda: float(generator.random()))
            if found.answers:
                again = table.database().execute(found.executed).fetchall()
                assert tuple(str(row[0]).replace("\n", " ").lower() for row in again) == found.answers
                done += text is template
                with_lists += text is not template
    assert done >= 300
    assert with_lists >= 50


@pytest.mark.skipif(not (TABLES.is_dir() and VECTORS.is_file()), reason="the real typed tables are not beside this checkout")
def test_templates_are_instantiated_as_the_official_generator_does():
    for case in json.loads(VECTORS.read_text("utf-8"))["cases"]:
        given, draws = case["input"], cycle(case["input"]["uniforms"])
        source, target = (
            typed_table(json.loads((TABLES / f"{given[name]}.json").read_text("utf-8")))
            for name in ("source_table", "target_table")
        )
        found = instantiate(given["template"], source, target, lambda draws=draws: next(draws))
        expected = case["output"]
        assert (found.shown, list(found.answers), found.executed) == (
            expected["encoded_sql"],
            expected["answer"],
            expected["executable_sql"],
        )
