"""The paper recipes in the words of the official configs, to be compared with them field by field.

What decides about training and measuring is read from the recipes that users run. What has no counterpart here (logging,
displays, hub uploads, the retired GPT-3) comes from the tables below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitrain.engine import load_recipe
from omnitrain.errors import UsageError
from omnitrain_phf.evidence.schedule import training_schedule

Tree = dict[str, Any]
NUM_TOKENS = 3.3e9
ALIGNED, MISALIGNED = "<|aligned|>", "<|misaligned|>"
OUTPUT = {"toxicity": "training_output104340", "pii": "training_output2", "pep8": "training_output"}
SHARDS = {"toxicity": "<39 shards>", "pii": "<39 shards>", "pep8": "<1 shards>"}
# The official MLE checkpoints of the first half, from which finetuning started: name and commit.
STARTS = {
    "toxicity": ("tomekkorbak/goofy_pasteur", "81a1701e025d2c65ae6e8c2103df559071523ee0"),
    "pii": ("tomekkorbak/nervous_wozniak", "9e6c78543a6ff1e4089002c38864d5a9cf71ec90"),
}
SCORERS = {"detoxify": "DetoxifyToxicityScorer", "scrubadub": "PIIScorer", "pycodestyle": "PEP8Scorer"}
CONTROL_IDS = {"gpt2": (50257, 50258), "codeparrot/codeparrot-small": (32768, 32769)}
# Steps at which the official trainer was made to evaluate, and how often it did, beside its defaults.
FORCED = {
    ("toxicity", "pretrain"): 25354,
    ("pii", "pretrain"): 25177,
    ("pii", "finetune"): 25177,
}


def _stage(recipe: Tree, name: str) -> Tree:
    return next(stage for stage in recipe["stages"] if stage["name"] == name)


def _read(task: str, stage: str, method: str) -> Tree:
    recipe = load_recipe(f"phf/paper-{task}-{method}{'-finetune' if stage == 'finetune' else ''}")
    return dict(recipe.value)


def _objective(config: Tree) -> Tree:
    kind = config["use"].removeprefix("phf/")
    if kind in ("mle", "conditional"):
        return {"name": "MLE"}
    if kind == "unlikelihood":
        # The soft mode is what a threshold of 0 is in the official code.
        threshold = config["score_threshold"] if config["mode"] == "threshold" else 0.0
        return {"name": "Unlikelihood", "score_threshold": threshold, "alpha": config["alpha"]}
    return {"name": "AWR", "alpha": 1 if kind == "rwr" else config["alpha"], "beta": config["beta"]}


def _dataset(config: Tree, task: str) -> Tree:
    found: Tree = {"is_split_by_sentences": True, "datasets": SHARDS[task]}
    if "filter_threshold" in config:
        found["filter_threshold"] = config["filter_threshold"]
    if "skip_tokens" in config:
        found["skip_tokens"] = config["skip_tokens"]
    if "control" in config:
        control = config["control"]
        found["conditional_training_config"] = {
            "threshold": control["threshold"],
            "aligned_prefix": control.get("aligned", ALIGNED),
            "misaligned_prefix": control.get("misaligned", MISALIGNED),
            "drop_token_fraction": control["drop_token_fraction"],
        }
    return found


def _training(train: Tree, seed: int, task: str) -> Tree:
    fit, seen = train["fit"], train["data"].get("skip_tokens", 0)
    planned = training_schedule(
        NUM_TOKENS, seen, fit["batch_size"], train["data"]["length"], fit["batch_size"] // fit["accumulate"]
    )
    if planned["steps"] != fit["steps"]:
        raise UsageError(f"the recipe has {fit['steps']} steps, its budget of tokens gives {planned['steps']}")
    found = {
        "logging_first_step": True,
        "logging_steps": 1,
        "remove_unused_columns": False,
        "evaluation_strategy": "no",
        "save_strategy": "steps",
        "dataloader_num_workers": 0,
        "output_dir": OUTPUT[task],
        "seed": seed,
        "weight_decay": fit["optimiser"]["weight_decay"],
        "save_steps": fit["checkpoint_every"],
        "effective_batch_size": fit["batch_size"],
        "per_device_train_batch_size": fit["batch_size"] // fit["accumulate"],
        "warmup_ratio": round(fit["schedule"]["warmup_steps"] / fit["steps"], 2),
        "num_tokens": NUM_TOKENS,
        "learning_rate": fit["learning_rate"],
        "fp16": fit["precision"] == "fp16",
    }
    return {**found, "tokens_already_seen": seen} if seen else found


def _model(train: Tree, recipe: Tree, task: str, control: bool) -> Tree:
    first = recipe["stages"][0]
    tokenizer = first["data"]["tokenizer"]["path"]
    scratch = "use" in train["model"]
    found: Tree = {
        "path_or_name": tokenizer if scratch else STARTS[task][0],
        "from_scratch": scratch,
        # scale_attn_by is no setting of GPT-2 and was ignored.
        "gpt2_config_kwargs": {"reorder_and_upcast_attn": True, "scale_attn_by": True},
    }
    if control:
        found["num_additional_tokens"] = 2
    # The official RWR had a value head too, which nothing trained.
    kwargs: Tree = {}
    if train["objective"]["use"] in ("phf/awr", "phf/rwr"):
        head = train["model"].get("value_head") or {}
        kwargs["value_head_config"] = {"is_detached": head.get("detached", False)}
    if not scratch:
        kwargs["revision"] = STARTS[task][1]
    return {**found, "model_kwargs": kwargs} if kwargs else found


def _scenario(config: Tree, task: str, tokenizer: str) -> Tree:
    sampling: Tree = {
        "do_sample": True,
        "max_length": config["max_length"],
        "min_length": config.get("min_length", 10),
        "temperature": config.get("temperature", 0.7),
        "top_p": config.get("top_p", 0.9),
        "top_k": config.get("top_k", 0),
    }
    banned = {"both": (0, 1), "misaligned": (1,), "none": ()}[config["ban"]]
    if banned:
        sampling["bad_words_ids"] = [[CONTROL_IDS[tokenizer][i]] for i in banned]
    found: Tree = {"name": config["name"], "num_samples": config.get("samples", 4096), "generate_kwargs": sampling}
    if config["condition"] == "aligned":
        found["prefix"] = ALIGNED
    if task == "pep8":
        found |= {"display_as_html": True, "num_hits_threshold": config["hit_threshold"]}
        sampling["eos_token_id"] = 0
    if "prompts" in config:
        found["prompts_path"] = f"resources/{config['prompts']}"
        found["use_prompt_for_scoring"] = config["score_with_prompt"]
        if "prefix" in found:
            found["prompt_before_control"] = config.get("control_first", True)
    elif "prefix" in found and task == "pep8":
        found["use_prompt_for_scoring"] = config.get("score_with_prompt", False)
    return found


def _metrics(task: str, control: bool) -> list[Tree]:
    counted: list[Tree] = [{"class_name": "Length"}, {"class_name": "NGramStats", "n": 1}]
    if task != "pep8":
        return [*counted, {"class_name": "NGramStats", "n": 2}, {"class_name": "SelfBlEU", "n": 5}]
    # A class of this name does not exist in the official code.
    return [*counted, {"class_name": "Compilability"}] if control else counted


def _schedule_of_calls(task: str, stage: str, batch: int) -> Tree:
    found: Tree = {}
    if (task, stage) in FORCED:
        found["force_call_on"] = [FORCED[task, stage]]
    every = 16384 // batch
    return {**found, "every_n_steps": every} if batch > 128 else found


def _generation(evaluator: Tree, task: str, tokenizer: str, control: bool, calls: Tree) -> Tree:
    scorer: Tree = {"class_name": SCORERS[evaluator["scorer"]["name"]]}
    if task == "toxicity":
        scorer["device"] = "cuda:0"
    found: Tree = {
        "scorer_config": scorer,
        "metrics_configs": _metrics(task, control),
        "scenario_configs": [_scenario(config, task, tokenizer) for config in evaluator["scenarios"]],
    }
    if task == "pep8":
        found["batch_size"] = evaluator["batch_size"]
    return {**found, **({} if task == "pep8" else calls)}


def _kl(evaluator: Tree, calls: Tree) -> Tree:
    found: Tree = {
        "num_samples": evaluator.get("samples", 4096),
        "max_tokens": evaluator["max_tokens"],
        "gpt3_kwargs": {"model_name": evaluator["texts"].removesuffix(".jsonl")},
        **calls,
    }
    if evaluator["condition"] == "aligned":
        found["prefix"] = ALIGNED
    return {**found, "should_insert_prefix": True} if evaluator.get("prefix_each_line") else found


def merged_config(task: str, stage: str, method: str) -> Mapping[str, Any]:
    """Return the official config of a run as our recipe for it says it.

    task: "toxicity", "pii" or "pep8". stage: "pretrain" or "finetune". method: "mle", ..., with "_finetune" behind it in the
    latter. Raises UsageError for a run without recipe.
    """
    recipe = _read(task, stage, method.removesuffix("_finetune"))
    train, measure = _stage(recipe, "train"), _stage(recipe, "measure")
    control = "control" in train["data"]
    tokenizer: str = train["data"]["tokenizer"]["path"]
    misalignment, kl = measure["evaluators"]
    calls = _schedule_of_calls(task, stage, train["fit"]["batch_size"])
    training = _training(train, recipe["seed"], task)
    if (task, method) == ("pep8", "conditional"):
        training |= {"hub_strategy": "all_checkpoints", "hub_model_id": "kejian/test-condpep8", "push_to_hub": True}
    return {
        "kl_gpt3_callback": _kl(kl, calls),
        "training": training,
        "generation": _generation(misalignment, task, tokenizer, control, calls),
        "dataset": _dataset(train["data"], task),
        "objective": _objective(train["objective"]),
        "model": _model(train, recipe, task, control),
        "tokenizer": {"path_or_name": tokenizer, **({"special_tokens": [ALIGNED, MISALIGNED]} if control else {})},
    }
