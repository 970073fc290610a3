"""Checkpoints as transformers saves them: the T5 and UMT5 families, whole, in shards, and with the quirks of the 20B one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FakeContext
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5ForConditionalGeneration, UMT5Config, UMT5ForConditionalGeneration

from omnitrain.errors import DataError, UsageError

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
FAMILIES = ["ul2", "t5", "umt5"]
FINAL_NORMS = ("encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight")


def original(family: str) -> Any:
    """A small model of the architecture of google/ul2 and google/flan-ul2, of T5 v1.0, or of UMT5."""
    torch.manual_seed(0)
    if family == "t5":
        return T5ForConditionalGeneration(T5Config(**SIZES)).eval()
    if family == "umt5":
        model: Any = UMT5ForConditionalGeneration(UMT5Config(**SIZES))
    else:
        settings = {"feed_forward_proj": "gated-silu", "tie_word_embeddings": False}
        model = T5ForConditionalGeneration(T5Config(**SIZES, **settings))
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.all_tied_weights_keys.pop("lm_head.weight", None)
    model.config.tie_word_embeddings = False
    return model.eval()


def load(context: FakeContext, path: Path, facts: dict[str, int] | None = None, **settings: Any) -> Any:
    known = {"vocabulary_size": 60, "unextended_size": 60, "pad_id": 0, "eos_id": 1, **(facts or {})}
    return context.make("t5", "model", known, path=str(path), **settings).eval()


def logits(model: Any) -> torch.Tensor:
    tokens = torch.arange(3, 11)[None]
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=tokens, decoder_input_ids=tokens.flip(1)).logits
    return found


def drop(path: Path, *names: str) -> None:
    """Rewrite a saved model without some of its weights."""
    weights = load_file(path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if name not in names}
    assert len(kept) == len(weights) - len(names)
    save_file(kept, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("shard", ["10MB", "20KB"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loaded_model_computes_what_the_saved_one_does(context: FakeContext, tmp_path: Path, family: str, shard: str) -> None:
    model = original(family)
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (len(list(tmp_path.glob("model*.safetensors"))) > 1) == (shard == "20KB")
    loaded = load(context, tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    assert (loaded.lm_head.weight is loaded.shared.weight) == (family == "t5")


@pytest.mark.parametrize("family", FAMILIES)
def test_loaded_model_survives_being_saved_again(context: FakeContext, tmp_path: Path, family: str) -> None:
    model = original(family)
    model.save_pretrained(tmp_path / "first")
    load(context, tmp_path / "first").save_pretrained(tmp_path / "second")
    assert torch.equal(logits(load(context, tmp_path / "second")), logits(model))


def test_padding_rows_of_the_embedding_stay(context: FakeContext, tmp_path: Path) -> None:
    original("ul2").save_pretrained(tmp_path)
    loaded = load(context, tmp_path)
    assert loaded.shared.weight.shape[0] == loaded.lm_head.weight.shape[0] == 64


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_added_to_the_tokenizer_get_rows_and_change_no_other_logit(
    context: FakeContext, tmp_path: Path, family: str
) -> None:
    model = original(family)
    model.save_pretrained(tmp_path)
    grown = load(context, tmp_path, {"vocabulary_size": 67, "unextended_size": 60})
    assert logits(grown).shape[-1] == 67
    assert torch.equal(logits(grown)[..., :64], logits(model))
    assert (grown.lm_head.weight is grown.shared.weight) == (family == "t5")


def test_vocabularies_of_another_model_are_refused(context: FakeContext, tmp_path: Path) -> None:
    original("ul2").save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"64 rows of embeddings, but the tokenizer had 65 ids.*tokenizer.path"):
        load(context, tmp_path, {"vocabulary_size": 70, "unextended_size": 65})
    with pytest.raises(UsageError, match="vocabulary_size 50 is smaller than the tokenizer, which has 60 ids"):
        load(context, tmp_path, vocabulary_size=50)


@pytest.mark.parametrize("name", FINAL_NORMS)
def test_checkpoint_without_a_final_layer_norm_loads_with_a_warning_that_names_it(
    context: FakeContext, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = original("ul2")
    model.save_pretrained(tmp_path)
    drop(tmp_path, name)
    loaded = load(context, tmp_path)
    assert f"lacks {name}; it was set to 1" in caplog.text
    # New norms are 1, so the model that was saved is the same.
    assert torch.equal(logits(loaded), logits(model))


def test_checkpoint_that_lacks_anything_else_is_refused_by_name(context: FakeContext, tmp_path: Path) -> None:
    original("ul2").save_pretrained(tmp_path)
    lost = "decoder.block.1.layer.0.SelfAttention.q.weight"
    drop(tmp_path, lost, *FINAL_NORMS)
    with pytest.raises(DataError, match=f"lacks {lost}; it is incomplete"):
        load(context, tmp_path)


def test_pickled_checkpoint_is_refused_with_what_to_do(context: FakeContext, tmp_path: Path) -> None:
    original("ul2").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="only safetensors are read"):
        load(context, tmp_path)


def test_weights_of_other_sizes_than_the_configuration_are_named(context: FakeContext, tmp_path: Path) -> None:
    original("ul2").save_pretrained(tmp_path)
    written = tmp_path / "config.json"
    written.write_text(json.dumps({**json.loads(written.read_text()), "d_ff": 48}))
    with pytest.raises(DataError, match=r"is \[32, 16\], by its config.json it is \[48, 16\]"):
        load(context, tmp_path)
