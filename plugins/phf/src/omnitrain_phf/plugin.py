"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_phf.evidence.claims import CLAIMS

VALUES = ".configs.models:CausalWithValuesConfig"
PREDICTOR = "omnitrain_language.predictor:build_predictor"
PAPER = "the paper's settings"
METHODS = ("mle", "filtering", "conditional", "ul", "rwr", "awr")
FINETUNED = {"toxicity": ("ul", "filtering", "awr", "rwr"), "pii": METHODS, "pep8": ()}
RUNS = [
    run
    for task, finetuned in FINETUNED.items()
    for run in (
        *((f"{task}-{method}", f"{method} on {task}") for method in METHODS),
        *((f"{task}-{method}-finetune", f"MLE on {task}, then {method}") for method in finetuned),
    )
]
OBJECTIVES = {
    "mle": "Next-token likelihood, also for filtered data.",
    "conditional": "Next-token likelihood of text with control tokens.",
    "unlikelihood": "Likelihood of good tokens, unlikelihood of bad ones.",
    "rwr": "Reward-weighted regression.",
    "awr": "Advantage-weighted regression with a value head.",
}

PLUGIN = Plugin(
    name="phf",
    summary="Pretraining with human preferences: scored text, six objectives, misalignment against capability.",
    api="1.1",
    paper="arXiv 2302.08582",
    components=(
        Component("stage", "score", "Score every segment of a text.", build=".stages:score"),
        Component("stage", "front", "Models side by side.", build=".stages:front"),
        Component("data", "scored-text", "Blocks of tokens with scores."),
        Component("data", "scored-batches", "Other data's batches with scores."),
        Component("model", "causal", "Any causal model.", VALUES, predictor=PREDICTOR),
        *(Component("objective", name, what, build=f".objectives:build_{name}") for name, what in OBJECTIVES.items()),
        Component("evaluator", "misalignment", "How bad the texts are that a model writes."),
        Component("evaluator", "kl", "KL divergence from a reference."),
        Component("evaluator", "clean-nll", "NLL per token of good text."),
        Component("evaluator", "values", "What the value head says."),
        Component("evaluator", "red-team", "An attacker's prompts, round by round."),
        Component("evaluator", "last-word", "Zero-shot last words (LAMBADA)."),
        Component("evaluator", "classification", "Fine-tuning (GLUE)."),
        Component("evaluator", "pass-at-k", "Programs that solve problems.", ".configs.evaluators:PassAtKConfig"),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "Conditional training against MLE on text with made-up contacts, in minutes."),
        Recipe("pep8-mini", "Conditional training against MLE on Python source."),
        Recipe("toxicity-mini", "Conditional training against MLE on your text, with an offline toxicity scorer."),
        Recipe("arm", "One objective on text with made-up contacts, measured."),
        Recipe("feedback", "Half of the tokens with MLE, half with feedback."),
        Recipe("feedback-10", "90 % of the tokens with MLE, 10 % with feedback."),
        Recipe("red-team", "One objective, attacked with prompts round by round."),
        Recipe("objectives", "All six objectives on one stream, and their front."),
        Recipe("paper", f"Toxicity, conditional, with {PAPER}.", "recipes/paper/toxicity-conditional.yaml"),
        *(Recipe(f"paper-{name}", f"{what}, {PAPER}.", f"recipes/paper/{name}.yaml") for name, what in RUNS),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
