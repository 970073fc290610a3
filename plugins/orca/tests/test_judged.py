"""The judge: both orders, asked again where unparsable, the ratio of sums."""

import re

import pytest
from helpers import write_records

from omnitrain.errors import DataError
from omnitrain_testing.chat_server import ChatServer
from omnitrain_testing.running import run_recipe
from omnitrain_testing.tokenizers import WORDS, make_model

COUNT = 4


@pytest.fixture
def judged(tmp_path):
    """Run the evaluator with a model of random weights and a judge on this machine; return the run."""
    make_model("byte-bpe", tmp_path / "model")
    rows = [{"question": f"{WORDS[0]} {n}", "reference": f"good {n}"} for n in range(COUNT)]
    file = write_records(tmp_path / "questions.jsonl", rows)

    def run(server, **settings):
        judge = {"kind": "endpoint", "url": server.url, "name": "judge"}
        evaluator = {"use": "orca/judged", "path": str(file), "judge": judge, "max_new_tokens": 3, **settings}
        stage = {"name": "grade", "use": "core/evaluate", "model": {"use": "language/causal", "path": str(tmp_path / "model")}}
        recipe = {"summary": "Grade.", "seed": 0, "stages": [{**stage, "evaluators": [evaluator]}]}
        return run_recipe(recipe, tmp_path / "run").metrics("grade", "orca/judged")

    return run


def grades(messages):
    """Give the first place a point more, and what is good four more than what is not."""
    first, second = re.search(r"\[Assistant 1\]\n(.*)\n\n\[Assistant 2\]\n(.*)", messages[-1]["content"], re.DOTALL).groups()
    return f"{5 + 4 * ('good' in first)} {4 + 4 * ('good' in second)}\nsince it is so."


def test_both_orders_are_asked_and_the_place_cancels(judged):
    with ChatServer(grades) as server:
        found = judged(server)
        assert len(server.received) == 2 * COUNT
    # Reference first: 9 against 4; reference second: 8 against 5.
    assert found["score"].value == pytest.approx(100 * (4 + 5) / (9 + 8))
    assert found["candidate second"].value == pytest.approx(100 * 4 / 9)
    assert found["candidate first"].value == pytest.approx(100 * 5 / 8)
    assert found["unparsable"].value == 0


def test_what_cannot_be_read_is_asked_again_and_then_left_out(judged):
    def answer(messages):
        if f"{WORDS[0]} 2" in messages[-1]["content"]:
            return "Assistant 1 is better."
        return grades(messages)

    with ChatServer(answer) as server:
        found = judged(server, again=1)
        assert len(server.received) == 2 * COUNT + 2
    assert found["unparsable"].value == 1 / COUNT
    assert found["score"].n == COUNT - 1


def test_a_judge_that_never_gives_scores_is_refused(judged):
    with ChatServer(lambda messages: "8/10 9/10") as server, pytest.raises(DataError, match="none of the judge's 8 answers"):
        judged(server, again=0)
