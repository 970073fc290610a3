"""The mix of pre-training: what fits, what is left out and told, and where it is refused."""

import pytest
from helpers import record

from omnitrain.errors import DataError, UsageError
from omnitrain_omnitab.data.pretraining import TASKS


def sentence(**more):
    return record("ann has 3 points.", mentions=[[0, 3], [8, 9]], **more)


def test_a_table_of_500_rows_keeps_those_that_fit_and_tells_of_the_others(make_pretraining, lines, context):
    rows = [[f"player {number}", str(number)] for number in range(500)]
    data = make_pretraining(natural=str(lines(sentence(rows=rows))), valid_fraction=0)
    told = [event for event in context.events if event["event"] == "cut"][-1]
    assert 450 < told["rows_left_out"] < 500
    for index in range(2):
        example = data.example("train", index, 0).example
        assert max(len(example.input_ids), len(example.target_ids)) <= 128


def test_a_header_beyond_the_budget_is_refused_with_its_place(make_pretraining, lines):
    header = [f"name of a column that is long {number}" for number in range(60)]
    path = lines(sentence(header=header, rows=[["x"] * 60]))
    with pytest.raises(
        DataError, match=r"lines.jsonl:1: the header has \d+ tokens and there is room for \d+ beside 'ann has 3"
    ):
        make_pretraining(natural=str(path), valid_fraction=0)


def test_a_first_row_that_does_not_fit_leaves_the_text_out_and_is_told(make_pretraining, lines, context):
    wide = sentence(header=list("abcdefgh"), rows=[["many words in a cell of it"] * 8])
    make_pretraining(natural=str(lines(wide, sentence())), valid_fraction=0, inputs_length=80)
    told = [event for event in context.events if event["event"] == "cut"][-1]
    assert told["tables_whose_first_row_does_not_fit"] == 1


def test_a_context_of_a_thousand_tokens_loses_its_end_and_the_mentions_there(make_pretraining, lines, context):
    text = "ann has 3 points. " + "word " * 1000 + "bob"
    found = record(text, mentions=[[0, 3], [len(text) - 3, len(text)]])
    data = make_pretraining(natural=str(lines(found)), valid_fraction=0)
    salient = next(d for i in range(2) if TASKS[(d := data.example("train", i, 0)).task] == "salient")
    assert salient.example.input_ids.count(data.tokens.mask_id) == 1
    assert [event for event in context.events if event["event"] == "cut"][-1]["texts_cut"] == 1


def test_sentences_without_a_mention_are_masked_at_random_only_and_told(make_pretraining, lines, context):
    data = make_pretraining(natural=str(lines(record("nothing of the table."))), valid_fraction=0)
    assert [TASKS[data.example("train", i, 0).task] for i in range(data.size("train"))] == ["random"]
    assert [event for event in context.events if event["event"] == "cut"][-1]["sentences_without_mention"] == 1


def test_none_floats_and_empty_cells_are_written(make_pretraining, lines):
    data = make_pretraining(natural=str(lines(sentence(rows=[["ann", 3], ["", None], ["eve", 1.5]]))), valid_fraction=0)
    assert "row 2 :  | None row 3 : eve | 1.5" in data.tokens.text(data.example("train", 0, 0).example.target_ids)


def test_questions_and_queries_are_answered_with_the_whole_target_in_the_loss(make_pretraining, lines):
    path = str(lines(record(answers=["ann", "bob"])))
    data = make_pretraining(natural=None, synthetic=path, sql=path, valid_fraction=0)
    drawn = [data.example("train", index, 0) for index in range(2)]
    assert [TASKS[d.task] for d in drawn] == ["synthetic", "sql"]
    assert all(all(d.example.in_loss) for d in drawn)
    assert data.tokens.text(drawn[0].example.target_ids) == " ann, bob"


def test_the_control_shows_each_sentence_with_another_table(make_pretraining):
    own, other = make_pretraining(), make_pretraining(table="shuffled")
    text = {
        name: data.tokens.text(data.example("valid", 0, 0).example.target_ids)
        for name, data in (("own", own), ("other", other))
    }
    before = [value.partition(" col : ")[0] for value in text.values()]
    assert before[0] == before[1]
    assert text["own"] != text["other"]


def test_draws_depend_on_the_seed_alone(make_pretraining):
    data = make_pretraining()
    first = [data.example("train", 0, seed).example for seed in range(6)]
    assert [data.example("train", 0, seed).example for seed in range(6)] == first
    assert len({tuple(example.input_ids) for example in first}) > 1


def test_a_tokenizer_without_a_mask_is_refused(make_pretraining):
    data = make_pretraining(tokenizer={"vocabulary_size": 400})
    with pytest.raises(UsageError, match=r"the tokenizer has no mask.*set tokenizer.extra_tokens to \['<mask>'\]"):
        data.example("train", 0, 0)


def test_lower_case_reaches_cells_and_keeps_mentions_in_place(make_pretraining, lines):
    path = str(lines(record("ANN has 3.", rows=[["ANN", "3"]], header=["Name", "Points"], mentions=[[0, 3]])))
    data = make_pretraining(natural=path, valid_fraction=0, lower_case=True)
    text = data.tokens.text(data.example("train", 0, 0).example.target_ids)
    assert text.strip() == "ann has 3. col : name | points row 1 : ann | 3"
