"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_phf.evidence.claims import CLAIMS

PREDICTOR = "omnitrain_language.predictor:build_predictor"
METHODS = ("mle", "filtering", "conditional", "ul", "rwr", "awr")
FOUR = ("ul", "filtering", "awr", "rwr")
TABLES = {"toxicity": METHODS, "toxicity-finetune": FOUR, "pii": METHODS, "pii-finetune": METHODS, "pep8": METHODS}


def _paper(table: str, method: str) -> Recipe:
    task, _, then = table.partition("-")
    name, what = (f"{method}-{then}", f"MLE on {task}, then {method}") if then else (method, f"{method} on {task}")
    return Recipe(f"paper-{task}-{name}", f"{what}, the paper's settings.", f"recipes/paper/{table}.yaml#{method}")


PLUGIN = Plugin(
    name="phf",
    summary="Pretraining with human preferences: scored text, six objectives, misalignment against capability.",
    api="1.1",
    paper="arXiv 2302.08582",
    modules=("objective", "stage"),
    components=(
        Component("stage", "score", "Score every segment of a text."),
        Component("stage", "front", "Models side by side."),
        Component("data", "scored-text", "Blocks of tokens with scores."),
        Component("data", "scored-batches", "Other data's batches with scores."),
        Component("model", "causal", "Any causal model.", ".configs.models:CausalWithValuesConfig", predictor=PREDICTOR),
        Component("objective", "mle", "Next-token likelihood, also for filtered data."),
        Component("objective", "conditional", "Next-token likelihood of text with control tokens."),
        Component("objective", "unlikelihood", "Likelihood of good tokens, unlikelihood of bad ones."),
        Component("objective", "rwr", "Reward-weighted regression."),
        Component("objective", "awr", "Advantage-weighted regression with a value head."),
        Component("evaluator", "misalignment", "How bad the texts are that a model writes."),
        Component("evaluator", "kl", "KL divergence from a reference."),
        Component("evaluator", "clean-nll", "NLL per token of good text."),
        Component("evaluator", "values", "What the value head says."),
        Component("evaluator", "red-team", "An attacker's prompts, round by round."),
        Component("evaluator", "last-word", "Zero-shot last words (LAMBADA)."),
        Component("evaluator", "classification", "Fine-tuning (GLUE)."),
        Component("evaluator", "pass-at-k", "Programs that solve problems."),
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
        Recipe("paper", "Toxicity, conditional, with the paper's settings.", "recipes/paper/toxicity.yaml#conditional"),
        *(_paper(table, method) for table, methods in TABLES.items() for method in methods),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
