"""Compositions as models: adapters that share weights, vocabularies, shapes, memory plans, scoring."""

import warnings

import peft
import pytest
import torch
from eft_models import VOCABULARY, gpt2, random_prompts
from transformers import PreTrainedTokenizerFast

from omnitrain.errors import DataError, UsageError
from omnitrain_eft.configs.models import CompositionConfig, ShapedCausalConfig
from omnitrain_eft.evaluators.teacher_forcing import member_logits
from omnitrain_eft.models.causal import released_shape
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.decoding.speculative import generate_speculatively
from omnitrain_eft.models.ensemble import Prompts
from omnitrain_eft.models.memory import cache_bytes_per_token, plan_lines
from omnitrain_eft.models.vocabulary import check_rows, check_vocabularies
from omnitrain_eft.paper.composition import Dials, implicit_reward, token_log_probs

GREEDY = Processing(temperature=0.0)
FACTS = {"vocabulary_size": VOCABULARY, "pad_id": 0, "eos_id": 1}


def config(**settings):
    use = {"use": "eft/causal"}
    experts = settings.pop("experts", [{"model": use}])
    return CompositionConfig.model_validate({"large": use, "experts": experts, **settings})


def with_lora(model, seed=0):
    torch.manual_seed(seed)
    settings = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False)
    with warnings.catch_warnings():
        # peft asks transformers for a property under its old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return peft.PeftModelForCausalLM(model, settings).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def adapted():
    return CompositionModel(config(), {"large": gpt2(2, 32, 0), "expert-0": with_lora(gpt2(1, 16, 1))}, FACTS)


def test_expert_of_adapters_shares_one_set_of_weights(adapted):
    held = {p.data_ptr(): p.nbytes for p in adapted.parameters()}
    base = sum(p.nbytes for p in gpt2(1, 16, 1).parameters())
    large = sum(p.nbytes for p in gpt2(2, 32, 0).parameters())
    adapters = sum(p.nbytes for name, p in adapted.named_parameters() if "lora_" in name)
    assert 0 < adapters < base / 4
    assert sum(held.values()) == large + base + adapters


@pytest.mark.parametrize("stacked", [False, True])
def test_expert_of_adapters_gives_the_texts_of_the_merged_model(adapted, stacked):
    merged = with_lora(gpt2(1, 16, 1)).merge_and_unload()
    apart = CompositionModel(
        config(small={"use": "eft/causal"}), {"large": gpt2(2, 32, 0), "small": gpt2(1, 16, 1), "expert-0": merged}, FACTS
    )
    prompts, settings = random_prompts(4, 2), Decoding(14, GREEDY)
    expected = generate(CompositionDecoder(apart.ensemble(), Dials()), prompts, settings, [1], 0).rows
    ensemble = adapted.ensemble()
    assert generate(CompositionDecoder(ensemble, Dials(), stacked), prompts, settings, [1], 0).rows == expected
    drafted = Decoding(14, GREEDY, block_size=3)
    assert generate_speculatively(ensemble, Dials(), prompts, drafted, [1], 0).rows == expected
    with torch.no_grad():
        ids = torch.tensor([[3, 4, 5]])
        torch.testing.assert_close(adapted(ids).logits, apart(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_expert_without_base_and_adapters_is_named():
    with pytest.raises(UsageError, match="expert-0 stands without its base"):
        CompositionModel(config(), {"large": gpt2(1, 16, 0), "expert-0": gpt2(1, 16, 1)}, FACTS)


def test_lora_on_the_large_model_is_a_row_of_the_grid():
    members = {"large": gpt2(1, 16, 0), "expert-0": with_lora(gpt2(1, 16, 1)), "large-lora": with_lora(gpt2(1, 16, 0), 5)}
    model = CompositionModel(config(large_lora={"use": "eft/causal"}), members, FACTS)
    batch = {"input_ids": torch.tensor([[3, 4, 5]]), "attention_mask": torch.ones(1, 3, dtype=torch.bool)}
    arms = member_logits(model, batch).arms(model.dials)
    assert list(arms) == ["small base", "large base", "small fine-tuned", "large LoRA", "up-scaled"]
    with torch.no_grad():
        torch.testing.assert_close(arms["large LoRA"], members["large-lora"](**batch).logits)


def test_scoring_in_one_pass_equals_the_log_probabilities_step_by_step(adapted):
    text = torch.tensor([[4, 9, 12, 3, 7, 22]])
    with torch.no_grad():
        whole = token_log_probs(adapted(text).logits[:, :-1], text[:, 1:])
    decoder = CompositionDecoder(adapted.ensemble(), adapted.dials)
    z = [decoder.start([[4]])]
    z += [decoder.step(text[:, i]) for i in range(1, 5)]
    stepwise = torch.stack([row.log_softmax(-1)[0, text[0, i + 1]] for i, row in enumerate(z)])
    torch.testing.assert_close(whole[0], stepwise, rtol=1e-4, atol=1e-4)
    ensemble = adapted.ensemble()
    with torch.no_grad():
        expert, base = (ensemble.small[i](input_ids=text, use_cache=False).logits[:, :-1] for i in (0, 1))
    reward = implicit_reward(expert, base, text[:, 1:])
    small = token_log_probs(expert, text[:, 1:]).sum() - token_log_probs(base, text[:, 1:]).sum()
    torch.testing.assert_close(reward[0], small)


def test_extra_rows_of_an_expert_are_cut_and_too_few_are_refused():
    small = {"use": "eft/causal"}
    members = {"large": gpt2(1, 16, 0), "small": gpt2(1, 16, 1), "expert-0": gpt2(1, 16, 2, vocabulary=VOCABULARY + 3)}
    model = CompositionModel(config(small=small), members, FACTS)
    assert model(torch.tensor([[3]])).logits.shape[-1] == VOCABULARY
    with pytest.raises(DataError, match="expert 0 gives logits for 40 ids, the shared tokenizer has 50"):
        CompositionModel(config(small=small), {**members, "expert-0": gpt2(1, 16, 2, vocabulary=40)}, FACTS)


def tokenizer(words, **special):
    from tokenizers import Tokenizer, models

    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}))
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", **special)


def test_vocabularies_are_compared_id_by_id():
    words = ["</s>", "a", "b", "c"]
    reference = tokenizer(words)
    assert check_vocabularies({"large": reference, "expert": tokenizer([*words, "<pad>"])}) == 4
    with pytest.raises(DataError, match=r"large and expert differ: id 2 is 'b' there and 'c' here"):
        check_vocabularies({"large": reference, "expert": tokenizer(["</s>", "a", "c", "b"])})
    with pytest.raises(DataError, match="bos_token_id is 1 there and 2 here"):
        check_vocabularies({"large": tokenizer(words, bos_token="a"), "expert": tokenizer(words, bos_token="b")})
    with pytest.raises(DataError, match="the tokenizer of expert has 3 ids, that of large has 4"):
        check_vocabularies({"large": reference, "expert": tokenizer(words[:3])})
    assert check_rows({"large": 6, "expert": 5}, 4) == 4
    assert check_rows({"large": 6, "expert": 5}, 0) == 5


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("falcon-7b", 6_921_720_704),
    ],
)
def test_released_architectures_have_the_published_number_of_parameters(architecture, parameters):
    assert sum(p.numel() for p in released_shape(architecture).parameters()) == parameters


def planned(**members):
    """A composition whose members have the given settings, as a recipe resolves them."""
    use = {"use": "eft/causal"}
    composition = CompositionConfig.model_validate({"large": use, "small": use, "experts": [{"model": use}]})
    uses = {"large": composition.large, "small": composition.small, "expert": composition.experts[0].model}
    for name, member in uses.items():
        member.resolved(ShapedCausalConfig(**members[name]))
    return composition


def test_memory_plan_of_the_papers_pair_counts_weights_and_caches():
    small = {"architecture": "llama-2-7b", "dtype": "bfloat16"}
    lines = plan_lines(planned(large={"architecture": "llama-2-70b", "dtype": "bfloat16"}, small=small, expert=small))
    assert lines[0] == (
        "large base: 68,976,648,192 parameters, 128.5 GiB in bfloat16, 64.8 GiB in 8 bit, 320 KiB of cache a token"
    )
    # 2 (keys, values) x layers x key-value heads x width x 2 bytes, of 70B and twice 7B
    caches = 2 * 2 * 128 * (80 * 8 + 2 * 32 * 32) * 4096
    assert lines[3] == f"caches: 1344 KiB a token, {caches / 2**30:.1f} GiB for a text of 4,096 tokens, the longest for all"
    every = 2 * (68_976_648_192 + 2 * 6_738_415_616) + caches
    assert f"all in bfloat16 {every / 2**30:.1f} GiB;" in lines[4]
    assert lines[4].endswith(f"as set here {every / 2**30:.1f} GiB")
    assert len(lines) == 5
    assert cache_bytes_per_token(gpt2(2, 32, 0).config) == 2 * 2 * 2 * 16 * 2


def test_memory_plan_says_what_is_set_and_what_it_can_not_know():
    large = {"path": "a/large", "architecture": "llama-2-13b", "dtype": "int8"}
    lines = plan_lines(planned(large=large, small={"architecture": "llama-2-7b"}, expert={"path": "a/tuned"}))
    assert lines[-1] == "not in the memory plan: expert 0; set `architecture` beside `path`"
    mixed, as_set = (float(lines[-2].split(what)[1].split()[0]) for what in ("large base in 8 bit ", "as set here "))
    # The small base has no dtype, so that it is loaded in float32.
    assert as_set - mixed == pytest.approx(2 * 6_738_415_616 / 2**30, abs=0.11)
    assert plan_lines(planned(large={}, small={}, expert={})) == []


def test_templates_are_checked_and_prompts_differ_by_model(adapted):
    with pytest.raises(UsageError, match="large_template: template 'x' holds no"):
        CompositionModel(config(large_template="x"), {"large": gpt2(1, 16, 0), "expert-0": with_lora(gpt2(1, 16, 1))}, FACTS)
    with pytest.raises(UsageError, match="a prompt for each text"):
        Prompts([[3]], [[[3], [4]]])
    with pytest.raises(UsageError, match="2 numbers for 1 experts"):
        CompositionDecoder(adapted.ensemble(), Dials(weights=(0.5, 0.5))).start([[3]])
