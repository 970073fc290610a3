"""What this package offers, described without importing it."""

from __future__ import annotations

from omnitrain.api import Component, Kind, Plugin, Recipe, hookimpl


def _component(kind: Kind, name: str, summary: str, config: str, build: str, predictor: str | None = None) -> Component:
    return Component(
        kind=kind,
        name=name,
        summary=summary,
        config=f"omnitrain_language.configs:{config}",
        build=f"omnitrain_language.{build}",
        predictor=predictor,
    )


_PREDICTOR = "omnitrain_language.predictor:build_predictor"

PLUGIN = Plugin(
    name="language",
    summary="What the text plugins share: text, tokenizers, Hugging Face models, token losses, generation.",
    api="1.0",
    components=(
        _component("data", "text", "documents: built in, files, folders, hub", "TextConfig", "text:build"),
        _component("data", "blocks", "blocks of tokens for causal models", "BlocksConfig", "blocks:build"),
        _component("data", "pairs", "inputs and targets for fine-tuning", "PairsConfig", "pairs:build"),
        _component("model", "t5", "encoder-decoder, T5 1.1 style", "T5Config", "models:build_t5", _PREDICTOR),
        _component("model", "causal", "decoder-only, GPT-2 or Llama style", "CausalConfig", "models:build_causal", _PREDICTOR),
        _component(
            "objective",
            "seq2seq-nll",
            "token cross entropy of an encoder-decoder",
            "Seq2SeqNllConfig",
            "objectives:build_seq2seq",
        ),
        _component(
            "objective",
            "causal-nll",
            "token cross entropy of a decoder-only model",
            "CausalNllConfig",
            "objectives:build_causal",
        ),
        _component("evaluator", "nll", "NLL per token and perplexity", "NllEvaluatorConfig", "evaluators:build_nll"),
        _component("evaluator", "samples", "texts that the model writes", "SamplesConfig", "evaluators:build_samples"),
    ),
    recipes=(
        Recipe("tiny", "A causal language model in seconds, for tests", "omnitrain_language:recipes/tiny.yaml"),
        Recipe("mini", "A causal language model on real text in minutes", "omnitrain_language:recipes/mini.yaml"),
    ),
    bench="omnitrain_language.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
