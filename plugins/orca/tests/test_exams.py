"""Exams: files in and out of order, an oracle, chance, and both parsers."""

import json
import os
import random
import re
from pathlib import Path

import pytest
from helpers import Answers

from omnitrain.errors import DataError, UsageError
from omnitrain_orca.configs.evaluators import AgievalConfig, BbhConfig, ReasoningConfig
from omnitrain_orca.evaluators.reasoning import Reasoning
from omnitrain_orca.exams import agieval, bbh
from omnitrain_orca.exams.sitting import sit
from omnitrain_orca.exams.truthfulqa import read_truthfulqa
from omnitrain_orca.flan.reasoning import TASKS, generated_queries, is_held_out, solve
from omnitrain_orca.flan.teachers import strong, weak
from omnitrain_orca.paper.agieval import first_letter, tolerant_letter
from omnitrain_testing.contexts import FakeContext

DATA = Path(os.environ.get("OMNITRAIN_TEST_DATA", Path(__file__).resolve().parent / "../../../../shared/data")) / "orca"
beside = pytest.mark.skipif(not DATA.is_dir(), reason="needs the real exams beside a checkout")
ITEM = {"passage": None, "question": "2 + 2?", "options": ["(A)3", "(B)4"], "label": "B"}


def agieval_folder(folder, *items):
    (folder / "sat-math.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    return str(folder)


def bbh_folder(folder, task, *examples):
    (folder / f"{task}.json").write_text(json.dumps({"canary": "", "examples": examples}), "utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("response", "first", "tolerant"),
    [
        ("Because 2 + 2 is 4, the answer is (C).", "B", "C"),
        ("I think it is D.", "D", "D"),
        ("nothing", "", ""),
        ("A good question. The correct answer: B", "A", "B"),
        ("Both (A) and (C) look right, but (C) holds", "B", "C"),
    ],
)
def test_the_first_letter_punishes_explanations_and_the_tolerant_rule_does_not(response, first, tolerant):
    assert (first_letter(response), tolerant_letter(response)) == (first, tolerant)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label": "C"}, "label 'C' is none of A, B"),
        ({"label": None}, "label None"),
        ({"options": None}, "options is no list"),
        ({"question": 3}, "question and passage"),
    ],
)
def test_a_malformed_item_of_agieval_is_named(tmp_path, changes, told):
    folder = agieval_folder(tmp_path, ITEM, {**ITEM, **changes})
    with pytest.raises(DataError, match=r"sat-math\.jsonl:2: ") as caught:
        agieval.read_agieval(folder)
    assert told in str(caught.value)


def test_missing_fields_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no file of AGIEval; expected a folder with some of aqua-rat\.jsonl"):
        agieval.read_agieval(str(tmp_path))
    with pytest.raises(DataError, match="no file of BIG-Bench Hard"):
        bbh.read_bbh(str(tmp_path))
    with pytest.raises(DataError, match="no field 'label'"):
        agieval.read_agieval(agieval_folder(tmp_path, {k: v for k, v in ITEM.items() if k != "label"}))
    with pytest.raises(DataError, match="example 0 has no text 'target'"):
        bbh.read_bbh(bbh_folder(tmp_path, "snarks", {"input": "x"}))


def test_a_target_that_is_an_options_text_is_taken_for_its_letter_and_said(tmp_path):
    text = "Which?\nOptions:\n(A) the sun\n(B) Monsters, Inc\n"
    said = []
    folder = bbh_folder(tmp_path, "movie_recommendation", {"input": text, "target": "Monsters, Inc"})
    assert [q.target for q in bbh.read_bbh(folder, said.append)] == ["(B)"]
    assert "taken for (B)" in said[0]
    bbh_folder(tmp_path, "movie_recommendation", {"input": text, "target": "the moon"})
    question = bbh.read_bbh(folder, said.append)[0]
    assert "is no option; a response that holds this text is right" in said[1]
    assert [parser.find(question, "It is The moon.") for parser in bbh.PARSERS] == ["the moon"] * 2


def test_scores_are_unweighted_over_tasks_with_the_unparsable_share(tmp_path):
    bbh_folder(tmp_path, "navigate", *[{"input": f"go {n}", "target": "Yes"} for n in range(3)])
    folder = bbh_folder(tmp_path, "snarks", {"input": "odd", "target": "(A)"})
    told = Answers(lambda prompt: "(A)" if "odd" in prompt else ("Yes" if "go 1" in prompt else "who knows"))
    found = sit(told, bbh.read_bbh(folder), bbh.PARSERS, BbhConfig(path=folder), "orca/bbh").metrics
    assert found["first/navigate"].value == pytest.approx(1 / 3)
    assert found["first/average"].value == pytest.approx((1 + 1 / 3) / 2)
    assert found["first/unparsable"].value == 0.5


def test_a_model_that_cannot_write_is_refused(tmp_path):
    folder = agieval_folder(tmp_path, ITEM)
    with pytest.raises(UsageError, match="orca/agieval: the model can't write text"):
        sit(object(), agieval.read_agieval(folder), agieval.PARSERS, AgievalConfig(path=folder), "orca/agieval")


@beside
def test_real_files_hold_the_papers_items_and_an_oracle_has_all_right():
    said = []
    questions = bbh.read_bbh(str(DATA / "bbh"), said.append)
    assert (len({q.task for q in questions}), len(questions), len(said)) == (23, 5511, 3)
    answers = {q.prompt: q.target for q in questions}
    oracle = Answers(lambda prompt: f"The answer is {answers[prompt]}.")
    # A few questions come twice with two answers.
    unique = [q for q in questions if answers[q.prompt] == q.target]
    found = sit(oracle, unique, bbh.PARSERS, BbhConfig(path="bbh"), "orca/bbh").metrics
    assert found["first/average"].value == found["tolerant/average"].value == 1.0
    exam = agieval.read_agieval(str(DATA / "agieval"))
    assert len({q.task for q in exam}) == 8
    letters = {q.prompt: q.target for q in exam}
    kept = [q for q in exam if letters[q.prompt] == q.target]
    oracle = Answers(lambda prompt: letters[prompt])
    assert (
        sit(oracle, kept, agieval.PARSERS, AgievalConfig(path="a"), "orca/agieval").metrics["first letter/average"].value == 1.0
    )


@beside
def test_random_letters_score_chance_on_the_real_files():
    draw = random.Random(4)
    exam = agieval.read_agieval(str(DATA / "agieval"))
    options = {q.prompt: ord(re.search(r"through ([A-F]),", q.prompt)[1]) - 64 for q in exam}
    guesses = Answers(lambda prompt: "ABCDEF"[draw.randrange(options[prompt])])
    found = sit(guesses, exam, agieval.PARSERS, AgievalConfig(path="a"), "orca/agieval").metrics["first letter/average"]
    # Four tasks have four options and four have five.
    expected = (4 / 4 + 4 / 5) / 8
    assert abs(found.value - expected) < 4 * (expected * (1 - expected) / len(exam)) ** 0.5


def test_truthfulqa_needs_true_and_false_options(tmp_path):
    file = tmp_path / "mc_task.json"
    sound = {"question": "Q", "mc1_targets": {"yes": 1, "no": 0}, "mc2_targets": {"yes": 1, "no": 0}}
    file.write_text(json.dumps([sound]), "utf-8")
    assert read_truthfulqa(str(file))[0].mc1.texts == ["yes", "no"]
    file.write_text(json.dumps([{**sound, "mc2_targets": {"yes": 1}}]), "utf-8")
    with pytest.raises(DataError, match="question 0: mc2_targets holds no true and false options"):
        read_truthfulqa(str(file))


def test_generated_exams_ask_nothing_that_is_sampled_and_teachers_know_the_answers(tmp_path):
    import numpy as np

    sampled = {q.question for q in generated_queries(40, (2, 3), np.random.default_rng(0))}
    exam = Reasoning(ReasoningConfig(questions=10, steps=(2, 3)), 1).questions()
    assert {q.task for q in exam} == set(TASKS)
    assert not sampled & {q.prompt for q in exam}
    assert all(is_held_out(q.prompt) for q in exam)
    for teacher in (weak, strong):
        answers = Answers(lambda prompt, teacher=teacher: teacher([{"role": "user", "content": prompt}]))
        evaluator = Reasoning(ReasoningConfig(questions=10, steps=(2, 3)), 1)
        assert evaluator(answers, None, FakeContext(tmp_path)).metrics["told/average"].value == 1.0
    assert solve("What is love?") is None
    assert len(solve(exam[0].prompt).steps) >= 2
