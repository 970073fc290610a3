"""Small models and ensembles of them."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from omnitrain_eft.models.ensemble import Ensemble

VOCABULARY = 50


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
