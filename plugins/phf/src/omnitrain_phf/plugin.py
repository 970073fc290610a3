"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Kind, Plugin, Recipe, hookimpl
from omnitrain_phf.evidence.claims import CLAIMS

_PREDICTOR = "omnitrain_language.predictor:build_predictor"


def _component(kind: Kind, name: str, summary: str, config: str, build: str, predictor: str | None = None) -> Component:
    return Component(kind, name, summary, f"omnitrain_phf.{config}", f"omnitrain_phf.{build}", predictor)


def _evaluator(name: str, summary: str, config: str, build: str) -> Component:
    return _component("evaluator", name, summary, f"configs.evaluators:{config}", build)


def _objective(name: str, summary: str, config: str) -> Component:
    return _component("objective", name, summary, f"configs.data:{config}", f"objectives:build_{name}")


COMPONENTS = (
    _component("stage", "score", "Score every segment of a text.", "configs.scorers:ScoreConfig", "stages:score"),
    _component("stage", "front", "Models side by side.", "configs.evaluators:FrontConfig", "stages:front"),
    _component(
        "data", "scored-text", "Blocks of tokens with scores.", "configs.data:ScoredTextConfig", "data.scored_text:build"
    ),
    _component(
        "data",
        "scored-batches",
        "Other data's batches with scores.",
        "configs.data:ScoredBatchesConfig",
        "data.scored_batches:build",
    ),
    _component("model", "causal", "Any causal model.", "configs.data:CausalModelConfig", "models.causal:build", _PREDICTOR),
    _objective("mle", "Next-token likelihood, also for filtered data.", "MleConfig"),
    _objective("conditional", "Next-token likelihood of text with control tokens.", "ConditionalConfig"),
    _objective("unlikelihood", "Likelihood of good tokens, unlikelihood of bad ones.", "UnlikelihoodConfig"),
    _objective("rwr", "Reward-weighted regression.", "RwrConfig"),
    _objective("awr", "Advantage-weighted regression with a value head.", "AwrConfig"),
    _evaluator(
        "misalignment",
        "How bad the texts are that a model writes.",
        "MisalignmentConfig",
        "evaluators.misalignment:build_misalignment",
    ),
    _evaluator("kl", "KL divergence from a reference.", "KlConfig", "evaluators.misalignment:build_kl"),
    _evaluator("clean-nll", "NLL per token of good text.", "CleanNllConfig", "evaluators.misalignment:build_clean_nll"),
    _evaluator("values", "What the value head says.", "ValuesConfig", "evaluators.misalignment:build_values"),
    _evaluator("red-team", "An attacker's prompts, round by round.", "RedTeamConfig", "evaluators.red_team:build"),
    _evaluator("last-word", "Zero-shot last words (LAMBADA).", "LastWordConfig", "evaluators.classification:build_last_word"),
    _evaluator(
        "classification", "Fine-tuning (GLUE).", "ClassificationConfig", "evaluators.classification:build_classification"
    ),
    _evaluator("pass-at-k", "Programs that solve problems.", "PassAtKConfig", "evaluators.pass_at_k:build"),
)
TASKS = ("toxicity", "pii", "pep8")
METHODS = ("mle", "filtering", "conditional", "ul", "rwr", "awr")
FINETUNED = {"toxicity": ("ul", "filtering", "awr", "rwr"), "pii": METHODS}


def _recipe(name: str, summary: str, file: str | None = None) -> Recipe:
    return Recipe(name, summary, f"omnitrain_phf:recipes/{file or name}.yaml")


def _paper_recipes() -> tuple[Recipe, ...]:
    found = [_recipe("paper", "Toxicity, conditional, with the paper's settings.", "paper/toxicity-conditional")]
    for task in TASKS:
        for method in METHODS:
            found.append(
                _recipe(f"paper-{task}-{method}", f"{method} on {task}, the paper's settings.", f"paper/{task}-{method}")
            )
        for method in FINETUNED.get(task, ()):
            name = f"{task}-{method}-finetune"
            found.append(_recipe(f"paper-{name}", f"MLE on {task}, then {method}, the paper's settings.", f"paper/{name}"))
    return tuple(found)


PLUGIN = Plugin(
    name="phf",
    summary="Pretraining with human preferences: scored text, six objectives, misalignment against capability.",
    api="1.1",
    paper="arXiv 2302.08582",
    components=COMPONENTS,
    recipes=(
        _recipe("tiny", "The whole method in seconds, for tests."),
        _recipe("mini", "Conditional training against MLE on text with made-up contacts, in minutes."),
        _recipe("pep8-mini", "Conditional training against MLE on Python source."),
        _recipe("toxicity-mini", "Conditional training against MLE on your text, with an offline toxicity scorer."),
        _recipe("arm", "One objective on text with made-up contacts, measured."),
        _recipe("feedback", "Half of the tokens with MLE, half with feedback."),
        _recipe("feedback-10", "90 % of the tokens with MLE, 10 % with feedback."),
        _recipe("red-team", "One objective, attacked with prompts round by round."),
        _recipe("objectives", "All six objectives on one stream, and their front."),
        *_paper_recipes(),
    ),
    claims=CLAIMS,
    parity="omnitrain_phf.evidence.parity:ADAPTERS",
    bench="omnitrain_phf.evidence.bench.training:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
