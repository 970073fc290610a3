"""What a sentence mentions: the quick finder against the plain one, and its use in data."""

from difflib import SequenceMatcher

from helpers import record
from hypothesis import given
from hypothesis import strategies as st

from omnitrain_omnitab.data.pretraining import TASKS
from omnitrain_omnitab.paper import mentions
from omnitrain_omnitab.paper.mentions import find_mentions


def plain(text, value, marked):
    match = SequenceMatcher(None, text, value).find_longest_match()
    return text[match.a : match.a + match.size].strip()


LETTERS = st.text("ab c1.", max_size=40)


@given(LETTERS, st.lists(LETTERS, min_size=1, max_size=3), st.sampled_from([1, 9]))
def test_the_finder_gives_what_difflib_gives_for_every_cell(sentence, cells, times):
    # Nine times: cells beyond the length from which difflib leaves out frequent characters.
    rows = [[cell * times for cell in cells]]
    quick = find_mentions(sentence * times, rows)
    before, mentions._common = mentions._common, plain
    try:
        assert find_mentions(sentence * times, rows) == quick
    finally:
        mentions._common = before


def test_stop_words_and_parts_of_words_are_no_mention():
    found = find_mentions(
        "The 1997 film was directed by Ventura Pons in Rome", [["the", "997", "Ventura Pons"], ["in", "Rom", None]]
    )
    assert found.spans == [(30, 42)]
    assert found.cells == [[(0, 2)]]


def test_a_file_without_mentions_gets_them_and_one_that_names_none_keeps_none(make_pretraining, lines):
    found = make_pretraining(natural=str(lines(record("ann won with 3 points"))), valid_fraction=0)
    assert sorted(TASKS[found.example("train", i, 0).task] for i in range(found.size("train"))) == ["random", "salient"]
    (text,) = found.texts()
    assert [text.text[a:b] for a, b in text.mentions] == ["ann", "3", "points"]
    kept = make_pretraining(natural=str(lines(record("ann won with 3 points", mentions=[]))), valid_fraction=0)
    assert [TASKS[kept.example("train", i, 0).task] for i in range(kept.size("train"))] == ["random"]
