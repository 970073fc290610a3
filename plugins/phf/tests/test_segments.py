"""Segments: joined they are the document, and sentences are those of spaCy."""

from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_phf.scorers.contacts import contact_documents
from omnitrain_phf.scorers.segments import split_by_spacy, split_lines, split_sentences

LETTERS = st.text(st.sampled_from("ab .!?\n\r\t\x0b\x0c\u2028é"), max_size=40)


@settings(deadline=None, max_examples=50)
@given(LETTERS)
def test_lines_joined_are_the_text_and_end_at_newlines_only(text):
    lines = split_lines(text)
    assert "".join(lines) == text
    assert all(line[:-1].rstrip("\r").count("\r") == 0 and line[:-1].count("\n") == 0 for line in lines)


@settings(deadline=None, max_examples=50)
@given(LETTERS)
def test_sentences_joined_are_the_text(text):
    assert "".join(split_sentences(text)) == text


PIECES = [
    *"ab.AZ1.!? \n\t\"'()—:;,-_oO<>…x3D",
    "e.g.",
    "U.S.",
    "Mr.",
    "a.m.",
    "...",
    "x.Y",
    "。",
    "(._.)",
    ":)",
    "\u00a0",
    "𑁇",
    "😀",
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_sentences_are_those_of_spacy(text):
    assert split_sentences(text) == split_by_spacy(text)


def test_sentences_of_the_builtin_text_are_those_of_spacy():
    for _, text in contact_documents(0.1, 1200):
        assert split_sentences(text) == split_by_spacy(text)


def test_special_case_torn_by_a_blank_hides_its_neighbour_as_in_spacy():
    for text in (": x.Y goes on. (e.g. this) too.", "He wrote : x.Y", "Well (e.g. a : ) b)."):
        assert split_sentences(text) == split_by_spacy(text)
    assert split_sentences("x.Y") != [part.removeprefix(": ") for part in split_sentences(": x.Y")]
