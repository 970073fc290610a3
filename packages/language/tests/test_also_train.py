"""Embedding and head that are trained whole beside adapters: kept, loaded, switched off, merged; heads of their own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FakeContext
from test_added_tokens import FAMILIES, base_of, built, inputs, trained

from omnitrain.engine import save_model
from omnitrain.engine.models import restore_weights
from omnitrain.errors import UsageError
from omnitrain_language.configs.models import CausalConfig
from omnitrain_language.models import build_causal
from omnitrain_language.switching import adapter_layers, adapters_off
from omnitrain_testing.tokenizers import make_model

FACTS = {"vocabulary_size": 61, "pad_id": 0, "eos_id": 1}
BOTH = {"rank": 2, "also_train": ["embeddings", "head"]}
IDS = torch.tensor([[3, 9, 27, 5]])


def causal(context: FakeContext, **settings: Any) -> Any:
    return context.make("causal", "model", FACTS, **{"size": "tiny", "max_length": 32, **settings}).eval()


def logits(model: Any, given: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(**(given or {"input_ids": IDS})).logits
        return found


@pytest.mark.parametrize("family", FAMILIES)
def test_they_are_trained_kept_switched_off_and_merged_in_every_family(tmp_path: Path, family: str) -> None:
    base = base_of(family, tmp_path / "base")
    model = built(base, tmp_path, lora=BOTH)
    given, before = inputs(model), logits(model, inputs(model))
    rows = model.get_input_embeddings().weight.shape[0]
    whole = [n for n, p in model.named_parameters() if p.requires_grad and p.shape[0] == rows]
    assert len(whole) == 1 + family.startswith("untied")
    assert not [n for n in model.state_dict() if "trainable_tokens" in n]
    tuned = logits(trained(model), given)
    with adapters_off(model):
        torch.testing.assert_close(logits(model, given), before, rtol=0, atol=1e-6)
    save_model(model, tmp_path / "saved", {})
    again = built(base, tmp_path, seed=0, lora=BOTH)
    restore_weights(again, tmp_path / "saved")
    assert torch.equal(logits(again, given), tuned)
    resumed = built(base, tmp_path, seed=0, lora=BOTH)
    resumed.load_saved_state(model.saved_state())
    assert torch.equal(logits(resumed, given), tuned)
    merged = again.merge_and_unload()
    torch.testing.assert_close(logits(merged, given), tuned, rtol=0, atol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    plain = type(merged).from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(plain, given), tuned, rtol=0, atol=1e-5)


def test_a_head_alone_is_trained_whole_and_of_the_embedding_the_added_rows(tmp_path: Path) -> None:
    model = trained(built(base_of("untied", tmp_path / "base"), tmp_path, lora={"rank": 2, "also_train": ["head"]}))
    trainable = [name for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name]
    assert sorted(trainable) == [
        "base_model.model.lm_head.modules_to_save.default.weight",
        "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta.default",
    ]


@pytest.mark.parametrize("style", ["gpt2", "llama"])
@pytest.mark.parametrize("untied", [False, True])
def test_the_frozen_weights_beside_them_have_the_names_of_the_plain_model(
    context: FakeContext, tmp_path: Path, style: str, untied: bool
) -> None:
    from safetensors.torch import load_file

    settings = {"style": style, "untied": untied}
    plain, model = causal(context, **settings), causal(context, **settings, lora=BOTH)
    assert (plain.get_output_embeddings().weight is plain.get_input_embeddings().weight) is not untied
    before = logits(plain)
    assert torch.equal(logits(model), before)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    model.save(tmp_path / "adapted")
    stored = load_file(tmp_path / "adapted" / "base.safetensors")
    own = plain.state_dict()
    assert {own[name].data_ptr() for name in stored} == {tensor.data_ptr() for tensor in own.values()}
    assert all(torch.equal(stored[name], own[name]) for name in stored)
    again = causal(FakeContext(context.workspace, run_seed=5), **settings, lora=BOTH)
    again.restore(tmp_path / "adapted")
    assert torch.equal(logits(again), logits(model))
    with adapters_off(again):
        torch.testing.assert_close(logits(again), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("untied", [False, True])
def test_fresh_copies_begin_with_the_weights_of_the_earlier_stage(context: FakeContext, tmp_path: Path, untied: bool) -> None:
    plain = causal(context, style="llama", untied=untied)
    plain.save_pretrained(tmp_path / "plain")
    model = causal(FakeContext(context.workspace, run_seed=5), style="llama", untied=untied, lora=BOTH)
    model.restore(tmp_path / "plain")
    torch.testing.assert_close(logits(model), logits(plain), rtol=0, atol=1e-6)


def test_a_loaded_head_is_untied_and_stays_so_when_it_is_saved(tmp_path: Path) -> None:
    make_model("chat", tmp_path / "base")
    config = CausalConfig.model_validate({"path": str(tmp_path / "base"), "untied": True})
    model = build_causal(config, FakeContext(tmp_path)).eval()
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    model.save_pretrained(tmp_path / "untied")
    again = build_causal(config.model_copy(update={"path": str(tmp_path / "untied")}), FakeContext(tmp_path)).eval()
    assert torch.equal(logits(again), logits(model))
    assert not torch.equal(again.lm_head.weight, again.model.embed_tokens.weight)


def test_a_model_on_saved_weights_keeps_what_ends_its_texts(tmp_path: Path) -> None:
    make_model("chat", tmp_path / "base")
    settings = {"path": str(tmp_path / "base"), "lora": {"rank": 2}}
    model = build_causal(CausalConfig.model_validate(settings), FakeContext(tmp_path))
    model.own_base = True  # as after a stage that trained all of it
    model.save(tmp_path / "adapted")
    again = build_causal(CausalConfig.model_validate(settings), FakeContext(tmp_path, saved=tmp_path / "adapted"))
    assert again.generation_config.eos_token_id == model.generation_config.eos_token_id
    assert len(again.generation_config.eos_token_id) == 2


def test_a_rank_stabilised_update_is_scaled_by_the_root_of_the_rank(context: FakeContext) -> None:
    model = causal(context, lora={"rank": 4, "alpha": 8, "rank_stabilised": True})
    scales = {layer.scaling["default"] for layer in adapter_layers(model)}
    assert scales == {8 / 4**0.5}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lora": {"also_train": ["embeddings"]}}, r"also_train: \[embeddings, head\].*untied: true"),
        ({"lora": {"also_train": ["head"]}}, r"head can't be trained alone"),
        ({"untied": True, "lora": {"also_train": ["head"], "target_modules": ["lm_head"]}}, r"lm_head.*take it out of one"),
    ],
)
def test_what_is_not_certain_is_refused(context: FakeContext, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        causal(context, **settings)
