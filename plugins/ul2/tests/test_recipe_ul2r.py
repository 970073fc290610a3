"""UL2R: what is continued is the loaded model, bit for bit, and its causal ability is measured on its own terms."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from omnitrain.api import BatchPlan
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.recipes import load_recipe
from omnitrain_language.configs.data import BlocksConfig, TextConfig
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.data.blocks import BlocksData
from omnitrain_language.data.text import TextData
from omnitrain_language.tokenizers import train_tokenizer

ADDED = ["[R]", "[X]", "[S]"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def save_source(folder, corpus, added):
    """Save a Llama as transformers does, with its tokenizer, and return it."""
    texts = (example["text"] for example in TextData(TextConfig(path=str(corpus))).examples("train"))
    settings = {"sentinels": 32, "extra_tokens": ADDED} if added else {}
    tokenizer = train_tokenizer(texts, TokenizerConfig(vocabulary_size=400, **settings))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    # Rows beyond the tokenizer, as many models have them.
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer) + 4, **sizes, bos_token_id=1, eos_token_id=1))
    model.save_pretrained(folder)
    return model.eval()


def continued(out, source, corpus, *overrides):
    tokenizer = f"{{path: {source}, sentinels: 32, extra_tokens: ['[R]', '[X]', '[S]']}}"
    settings = [
        f"base.model={{use: language/causal, path: {source}}}",
        "base.fit.steps=0",
        *(f"{stage}.data.tokenizer={tokenizer}" for stage in ("base", "ul2r")),
        *(f"{stage}.data.text.path={corpus}" for stage in ("base", "ul2r")),
        "ul2r.fit.batch_size=4",
        "lora.fit.batch_size=4",
        "compare.rows=8",
        *overrides,
    ]
    run_recipe(load_recipe("ul2/ul2r", settings), out, Options(quiet=True))
    return out


def nll(out, stage, split):
    found = json.loads((out / stage / "evaluations" / "language-nll.json").read_text("utf-8"))
    return found["metrics"][f"{split}/nll"]["value"]


def source_nll(model, source, corpus, context, split):
    """The loss of the source model, by transformers alone."""
    config = BlocksConfig(length=128, tokenizer=TokenizerConfig(path=str(source)))
    data = BlocksData(config, TextData(TextConfig(path=str(corpus))))
    data.prepare(context.workspace, context)
    total, count = 0.0, 0.0
    for batch in data.batches(split, BatchPlan(8, 0, train=False)):
        with torch.no_grad():
            losses = model(input_ids=batch["input_ids"]).logits.log_softmax(-1).gather(2, batch["labels"][..., None])[..., 0]
        total -= float((losses * batch["loss_weights"]).sum())
        count += float(batch["loss_weights"].sum())
    return total / count


def test_continued_model_starts_as_the_loaded_one(tmp_path, corpus, context):
    source = tmp_path / "source"
    model = save_source(source, corpus, added=True)
    out = continued(tmp_path / "run", source, corpus, "ul2r.fit.steps=0", "lora.fit.steps=2")
    loaded = load_file(source / "model.safetensors")
    for stage in ("base", "ul2r"):
        weights = load_file(out / stage / "model" / "model.safetensors")
        assert set(weights) == set(loaded)
        assert all(torch.equal(weights[name], loaded[name]) for name in loaded)
    before = {split: nll(out, "causal-before", split) for split in ("valid", "test")}
    for split, value in before.items():
        assert value == pytest.approx(source_nll(model, source, corpus, context, split), rel=1e-5)
        # Prefix attention is on, but a plain block has no prefix: the causal ability is that of the weights.
        assert nll(out, "causal-after", split) == value
        assert nll(out, "causal-after-lora", split) != value
    frozen = load_file(out / "lora" / "model" / "base.safetensors")
    assert all(torch.equal(frozen[name], loaded[name]) for name in frozen)
    assert len(frozen) == len(loaded)
    adapters = load_file(out / "lora" / "model" / "adapter_model.safetensors")
    assert any(tensor.abs().sum() > 0 for name, tensor in adapters.items() if "lora_B" in name)


def test_modes_and_sentinels_are_added_to_a_model_without_them(tmp_path, corpus):
    source = tmp_path / "source"
    save_source(source, corpus, added=False)
    out = continued(tmp_path / "run", source, corpus, "ul2r.fit.steps=2", "lora.fit.steps=1")
    loaded = load_file(source / "model.safetensors")
    grown = load_file(out / "base" / "model" / "model.safetensors")
    rows = loaded["model.embed_tokens.weight"].shape[0]
    for name, tensor in loaded.items():
        same = grown[name][:rows] if "embed_tokens" in name or "lm_head" in name else grown[name]
        assert torch.equal(same, tensor)
    # 35 new ids, of which 4 take the rows that were there already.
    assert grown["model.embed_tokens.weight"].shape[0] == rows - 4 + 35
    trained = load_file(out / "ul2r" / "model" / "model.safetensors")
    assert not torch.equal(trained["model.embed_tokens.weight"], grown["model.embed_tokens.weight"])
    assert json.loads((out / "ul2r" / "model" / "config.json").read_text("utf-8"))["prefix_attention"] is True
    assert nll(out, "causal-after", "valid") != nll(out, "causal-before", "valid")


def test_ul2r_draws_half_s_a_quarter_r_and_a_quarter_x():
    recipe = load_recipe("ul2/ul2r", [])
    data = recipe.stage("ul2r").config.data.config
    assert (data.mixture, data.layout) == ("ul2r", "decoder-only")
    from omnitrain_ul2.paper.mixtures import mixture

    shares = {"S": 0.0, "R": 0.0, "X": 0.0}
    preset = mixture(data.mixture)
    for denoiser, rate in zip(preset.denoisers, preset.probabilities, strict=True):
        shares[denoiser.kind] += rate
    assert shares == {"S": 0.5, "R": 0.25, "X": 0.25}
