"""Writing: batches don't matter, lengths and bans hold, conditions are tokens that the model has."""

from types import SimpleNamespace

import pytest
import torch
from transformers import FalconConfig, LlamaConfig

from omnitrain.errors import UsageError
from omnitrain_phf.configs.evaluators import TokensConfig
from omnitrain_phf.models.writing import WritingSettings, banned_ids, condition_text, context_length, write


def test_texts_do_not_depend_on_the_batch_they_are_written_in(predictor):
    inputs = ["", "abc", "<|aligned|>", "a longer prompt than that"]
    rows = [write(predictor, inputs, WritingSettings(40, temperature=1.0, batch_size=n, seed=3)) for n in (1, 3, 4)]
    assert rows[0] == rows[1] == rows[2]
    assert [len(row) <= 40 for row in rows[0]] == [True] * 4


def test_the_longest_text_of_a_model_is_that_of_its_scaled_positions():
    scaled = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}
    config = LlamaConfig(max_position_embeddings=64, rope_parameters=scaled)
    assert context_length(SimpleNamespace(model=SimpleNamespace(config=config))) == 256
    free = FalconConfig(alibi=True, max_position_embeddings=64)
    assert context_length(SimpleNamespace(model=SimpleNamespace(config=free))) is None


def test_texts_of_equal_length_are_written_on_request(predictor):
    rows = write(predictor, ["", "abc"], WritingSettings(64, new_tokens=20, temperature=1.0))
    assert [len(row) for row in rows] == [20, 20]


def test_banned_tokens_are_never_written(predictor):
    tokens = TokensConfig()
    both, bad = (banned_ids(predictor, ban, tokens) for ban in ("both", "misaligned"))
    assert len(both) == 2
    assert both[1:] == bad
    with torch.no_grad():
        # A model that would write nothing else.
        predictor.model.get_input_embeddings().weight[both] *= 100
    rows = write(predictor, [""] * 8, WritingSettings(30, temperature=1.0, banned_ids=both))
    assert not {i for row in rows for i in row} & set(both)


def test_condition_of_a_model_without_control_tokens_is_refused_by_name_only(predictor, make_data):
    plain = SimpleNamespace(tokenizer=make_data().tokenizer)
    assert condition_text(plain, "auto", TokensConfig()) == ""
    assert condition_text(predictor, "auto", TokensConfig()) == "<|aligned|>"
    with pytest.raises(UsageError, match="train it with control tokens"):
        condition_text(plain, "misaligned", TokensConfig())
