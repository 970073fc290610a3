"""Zero-shot last words: judged by what is most probable, right when they were learned."""

import json
from types import SimpleNamespace

import pytest
import torch

from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.evaluators import (
    LastWordConfig,
)
from omnitrain_phf.evaluators.last_word import LastWord, predict_words, split_last_word


def test_last_words_are_judged_by_what_is_most_probable(predictor):
    assert split_last_word('He said "well done".') == ('He said "well', " done")
    assert split_last_word("one") is None
    with torch.no_grad():
        found = predict_words(predictor, [("some text", " ab"), ("a", " cd")])
    assert all(loss > 0 for _, loss in found)


def learn(predictor, texts, steps=60):
    """Teach a model some texts by heart."""
    tokenizer, model = predictor.tokenizer, predictor.model
    rows = [[predictor.eos_ids[0], *tokenizer(text, add_special_tokens=False).input_ids] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [predictor.eos_ids[0]] * (width - len(row)) for row in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def test_last_words_that_were_learned_are_right_and_others_are_not(plain_predictor, run, tmp_path):
    texts = ["abc def ghi jab", "dab fig had bed", "cab chef jig aide", "a big bad hag"]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, "word"]), "utf-8")
    evaluator = LastWord(LastWordConfig(path=str(path), batch_size=3))
    torch.manual_seed(0)
    before = evaluator(plain_predictor, None, run)
    learn(plain_predictor, texts)
    after = evaluator(plain_predictor, None, run)
    # A text of one word has no context and is left out.
    assert after.metrics["accuracy"].n == 4
    assert before.metrics["accuracy"].value < 0.5
    assert after.metrics["accuracy"].value == 1.0
    assert after.metrics["nll"].value < before.metrics["nll"].value / 3
    path.write_text('{"text": "word"}\n', "utf-8")
    with pytest.raises(DataError, match="two words"):
        evaluator(plain_predictor, None, run)


def test_models_that_are_no_language_models_are_refused(run):
    with pytest.raises(UsageError, match="phf/last-word needs a decoder-only language model"):
        LastWord(LastWordConfig())(SimpleNamespace(model=None), None, run)
