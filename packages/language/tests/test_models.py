from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FakeContext

from omnitrain.errors import DataError, UsageError
from omnitrain_language.masks import accepts_masks, causal_mask

FACTS = {"vocabulary_size": 61, "pad_id": 0, "eos_id": 1}
STYLES = ["gpt2", "llama"]


def causal(context: FakeContext, **settings: Any) -> Any:
    return context.make("causal", "model", FACTS, **{"size": "tiny", "max_length": 32, **settings}).eval()


def t5(context: FakeContext, **settings: Any) -> Any:
    return context.make("t5", "model", FACTS, **{"size": "tiny", **settings}).eval()


def ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 61, shape, generator=torch.Generator().manual_seed(seed))


def changed(model: Any, inputs: dict[str, torch.Tensor], name: str, position: int) -> list[int]:
    """Positions whose logits change when one token changes."""
    with torch.no_grad():
        before = model(**inputs).logits
        other = inputs[name].clone()
        other[:, position] = (other[:, position] + 7) % 61
        after = model(**{**inputs, name: other}).logits
    return [int(i) for i in torch.nonzero((before - after).abs().amax(dim=(0, 2)) > 1e-6)[:, 0]]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("style", STYLES)
def test_packed_neighbours_do_not_influence_each_other(context: FakeContext, style: str, attention: str) -> None:
    model = causal(context, style=style, attention=attention)
    tokens = ids(1, 9)
    segments = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 0, 0]])
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0, 0]])
    inputs = {"input_ids": tokens, "segment_ids": segments, "position_ids": positions}
    assert changed(model, inputs, "input_ids", 1) == [1, 2, 3]
    assert changed(model, inputs, "input_ids", 5) == [5, 6]
    with torch.no_grad():
        packed = model(**inputs).logits
        alone = model(input_ids=tokens[:, 4:7]).logits
    assert torch.isfinite(packed).all()
    torch.testing.assert_close(packed[:, 4:7], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("style", STYLES)
def test_inputs_see_all_inputs_and_targets_never_later_targets(context: FakeContext, style: str) -> None:
    model = causal(context, style=style, prefix_attention=True)
    prefix = torch.tensor([[True] * 4 + [False] * 4])
    inputs = {"input_ids": ids(1, 8), "prefix_mask": prefix, "attention_mask": torch.ones(1, 8, dtype=torch.bool)}
    assert changed(model, inputs, "input_ids", 3) == list(range(8))
    assert changed(model, inputs, "input_ids", 4) == [4, 5, 6, 7]
    assert changed(model, inputs, "input_ids", 6) == [6, 7]
    without = causal(context, style=style, prefix_attention=False)
    assert changed(without, inputs, "input_ids", 3) == [3, 4, 5, 6, 7]


def test_packed_prefixes_stay_inside_their_segments() -> None:
    segments = torch.tensor([[1, 1, 1, 2, 2, 2, 0]])
    prefix = torch.tensor([[True, True, False, True, True, False, False]])
    allowed = causal_mask(7, segments, prefix)[0, 0]
    expected = torch.tensor(
        [
            [1, 1, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 0, 0],
            [0, 0, 0, 1, 1, 0, 0],
            [0, 0, 0, 1, 1, 1, 0],
            [0, 0, 0, 0, 0, 0, 1],
        ]
    ).bool()
    assert torch.equal(allowed, expected)


def test_padding_without_any_key_stays_finite(context: FakeContext) -> None:
    model = causal(context, prefix_attention=True)
    mask = torch.tensor([[False, False, True, True]])
    out = model(input_ids=ids(1, 4), attention_mask=mask, prefix_mask=mask)
    assert torch.isfinite(out.logits).all()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("adapters", [False, True])
def test_packed_encoder_decoder_equals_its_examples_alone(context: FakeContext, attention: str, adapters: bool) -> None:
    settings: dict[str, Any] = {"lora": {"rank": 2}} if adapters else {}
    model = t5(context, attention=attention, **settings)
    sources, targets = ids(1, 7), ids(1, 8, seed=1)
    inputs = {
        "input_ids": sources,
        "decoder_input_ids": targets,
        "input_segment_ids": torch.tensor([[1, 1, 1, 2, 2, 0, 0]]),
        "target_segment_ids": torch.tensor([[1, 1, 1, 1, 2, 2, 2, 0]]),
    }
    assert changed(model, inputs, "input_ids", 1) == [0, 1, 2, 3, 7] or adapters
    with torch.no_grad():
        packed = model(**inputs).logits
        first = model(input_ids=sources[:, :3], decoder_input_ids=targets[:, :4]).logits
        second = model(input_ids=sources[:, 3:5], decoder_input_ids=targets[:, 4:7]).logits
    assert torch.isfinite(packed).all()
    torch.testing.assert_close(packed[:, :4], first, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(packed[:, 4:7], second, atol=1e-4, rtol=1e-4)


def test_t5_head_is_untied_and_survives_saving(context: FakeContext, tmp_path: Path) -> None:
    model = t5(context)
    assert model.lm_head.weight is not model.shared.weight
    assert model.encoder.embed_tokens.weight is model.shared.weight is model.decoder.embed_tokens.weight
    assert 0.5 < model.lm_head.weight.std() * 64**0.5 < 2
    model.save_pretrained(tmp_path)
    loaded = t5(context, path=str(tmp_path))
    assert loaded.lm_head.weight is not loaded.shared.weight
    inputs = {"input_ids": ids(2, 5), "decoder_input_ids": ids(2, 4)}
    assert torch.equal(model(**inputs).logits, loaded(**inputs).logits)
    assert not loaded.config.scale_decoder_outputs


@pytest.mark.parametrize("style", STYLES)
def test_causal_model_survives_saving_with_its_prefix_attention(context: FakeContext, tmp_path: Path, style: str) -> None:
    model = causal(context, style=style, prefix_attention=True)
    model.save_pretrained(tmp_path)
    loaded = causal(context, path=str(tmp_path), prefix_attention=True)
    inputs = {"input_ids": ids(1, 6), "prefix_mask": torch.tensor([[True] * 3 + [False] * 3])}
    assert torch.equal(model(**inputs).logits, loaded(**inputs).logits)


def test_same_seed_gives_same_weights_and_leaves_the_global_generator(context: FakeContext) -> None:
    before = torch.get_rng_state()
    first, second = causal(context), causal(context)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = causal(FakeContext(context.workspace, run_seed=1))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_ul2_20b_on_the_meta_device_has_the_parameters_of_its_published_sizes(context: FakeContext) -> None:
    with torch.device("meta"):
        model = context.make("t5", "model", {}, size="ul2-20b", dtype="bfloat16")
    width, feed_forward, heads, buckets, rows = 4096, 16384, 16, 32, 32128
    attention, dense = 4 * width * 16 * 256, 3 * width * feed_forward
    encoder = 32 * (attention + dense + 2 * width) + width + buckets * heads
    decoder = 32 * (2 * attention + dense + 3 * width) + width + buckets * heads
    assert sum(p.numel() for p in model.parameters()) == encoder + decoder + 2 * rows * width
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_gpt2_small_has_gpt2s_number_of_parameters(context: FakeContext) -> None:
    with torch.device("meta"):
        model = context.make("causal", "model", {}, size="small")
    assert sum(p.numel() for p in model.parameters()) == 124_439_808


def test_saved_model_is_described_on_the_meta_device(context: FakeContext, tmp_path: Path) -> None:
    causal(context).save_pretrained(tmp_path)
    with torch.device("meta"):
        model = causal(context, path=str(tmp_path))
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_vocabulary_comes_from_facts_is_padded_and_grows_a_loaded_model(context: FakeContext, tmp_path: Path) -> None:
    model = causal(context, pad_vocabulary_to=64)
    assert model.get_input_embeddings().weight.shape[0] == 64
    assert causal(context, vocabulary_size=70).get_input_embeddings().weight.shape[0] == 70
    small = causal(context)
    small.save_pretrained(tmp_path)
    grown = context.make("causal", "model", {**FACTS, "vocabulary_size": 80}, path=str(tmp_path))
    assert grown.get_input_embeddings().weight.shape[0] == 80
    assert torch.equal(grown.get_input_embeddings().weight[:61], small.get_input_embeddings().weight)


@pytest.mark.parametrize("kind", ["t5", "gpt2", "llama"])
def test_adapters_alone_are_trained_and_saved(context: FakeContext, tmp_path: Path, kind: str) -> None:
    lora = {"lora": {"rank": 2}}

    def make() -> Any:
        return t5(context, **lora) if kind == "t5" else causal(context, style=kind, **lora)

    model = make()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    assert set(model.saved_state()) == trainable
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=torch.Generator().manual_seed(3))
    fresh = make()
    fresh.load_saved_state(model.saved_state())
    inputs = {"input_ids": ids(1, 5)} | ({"decoder_input_ids": ids(1, 3)} if kind == "t5" else {})
    assert torch.equal(fresh(**inputs).logits, model(**inputs).logits)
    with pytest.raises(DataError):
        fresh.load_saved_state({})
    assert accepts_masks(model)


@pytest.mark.parametrize("kind", ["t5", "gpt2", "llama"])
def test_model_with_adapters_is_complete_in_its_folder(context: FakeContext, tmp_path: Path, kind: str) -> None:
    def make(run_seed: int, **settings: Any) -> Any:
        other = FakeContext(context.workspace, run_seed=run_seed)
        return t5(other, **settings) if kind == "t5" else causal(other, style=kind, **settings)

    inputs = {"input_ids": ids(1, 5)} | ({"decoder_input_ids": ids(1, 3)} if kind == "t5" else {})
    plain, adapted = make(0), make(1, lora={"rank": 2})
    plain.save_pretrained(tmp_path / "plain")
    adapted.restore(tmp_path / "plain")
    torch.testing.assert_close(adapted(**inputs).logits, plain(**inputs).logits)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=torch.Generator().manual_seed(3))
    adapted.save(tmp_path / "adapted")
    assert (tmp_path / "adapted" / "adapter_model.safetensors").is_file()
    again = make(2, lora={"rank": 2})
    again.restore(tmp_path / "adapted")
    assert torch.equal(again(**inputs).logits, adapted(**inputs).logits)
    with pytest.raises(OSError):
        again.restore(tmp_path)


def test_wrong_settings_of_models_are_refused(context: FakeContext, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dropout"):
        causal(context, style="llama", dropout=0.1)
    with pytest.raises(UsageError, match="target_modules"):
        causal(context, lora={"target_modules": ["nothing"]})
    with pytest.raises(DataError, match="there is no such folder"):
        t5(context, path=str(tmp_path / "missing"))
