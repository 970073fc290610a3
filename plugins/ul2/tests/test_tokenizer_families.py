"""Denoising on tokenizers of the six families that people bring: GPT-2's without padding, Qwen's with padding = end, T5's."""

import json

import pytest
import torch

from omnitrain.api import BatchPlan
from omnitrain.errors import UsageError
from omnitrain_language.configs.data import TextConfig
from omnitrain_language.configs.models import CausalConfig, T5Config
from omnitrain_language.data.text import TextData
from omnitrain_language.losses import token_cross_entropy
from omnitrain_language.models import build_causal, build_t5
from omnitrain_language.objectives import model_inputs
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.tokenizers import FAMILIES, documents, make_model
from omnitrain_ul2.configs.data import DenoisingConfig
from omnitrain_ul2.data.denoising import DenoisingData


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"{text} {number}"}) + "\n" for number, text in enumerate(documents())), "utf-8"
    )
    return TextConfig(path=str(path), valid_fraction=0.2, test_fraction=0)


def prepared(folder, text, workspace, **settings):
    settings = {"inputs_length": 48, "tokenizer": {"path": str(folder), "sentinels": 24}, **settings}
    data = DenoisingData(DenoisingConfig.model_validate(settings), TextData(text))
    context = FakeContext(workspace)
    data.prepare(context.workspace, context)
    return data, FakeContext(workspace, data.facts())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_denoising_on_every_family(family, text, tmp_path):
    make_model(family, tmp_path / family)
    layout = "encoder-decoder" if family == "unigram" else "decoder-only"
    data, context = prepared(tmp_path / family, text, tmp_path / "work", layout=layout)
    vocabulary = data.vocabulary
    sentinels = range(vocabulary.first_sentinel, vocabulary.first_sentinel - vocabulary.sentinels, -1)
    assert data.tokenizer.convert_ids_to_tokens(list(sentinels)) == [f"<extra_id_{i}>" for i in range(vocabulary.sentinels)]
    assert vocabulary.first_sentinel < data.facts()["vocabulary_size"] == len(data.token_counts("train"))
    build, config = (build_t5, T5Config) if family == "unigram" else (build_causal, CausalConfig)
    model = build(config(path=str(tmp_path / family)), context)
    batch = next(iter(data.batches("train", BatchPlan(4, 0))))
    _, nll = token_cross_entropy(model(**model_inputs(batch), use_cache=False).logits, batch["labels"])
    loss = (nll * batch["loss_weights"]).sum()
    loss.backward()
    assert torch.isfinite(loss)
    # The end of every target is learned, also where padding has the same id.
    ends = (batch["labels"] == vocabulary.eos_id) & (batch["loss_weights"] > 0)
    assert (ends.sum(dim=1) >= 1).all()


@pytest.mark.parametrize("family", ["byte-bpe", "chat"])
def test_an_encoder_decoder_needs_padding_and_is_told_how_to_get_it(family, text, tmp_path):
    FAMILIES[family](tmp_path / family)
    with pytest.raises(UsageError, match=r"no padding token beside.*tokenizer.extra_tokens: \['<pad>'\]"):
        prepared(tmp_path / family, text, tmp_path / "work")
    settings = {"path": str(tmp_path / family), "sentinels": 24, "extra_tokens": ["<pad>"]}
    data, _ = prepared(tmp_path / family, text, tmp_path / "work", tokenizer=settings)
    assert data.vocabulary.pad_id == data.tokenizer.convert_tokens_to_ids("<pad>") != data.vocabulary.eos_id


def test_a_tokenizer_with_a_hundred_sentinels_is_told_what_helps(text, tmp_path):
    FAMILIES["unigram"](tmp_path / "t5")
    settings = {"path": str(tmp_path / "t5")}
    with pytest.raises(UsageError, match=r"has 100: set inputs_length to about \d+% of what it is"):
        prepared(tmp_path / "t5", text, tmp_path / "work", inputs_length=512, tokenizer=settings)
