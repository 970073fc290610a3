"""Control tokens and value head: their rows, their life through saving, and what a recipe makes of them."""

import json

import pytest
import torch

from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.models.causal import build
from omnitrain_phf.paper.control_tokens import NOISE, fresh_rows, grow

FACTS = {"vocabulary_size": 302, "added_control_ids": [300, 301], "pad_id": 0, "eos_id": 1}


@pytest.fixture
def make(make_context):
    def made(facts=FACTS, **settings):
        settings = {"size": "tiny", "max_length": 64, **settings}
        config = CausalWithValuesConfig.model_validate_json(json.dumps(settings))
        return build(config, make_context(**facts))

    return made


def test_new_rows_are_the_mean_of_the_old_ones_plus_small_noise():
    rows = torch.randn(5000, 64) + 3
    made = fresh_rows(rows, 200, torch.Generator().manual_seed(0))
    noise = made - rows.mean(dim=0)
    assert float(noise.std()) == pytest.approx(NOISE, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=2e-4)


def test_model_begins_with_such_rows_for_its_control_tokens(make, tmp_path):
    matrix = make().get_input_embeddings().weight.detach()
    distance = (matrix[300:] - matrix[:300].mean(dim=0)).abs().max()
    assert float(distance) < 5 * NOISE
    assert not torch.equal(matrix[300], matrix[301])


def test_untied_heads_get_rows_too(make, tmp_path):
    model = make(style="llama")
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    grow(model, [302, 303], 1)
    head = model.get_output_embeddings().weight.detach()
    assert head.shape[0] == 304
    assert float((head[302:] - head[:302].mean(dim=0)).abs().max()) < 5 * NOISE


def test_growing_keeps_what_was_learned(make, tmp_path):
    model = make({**FACTS, "vocabulary_size": 300, "added_control_ids": []})
    before = model.get_input_embeddings().weight.clone()
    grow(model, [300, 301], 4)
    after = model.get_input_embeddings().weight
    assert after.shape[0] == 302
    assert torch.equal(after[:300], before)
    assert model.get_output_embeddings().weight is after
    grow(model, [300, 301], 4)
    assert model.get_input_embeddings().weight.shape[0] == 302


def test_untrained_value_head_says_minus_a_half(make, tmp_path):
    model = make(value_head={})
    ids = torch.randint(302, (2, 9))
    out = model(input_ids=ids, with_values=True)
    assert out["values"].tolist() == [[-0.5] * 9] * 2
    assert out.hidden_states is None
    assert "values" not in model(input_ids=ids)


def test_values_stand_for_the_position_that_predicts(make, tmp_path):
    model = make(value_head={}).eval()
    with torch.no_grad():
        model.value_head.weight.normal_()
        ids = torch.randint(302, (1, 8))
        changed = ids.clone()
        changed[0, 5] = (ids[0, 5] + 1) % 302
        before, after = (model(input_ids=i, with_values=True)["values"] for i in (ids, changed))
    assert torch.equal(before[0, :5], after[0, :5])
    assert not torch.equal(before[0, 5:], after[0, 5:])


def test_detached_head_leaves_the_model_alone(make, tmp_path):
    for detached in (False, True):
        model = make(value_head={"detached": detached})
        torch.nn.init.normal_(model.value_head.weight)
        model(input_ids=torch.randint(302, (2, 5)), with_values=True)["values"].sum().backward()
        reached = model.get_input_embeddings().weight.grad
        assert (reached is None) == detached


def test_value_head_and_rows_survive_saving_and_plain_transformers_reads_the_rest(make, tmp_path):
    from transformers import AutoModelForCausalLM

    model = make(value_head={})
    torch.nn.init.normal_(model.value_head.weight)
    model.save(tmp_path / "saved")
    by_path = make({}, value_head={}, path=str(tmp_path / "saved"))
    assert torch.equal(by_path.value_head.weight, model.value_head.weight)
    restored = make(value_head={}, dropout=0.1)
    restored.restore(tmp_path / "saved")
    assert torch.equal(restored.value_head.weight, model.value_head.weight)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(plain.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_model_without_a_head_goes_on_with_a_fresh_one(make, tmp_path):
    plain = make()
    plain.save_pretrained(tmp_path / "plain")
    model = make(value_head={})
    model.restore(tmp_path / "plain")
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)
    assert not model.value_head.weight.any()


@pytest.fixture
def base(tmp_path):
    """A loaded model whose tokenizer's 300 ids are all that it has."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(3)
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=64, n_embd=16, n_layer=1, n_head=2)).save_pretrained(
        tmp_path / "base"
    )
    return str(tmp_path / "base")


def test_with_lora_control_rows_and_head_are_trained_saved_and_merged(make, base, tmp_path):
    model = make(path=base, lora={"rank": 2}, value_head={})
    ids = torch.tensor([[1, 300, 5, 301, 7]])
    out = model(input_ids=ids, with_values=True)
    (out.logits.square().mean() + out["values"].mean()).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert all(p.grad is not None for p in trained.values())
    rows = [p for name, p in trained.items() if "trainable_tokens" in name]
    assert [tuple(p.shape) for p in rows] == [(2, 16)]
    assert float((rows[0].detach() - model.get_input_embeddings().weight[:300].detach().mean(dim=0)).abs().max()) < 5 * NOISE
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    expected = model(input_ids=ids, with_values=True)
    model.save(tmp_path / "saved")
    again = make(path=base, lora={"rank": 2}, value_head={})
    again.restore(tmp_path / "saved")
    found = again(input_ids=ids, with_values=True)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found["values"], expected["values"])
    merged = again.merge_and_unload()(input_ids=ids, with_values=True)
    torch.testing.assert_close(merged.logits, expected.logits)
    torch.testing.assert_close(merged["values"], expected["values"])


PAPER = [(50257, False, 124_439_808), (50259, False, 124_441_344), (50257, True, 124_440_576), (32768, False, 111_008_256)]


@pytest.mark.parametrize(("vocabulary", "head", "count"), PAPER)
def test_paper_models_have_the_parameters_of_the_paper(make, vocabulary, head, count):
    with torch.device("meta"):
        settings = {"size": "small", "max_length": 1024, "vocabulary_size": vocabulary}
        model = make({}, **settings, **({"value_head": {}} if head else {}))
    assert sum(p.numel() for p in {id(p): p for p in model.parameters()}.values()) == count
