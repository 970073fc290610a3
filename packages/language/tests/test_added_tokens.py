"""LoRA on a loaded model whose tokenizer was given tokens: their rows are trained, kept, loaded, merged, whatever the stage."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from omnitrain.engine import save_model, weights_digest
from omnitrain.engine.models import restore_weights
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_language.configs.models import CausalConfig, T5Config
from omnitrain_language.models import build_causal, build_t5
from omnitrain_language.tokenizers import load_tokenizer, tokenizer_facts
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.tokenizers import make_model

ADDED = ["[R]", "[S]", "[X]"]
FAMILIES = ("byte-bpe", "dummy-prefix", "unigram", "untied", "untied-t5")


def base_of(family: str, folder: Path) -> Path:
    """Write a model of a family, with a head of its own where its name says so."""
    from transformers import AutoModelForSeq2SeqLM, LlamaConfig, LlamaForCausalLM

    make_model({"untied": "dummy-prefix", "untied-t5": "unigram"}.get(family, family), folder)
    if family == "untied":
        rows = len(load_tokenizer(folder))
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        LlamaForCausalLM(LlamaConfig(vocab_size=rows, **sizes, tie_word_embeddings=False)).save_pretrained(folder)
    if family == "untied-t5":
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder)
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
        model.all_tied_weights_keys.pop("lm_head.weight", None)
        model.config.tie_word_embeddings = False
        model.save_pretrained(folder)
    return folder


def built(base: Path, workspace: Path, seed: int = 0, **settings: Any) -> Any:
    """Build a model with LoRA for a tokenizer with added tokens, as a stage with that seed does."""
    tokenizer = load_tokenizer(base)
    tokenizer.add_special_tokens({"extra_special_tokens": ADDED}, replace_extra_special_tokens=False)
    context = FakeContext(workspace, facts=tokenizer_facts(tokenizer), run_seed=seed)
    settings = {"path": str(base), "lora": {"rank": 2}, **settings}
    seq2seq = json.loads((base / "config.json").read_text())["model_type"] == "t5"
    config = (T5Config if seq2seq else CausalConfig).model_validate(settings)
    return (build_t5 if seq2seq else build_causal)(config, context).eval()


def inputs(model: Any) -> dict[str, torch.Tensor]:
    """Ids with all added tokens among them."""
    last = model.get_input_embeddings().weight.shape[0] - 1
    ids = torch.tensor([[5, last, 7, last - 1, 9, last - 2]])
    return {"input_ids": ids, **({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {})}


def trained(model: Any) -> Any:
    """Change everything that is trained, after a backward pass has reached it."""
    model(**inputs(model)).logits.square().mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_added_tokens_are_trained_and_are_the_same_at_every_load(tmp_path: Path, family: str) -> None:
    base = base_of(family, tmp_path / "base")
    model = trained(built(base, tmp_path))
    untied = family.startswith("untied")
    assert sum(p.shape[0] == len(ADDED) for n, p in model.named_parameters() if "trainable_tokens" in n) == 1 + untied
    expected = model(**inputs(model)).logits
    save_model(model, tmp_path / "saved", {})
    for seed in (0, 1):
        again = built(base, tmp_path, seed)
        restore_weights(again, tmp_path / "saved")
        assert torch.equal(again(**inputs(again)).logits, expected)
        assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)
    merged = again.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    plain = type(merged).from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(plain(**inputs(plain)).logits, expected, rtol=1e-4, atol=1e-4)


def test_checkpoints_hold_the_added_rows(tmp_path: Path) -> None:
    base = base_of("byte-bpe", tmp_path / "base")
    model = trained(built(base, tmp_path))
    again = built(base, tmp_path)
    again.load_saved_state(model.saved_state())
    assert torch.equal(again(**inputs(again)).logits, model(**inputs(model)).logits)
    assert weights_digest(again) == weights_digest(model)


def test_tokens_in_spare_rows_are_trained_too(tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    base = base_of("byte-bpe", tmp_path / "base")
    padded = GPT2LMHeadModel.from_pretrained(base)
    padded.resize_token_embeddings(512, mean_resizing=False)
    padded.save_pretrained(base)
    model = built(base, tmp_path)
    assert model.get_input_embeddings().weight.shape[0] == 512
    assert [p.shape[0] for n, p in model.named_parameters() if "trainable_tokens" in n] == [len(ADDED)]


def test_adapters_on_a_replaced_base_are_refused(tmp_path: Path) -> None:
    base = base_of("byte-bpe", tmp_path / "base")
    save_model(built(base, tmp_path), tmp_path / "saved", {})
    make_model("byte-bpe", base, seed=1)
    with pytest.raises(DataError, match="were trained on other weights"):
        restore_weights(built(base, tmp_path), tmp_path / "saved")


def test_adapters_of_another_shape_are_refused_not_dropped(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = base_of("byte-bpe", tmp_path / "base")
    save_model(built(base, tmp_path), tmp_path / "saved", {})
    file = tmp_path / "saved" / "adapter_model.safetensors"
    entries = load_file(file)
    first = next(iter(entries))
    save_file({name: tensor for name, tensor in entries.items() if name != first}, file)
    with pytest.raises(EnvironmentFault, match="missing"):
        restore_weights(built(base, tmp_path), tmp_path / "saved")


@pytest.mark.parametrize(
    ("lora", "setting"),
    [
        ({"rank": 3}, "rank"),
        ({"rank": 2, "alpha": 32}, "alpha"),
        ({"rank": 2, "rank_stabilised": True}, "rank_stabilised"),
        ({"rank": 2, "target_modules": ["c_proj"]}, "target_modules"),
        ({"rank": 2, "also_train": ["embeddings", "head"]}, "also_train"),
        (None, "leave lora out beside 'from'"),
    ],
)
def test_saved_adapters_are_not_taken_with_other_settings(tmp_path: Path, lora: dict[str, Any] | None, setting: str) -> None:
    base = base_of("byte-bpe", tmp_path / "base")
    save_model(built(base, tmp_path), tmp_path / "saved", {})
    with pytest.raises(UsageError, match=setting):
        restore_weights(built(base, tmp_path, lora=lora), tmp_path / "saved")


def test_a_base_that_is_gone_is_named(tmp_path: Path) -> None:
    base = base_of("byte-bpe", tmp_path / "base")
    save_model(built(base, tmp_path), tmp_path / "saved", {})
    facts = tokenizer_facts(load_tokenizer(base))
    shutil.move(base, tmp_path / "elsewhere")
    context = FakeContext(tmp_path, facts=facts, saved=tmp_path / "saved")
    with pytest.raises(DataError, match=r"the adapters in .*saved need the model .* there is no such folder"):
        build_causal(CausalConfig.model_validate({"path": str(base), "lora": {}}), context)


def test_all_files_of_a_saved_model_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    import os

    base = base_of("byte-bpe", tmp_path / "base")
    mask = os.umask(0o027)
    try:
        save_model(built(base, tmp_path), tmp_path / "saved", {})
    finally:
        os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "saved").iterdir()} == {0o640}
