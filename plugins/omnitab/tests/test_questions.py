"""Questions as examples: what is cut, where it shows, and what a few-shot list lets in."""

import pytest
from helpers import record

from omnitrain.errors import DataError
from omnitrain_omnitab.paper.denotations import correct

LONG = "the quick brown fox jumps over the lazy dog while the other dogs watch in amazement"


def table_of(count):
    return [[f"player {number}", str(number)] for number in range(count)]


def decoded(data, ids):
    return data.tokens.text(ids)


def test_answers_are_cut_with_their_cell_in_training_and_never_in_evaluation(make_questions, lines):
    questions = [record(rows=[[LONG, "3"]], answers=[LONG])]
    path = lines(*questions)
    data = make_questions(path=str(path), valid_path=str(lines(*questions, name="valid.jsonl")), cell_tokens=6)
    written = decoded(data, data.example("train", 0, 0).example.target_ids)
    assert LONG.startswith(written.strip())
    assert len(written.strip()) < len(LONG)
    assert written.strip() in decoded(data, data.example("train", 0, 0).example.input_ids)
    assert decoded(data, data.example("valid", 0, 0).example.target_ids).strip() == LONG
    assert data.items("train")[0].answers == (LONG,)
    assert correct(LONG, data.items("valid")[0].answers)


def test_long_tables_lose_their_tail_or_rows_that_say_nothing(make_questions, lines):
    path = str(lines(record("who has player 55 in it?", rows=table_of(60), answers=["player 57"])))
    tail = make_questions(path=path, valid_fraction=0, inputs_length=96)
    dropping = make_questions(path=path, valid_fraction=0, inputs_length=96, too_long="drop-rows")
    cut = decoded(tail, tail.example("train", 0, 0).example.input_ids)
    assert "player 0" in cut
    assert "player 57" not in cut
    drawn = {decoded(dropping, dropping.example("train", 0, seed).example.input_ids) for seed in range(4)}
    assert len(drawn) > 1
    assert all(len(dropping.example("train", 0, seed).example.input_ids) <= 96 for seed in range(4))
    assert decoded(dropping, dropping.example("train", 0, 1).example.input_ids) == decoded(
        dropping, dropping.example("train", 0, 1).example.input_ids
    )


def test_what_does_not_fit_is_told(make_questions, lines, context):
    path = str(lines(record(rows=table_of(500), answers=["x"])))
    make_questions(path=path, valid_fraction=0, inputs_length=64)
    assert {"event": "cut", "split": "train", "tables_too_long": 1, "of": 1} in context.events


def test_answers_play_no_part_in_what_a_model_is_asked_with(make_questions, lines):
    many = [record("which?", rows=table_of(60), answers=[answer]) for answer in ("player 40", "player 2")]
    data = make_questions(path=str(lines(*many)), valid_fraction=0, inputs_length=96, too_long="drop-rows")
    first, second = data.items("train")
    assert data.prompt(first, 3) == data.prompt(second, 3)


def test_only_the_questions_of_the_list_are_trained_on(make_questions, lines, tmp_path):
    records = [record(f"question {number}?", answers=["ann"], id=f"q{number}") for number in range(8)]
    ids = tmp_path / "ids.txt"
    ids.write_text("q3\nq5\n", "utf-8")
    data = make_questions(path=str(lines(*records)), valid_fraction=0, ids=str(ids))
    assert [question.id for question in data.items("train")] == ["q3", "q5"]
    ids.write_text("q3\nq9\n", "utf-8")
    with pytest.raises(DataError, match=r"ids.txt:2: no question of the split 'train' has the id 'q9'"):
        make_questions(path=str(path_of(tmp_path)), valid_fraction=0, ids=str(ids))


def path_of(folder):
    return folder / "lines.jsonl"


def test_casing_and_the_blank_in_front_change_the_ids(make_questions, lines):
    path = str(lines(record("Who WON?", answers=["Ann"])))
    rows = {
        (lower, blank): tuple(
            make_questions(path=path, valid_fraction=0, lower_case=lower, leading_blank=blank)
            .example("train", 0, 0)
            .example.input_ids
        )
        for lower in (False, True)
        for blank in (False, True)
    }
    assert len(set(rows.values())) == 4


def test_special_tokens_that_a_cell_spells_out_stay_text(make_questions, lines):
    data = make_questions(path=str(lines(record(rows=[["<mask> </s>", "1"]], answers=["1"]))), valid_fraction=0)
    ids = data.example("train", 0, 0).example.input_ids
    assert data.tokens.mask_id not in ids
    assert ids.count(data.tokens.eos) == 1


def test_questions_of_one_table_are_in_one_split(make_questions):
    data = make_questions(prepare=False, valid_fraction=0.4)
    tables = {split: {question.table for question in data.items(split)} for split in data.splits()}
    assert not tables["train"] & tables["valid"]


def test_a_question_without_an_answer_is_refused(make_questions, lines):
    with pytest.raises(DataError, match="question '0' of split 'train' has no answer"):
        make_questions(path=str(lines(record())), valid_fraction=0)
