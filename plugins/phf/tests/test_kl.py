"""KL from a reference."""

import json

import pytest
import torch

from omnitrain.errors import DataError
from omnitrain_phf.configs.evaluators import KlConfig
from omnitrain_phf.evaluators.kl import Kl
from omnitrain_phf.paper.kl import insert_prefix


def test_model_is_no_distance_away_from_itself_also_on_short_texts(predictor, run, tmp_path):
    evaluator = Kl(KlConfig(texts="none", condition="none", batch_size=2))
    texts = ["a", "some more words", "x", "and even more of these words"]
    own = evaluator._logprobs(predictor, texts, "", run)
    path = tmp_path / "reference.jsonl"
    path.write_text("".join(json.dumps({"text": t, "logprob": p}) + "\n" for t, p in zip(texts, own, strict=True)), "utf-8")
    found = Kl(KlConfig(texts=str(path), condition="none", batch_size=4))(predictor, None, run)
    assert found.metrics["kl"].value == pytest.approx(0, abs=1e-5)
    path.write_text('{"text": "a"}\n', "utf-8")
    with pytest.raises(DataError, match=r"reference\.jsonl:1: expected"):
        Kl(KlConfig(texts=str(path), condition="none"))(predictor, None, run)


def test_control_tokens_are_context_and_not_counted_in_kl(predictor, run):
    evaluator = Kl(KlConfig(texts="none"))
    control = predictor.token_id("<|aligned|>")
    text = insert_prefix("first\nsecond", "<|aligned|>", each_line=True)
    assert text == "<|aligned|>first\n<|aligned|>second"
    (found,) = evaluator._logprobs(predictor, [text], "<|aligned|>", run)
    ids = torch.tensor([[predictor.eos_ids[0], *predictor.tokenizer(text, add_special_tokens=False).input_ids]])
    log_p = torch.log_softmax(predictor.model(input_ids=ids).logits[0, :-1].float(), -1)
    counted = log_p.gather(-1, ids[0, 1:, None])[:, 0][ids[0, 1:] != control]
    assert found == pytest.approx(float(counted.sum().detach()), rel=1e-4)
