"""Small models, ensembles of them, and compositions of saved models as a user's recipe makes them."""

import warnings

import torch
import yaml
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from omnitrain.engine.execution import Options, run_recipe
from omnitrain.recipes import resolve
from omnitrain.recipes.reading import read_text
from omnitrain_eft.configs.models import CompositionConfig
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.ensemble import Ensemble
from omnitrain_language.decoding import left_padded

VOCABULARY = 50
WORDS = ["<pad>", "</s>", *(f"w{i}" for i in range(VOCABULARY - 2))]
EOS = [1]
GREEDY = Processing(temperature=0.0)
FACTS = {"vocabulary_size": VOCABULARY, "pad_id": 0, "eos_id": 1}
SMALL = {"facts": 40, "train_facts": 12, "valid_facts": 8, "tokenizer": {"vocabulary_size": 400}}
SETTINGS = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": 1}


def gpt2(layers, width, seed, vocabulary=VOCABULARY, scale=6.0, positions=256):
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=positions,
        n_embd=width,
        n_layer=layers,
        n_head=2,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = GPT2LMHeadModel(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.mul_(scale)
    return model


def llama(layers, width, seed, vocabulary=VOCABULARY, **settings):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=None,
        initializer_range=0.2,
        **settings,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def windowed(layers, width, seed, vocabulary=VOCABULARY, window=4):
    """A model that sees only the last tokens, whose cache can't be rolled back row by row."""
    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=window,
        max_position_embeddings=256,
        pad_token_id=None,
        initializer_range=0.2,
    )
    return MistralForCausalLM(config).eval().requires_grad_(False)


MAKERS = {"gpt2": gpt2, "llama": llama}


def ensemble_of(large, expert, base, vocabulary=VOCABULARY):
    return Ensemble(large, [expert, base], [0], [1], 1, 0, vocabulary)


def two_experts(maker):
    """A large base and two experts, each with a small base of its own."""
    models = [maker(1, 16, seed) for seed in range(1, 5)]
    return Ensemble(maker(2, 32, 0), models, [0, 1], [2, 3], 2, 0, VOCABULARY)


def random_prompts(count, seed=0, longest=8):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(2, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]


def tokenizer(words=WORDS):
    from tokenizers import Tokenizer, models, pre_tokenizers

    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="<pad>")


def save(model, folder, words=WORDS):
    """Save a model with its tokenizer; return the folder as text."""
    model.save_pretrained(folder)
    tokenizer(words).save_pretrained(folder)
    return str(folder)


def compose(out, large, small, expert, **settings):
    """Run `eft/compose` on settings of three members (small may be None); return the run's folder."""
    model = {
        "use": "eft/composition",
        "large": {"use": "eft/causal", **large},
        "small": None if small is None else {"use": "eft/causal", **small},
        "experts": [{"model": {"use": "eft/causal", **expert}}],
        **settings,
    }
    recipe = {"summary": "A composition.", "seed": 0, "stages": [{"name": "compose", "use": "eft/compose", "model": model}]}
    from omnitrain.engine import installed

    resolved = resolve(read_text(yaml.safe_dump(recipe, sort_keys=False), "pair.yaml", 1), "pair.yaml", installed())
    run_recipe(resolved, out, Options(quiet=True))
    return out


def prepared(data, context):
    data.prepare(context.workspace, context)
    return data


def config(**settings):
    use = {"use": "eft/causal"}
    experts = settings.pop("experts", [{"model": use}])
    return CompositionConfig.model_validate({"large": use, "experts": experts, **settings})


def with_lora(model, seed=0):
    import peft

    torch.manual_seed(seed)
    settings = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False)
    with warnings.catch_warnings():
        # peft asks transformers for a property under its old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return peft.PeftModelForCausalLM(model, settings).eval().requires_grad_(False)


def inputs(prompts):
    ids, mask = left_padded(prompts, 0, torch.device("cpu"))
    return {"input_ids": ids, "attention_mask": mask.long()}


def cut(rows, width):
    found = []
    for row in rows[:, width:].tolist():
        found.append(row[: row.index(1) + 1] if 1 in row else row)
    return found
