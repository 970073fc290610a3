"""What this package offers, described without importing it."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl

_PREDICTOR = ".predictor:build_predictor"

PLUGIN = Plugin(
    name="language",
    summary="What the text plugins share: text, tokenizers, Hugging Face models, token losses, generation.",
    api="1.1",
    components=(
        Component("data", "text", "documents: built in, files, folders, hub", ".configs:TextConfig", ".text:build"),
        Component("data", "blocks", "blocks of tokens for causal models", ".configs:BlocksConfig", ".blocks:build"),
        Component("data", "pairs", "inputs and targets for fine-tuning", ".configs:PairsConfig", ".pairs:build"),
        Component("model", "t5", "encoder-decoder, T5 1.1 style", ".configs:T5Config", ".models:build_t5", _PREDICTOR),
        Component(
            "model", "causal", "decoder-only, GPT-2 or Llama style", ".configs:CausalConfig", ".models:build_causal", _PREDICTOR
        ),
        Component(
            "objective",
            "seq2seq-nll",
            "token cross entropy of an encoder-decoder",
            ".configs:Seq2SeqNllConfig",
            ".objectives:build_seq2seq",
        ),
        Component(
            "objective",
            "causal-nll",
            "token cross entropy of a decoder-only model",
            ".configs:CausalNllConfig",
            ".objectives:build_causal",
        ),
        Component("evaluator", "nll", "NLL per token and perplexity", ".configs:NllEvaluatorConfig", ".evaluators:build_nll"),
        Component("evaluator", "samples", "texts that the model writes", ".configs:SamplesConfig", ".evaluators:build_samples"),
    ),
    recipes=(
        Recipe("tiny", "A causal language model in seconds, for tests"),
        Recipe("mini", "A causal language model on real text in minutes"),
    ),
    bench=".bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
