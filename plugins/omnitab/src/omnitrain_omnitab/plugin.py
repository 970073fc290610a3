"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl

PLUGIN = Plugin(
    name="omnitab",
    summary="OmniTab: pre-training on sentences and questions about tables, for few-shot table question answering.",
    api="1.1",
    paper="arXiv 2207.03637",
    components=(
        Component("data", "pretraining", "Sentences about tables to denoise, questions and queries to answer."),
        Component("data", "questions", "Questions about tables with their answers: WikiTableQuestions, WikiSQL, your own."),
        Component("evaluator", "answers", "Answers that a model writes: denotations, strings, by operation and table size."),
    ),
    recipes=(
        Recipe("tiny", "Pre-train, fine-tune and ask in seconds, for tests."),
        Recipe("mini", "Pre-train on embedded tables, fine-tune on few questions, ask about other tables."),
        Recipe("paper", "BART-large with the paper's settings."),
    ),
    parity=".evidence.parity:ADAPTERS",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
