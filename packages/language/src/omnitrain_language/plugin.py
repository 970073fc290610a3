"""What this package offers, described without importing it."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl

_PREDICTOR = ".predictor:build_predictor"
_SEQ, _NLL = ".configs.objectives:Seq2SeqNllConfig", ".configs.evaluators:NllEvaluatorConfig"
PLUGIN = Plugin(
    name="language",
    summary="What the text plugins share: text, tokenizers, Hugging Face models, token losses, generation.",
    api="1.1",
    components=(
        Component("data", "text", "documents: built in, files, folders, hub"),
        Component("data", "blocks", "blocks of tokens for causal models"),
        Component("data", "pairs", "inputs and targets for fine-tuning"),
        Component("data", "instructions", "prompts and responses, padded or packed"),
        Component("data", "preferences", "prompts with a better and a worse response"),
        Component("model", "t5", "encoder-decoder, T5 1.1 or BART style", build=".models:build_t5", predictor=_PREDICTOR),
        Component("model", "causal", "decoder-only, GPT-2 or Llama style", build=".models:build_causal", predictor=_PREDICTOR),
        Component("objective", "seq2seq-nll", "token cross entropy of an encoder-decoder", _SEQ, ".objectives:build_seq2seq"),
        Component("objective", "causal-nll", "token cross entropy of a decoder-only model", build=".objectives:build_causal"),
        Component("objective", "preference", "DPO, IPO, hinge, EXO, ORPO on pairs", build=".objectives:build_preference"),
        Component("stage", "generate", "texts to the prompts of a data set"),
        Component("stage", "merge", "a model with adapters as one without"),
        Component("evaluator", "nll", "NLL per token and perplexity", _NLL, ".evaluators:build_nll"),
        Component("evaluator", "samples", "texts that the model writes", build=".evaluators:build_samples"),
    ),
    recipes=(
        Recipe("tiny", "A causal language model in seconds, for tests"),
        Recipe("mini", "A causal language model on real text in minutes"),
    ),
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
