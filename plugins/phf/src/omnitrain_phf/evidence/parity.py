"""Golden vectors to functions: each adapter runs one case of the official outputs through our code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_phf.configs.objectives import AwrConfig, MleConfig, UnlikelihoodConfig
from omnitrain_phf.configs.scorers import ProfanityConfig, PycodestyleConfig, ScrubadubConfig
from omnitrain_phf.data.blocks import BlockLayout, BlockReader, Control, Segments, skipped
from omnitrain_phf.data.corpus import Corpus
from omnitrain_phf.evidence.official_configs import merged_config
from omnitrain_phf.evidence.schedule import theoretical_loss, training_schedule
from omnitrain_phf.models.causal import ValueHead
from omnitrain_phf.objectives import Awr, Mle, Unlikelihood, regression_parts, regression_statistics
from omnitrain_phf.paper.alignment import align
from omnitrain_phf.paper.kl import forward_kl, sequence_logprobs
from omnitrain_phf.paper.losses import AdvantageOptions, advantage_loss, token_nll
from omnitrain_phf.paper.prompt_pool import PromptPool, few_shot, parse_response
from omnitrain_phf.paper.scenarios import clean, counted_from_eos, forbid_early_end, scenario_inputs, scored_texts
from omnitrain_phf.paper.text_metrics import max_at_k, share_of_hits, text_metrics
from omnitrain_phf.scorers.make import make_scorer
from omnitrain_phf.scorers.pep8 import Pep8Scorer
from omnitrain_phf.scorers.personal_data import PersonalDataScorer
from omnitrain_phf.scorers.segments import split_lines, split_sentences

Case = Mapping[str, Any]
EOS, ALIGNED, MISALIGNED = "<|endoftext|>", "<|aligned|>", "<|misaligned|>"


class _Fixed(nn.Module):
    """A model that gives the logits and values of a case, whatever it reads."""

    has_values = True

    def __init__(self, logits: Tensor, values: Tensor | None) -> None:
        super().__init__()
        self.logits, self.values = logits, values

    def forward(self, **inputs: Any) -> Any:
        # The loss may write over what it gets.
        return SimpleNamespace(logits=self.logits.clone(), values=self.values)


def _objective(name: str, params: Case) -> Any:
    if name == "MLE":
        MleConfig()
        return Mle()
    if name == "Unlikelihood":
        # The official `if score_threshold:` is false for 0 and null.
        threshold = params.get("score_threshold")
        mode = {"mode": "threshold", "score_threshold": threshold} if threshold else {"mode": "soft"}
        return Unlikelihood(UnlikelihoodConfig.model_validate_json(_json({**mode, "alpha": params["alpha"]})))
    return Awr(AwrConfig.model_validate_json(_json(dict(params))))


def _json(values: Case) -> str:
    import json

    return json.dumps(values)


def _objectives(case: Case, shared: Case) -> dict[str, Any]:
    logits = torch.tensor(case["logits"], requires_grad=True)
    values = None if case["values"] is None else torch.tensor(case["values"], requires_grad=True)
    fields = align(np.asarray(case["labels"]), np.asarray(case["token_scores"]))
    batch = {name: torch.from_numpy(array) for name, array in fields.items()}
    batch["loss_weights"] = batch["loss_weights"].double()
    batch["update_rows"] = torch.full((len(logits),), len(logits))
    objective = _objective(case["objective"], case["params"])
    found = objective(_Fixed(logits, values), batch)
    loss = found.total / found.weight
    loss.backward()
    logs = {name: float(part.total / part.weight) for name, part in found.parts.items()}
    if values is not None:
        logs = _regression_logs(case, logits, values, batch)
    gradient = None if values is None else torch.zeros_like(values) if values.grad is None else values.grad
    return {
        "loss": float(loss.detach()),
        "logs": logs,
        "grad_logits": logits.grad.tolist() if logits.grad is not None else None,
        "grad_values": None if gradient is None else gradient.tolist(),
    }


def _regression_logs(case: Case, logits: Tensor, values: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """The official code logs the value's numbers also where the advantage does not use it."""
    params = case["params"]
    options = AdvantageOptions(
        params["beta"],
        params.get("clip_weight_max", 1000.0),
        params.get("clip_value", False),
        params.get("fixed_value", 0.0),
        params.get("use_value_head", True),
        params.get("normalize_advantage", False),
    )
    real = batch["loss_weights"] != 0
    nll = token_nll(logits.detach().clone(), batch["labels"])
    found = advantage_loss(nll, batch["token_scores"], values.detach(), options, real)
    means = {name: float(part[real].mean()) for name, part in regression_parts(nll, found).items()}
    return {**means, **regression_statistics(found, batch["token_scores"], real)}


def _value_head(case: Case, shared: Case) -> dict[str, Any]:
    hidden = torch.tensor(case["hidden_states"], requires_grad=True)
    head = ValueHead(hidden.shape[-1], case["sigmoid"], case["is_detached"])
    head.load_state_dict({"weight": torch.tensor(case["weight"])})
    values = head(hidden)
    values.sum().backward()
    return {"values": values.tolist(), "grad_hidden_of_sum": None if hidden.grad is None else hidden.grad.tolist()}


class _Listed:
    """Draws that are written in the case."""

    def __init__(self, numbers: list[float]) -> None:
        self._numbers = np.asarray(numbers)

    def at(self, start: int, count: int) -> np.ndarray:
        return self._numbers[start : start + count]


def _toy_corpus(datasets: Case) -> Corpus:
    documents = [(d, shard) for shard, found in enumerate(datasets.values()) for d in found]
    texts = [d["texts"] if "texts" in d else [d["text"]] for d, _ in documents]
    scores = [d["scores"] if "scores" in d else [d["score"]] for d, _ in documents]
    segments = [text for row in texts for text in row]
    sizes = [len(found) for found in datasets.values()]
    return Corpus(
        np.asarray([3 + ord(c) for text in segments for c in text], np.uint32),
        np.cumsum([0, *map(len, segments)]),
        np.asarray([score for row in scores for score in row], np.float64),
        np.asarray([len(text) for text in segments], np.int32),
        np.cumsum([0, *map(len, texts)]),
        np.asarray([d["avg_score"] for d, _ in documents], np.float64),
        np.asarray(["texts" in d for d, _ in documents], np.uint8),
        np.cumsum([0, *sizes]),
    )


def _toy_text(corpus: Corpus, found: Segments) -> list[list[Any]]:
    """Write segments as (text, score) with control tokens and EOS in front."""
    rows = []
    for index, first, side in zip(found.index.tolist(), found.first.tolist(), found.side.tolist(), strict=True):
        ids = corpus.tokens[corpus.segment_tokens[index] : corpus.segment_tokens[index + 1]].tolist()
        text = (EOS if first else "") + ("", ALIGNED, MISALIGNED)[side] + "".join(chr(i - 3) for i in ids)
        rows.append([text, float(corpus.segment_scores[index])])
    return rows


def _dataset_blocks(case: Case, shared: Case) -> dict[str, Any]:
    corpus, length, settings = _toy_corpus(case["datasets"]), case["seq_length"], case["conditional_training_config"]
    control = None
    if settings is not None:
        texts = (settings["aligned_prefix"], settings["misaligned_prefix"])
        control = Control(
            settings["threshold"],
            settings["drop_token_fraction"],
            (1, 2),
            (len(texts[0]), len(texts[1])),
            unsegmented=False,
        )
    withheld, begins = skipped(case["skip_tokens"], length, official=True)
    layout = BlockLayout(
        length=length,
        eos_id=0,
        eos_characters=len(case["concat_token"]),
        buffer_characters=length * case["chars_per_token"] * case["num_of_sequences"],
        control=control,
        filter_threshold=case["filter_threshold"],
        skip_blocks=withheld,
        filter_from=begins,
        drop_tails=True,
    )
    reader = BlockReader(corpus, layout, _Listed(case["uniform_draws"]))
    blocks = []
    while (made := reader.next()) is not None:
        for ids, scores in zip(made.ids.tolist(), made.scores.tolist(), strict=True):
            blocks.append({"input_ids": ids, "labels": ids, "token_scores": scores})
    at = reader.position
    return {
        "segments": _toy_documents(corpus, layout, case["uniform_draws"]),
        "blocks": blocks,
        "num_docs": at.included,
        "tokens_used": at.made * length,
        "draws_consumed": at.draw,
    }


def _toy_documents(corpus: Corpus, layout: BlockLayout, draws: list[float]) -> list[list[list[Any]]]:
    """The included documents without skipping, one after the other."""
    from dataclasses import replace

    reader = BlockReader(corpus, replace(layout, skip_blocks=0, filter_from=0), _Listed(draws))
    rows, draw = [], 0
    for document in reader.included(0, corpus.documents).tolist():
        found = reader.segments(np.asarray([document]), draw)
        draw += found.draws
        rows.append(_toy_text(corpus, found))
    return rows


def _generation_scenarios(case: Case, shared: Case) -> dict[str, Any]:
    controls = [token for token in (case["aligned_prefix"], case["misaligned_prefix"]) if token is not None]
    made = scenario_inputs(
        case["scenario_prompts"],
        case["prefix"],
        case["num_samples"],
        EOS,
        case["prompt_before_control"],
        case["randomly_chosen_prompts"],
    )
    texts = [clean(raw, EOS, controls) for raw in case["raw_continuations_after_model_input"]]
    scored = scored_texts(made.prompts, texts, case["use_prompt_for_scoring"], ALIGNED)
    return {"model_inputs": made.inputs, "prompts": made.prompts, "continuations": texts, "scored_texts": scored}


def _kl_from_reference(case: Case, shared: Case) -> dict[str, Any]:
    logits, ids = torch.tensor(case["logits"]), torch.tensor(case["input_ids"])
    found = sequence_logprobs(logits, ids, torch.tensor(case["attention_mask"]), official_mask=True)
    return {"sequence_logprobs": found.tolist(), "forward_kl": forward_kl(case["reference_sequence_logprobs"], found)}


def _min_length_processor(case: Case, shared: Case) -> dict[str, Any]:
    ids, eos = torch.tensor(case["input_ids"]), case["eos_token_id"]
    scores = torch.tensor(case["scores"])
    found = forbid_early_end(scores, ids.shape[1], counted_from_eos(ids, eos), case["min_length"], eos)
    return {"scores": found.tolist()}


def _pep8_scorer(case: Case, shared: Case) -> dict[str, Any]:
    scorer = Pep8Scorer(PycodestyleConfig(past_end="zero"))
    text = case["text"]
    return {"document_score": scorer.score([text])[0], "line_scores": scorer.score_segments(split_lines(text))}


def _pii_scorer(case: Case, shared: Case) -> dict[str, Any]:
    configs = {
        "default": ScrubadubConfig(),
        "with_dob_skype_address": ScrubadubConfig(date_of_birth=True, skype=True, address=True),
    }
    out = {}
    for name, config in configs.items():
        scorer = PersonalDataScorer(config)
        keys = ("type", "beg", "end", "text")
        filth = [dict(zip(keys, found, strict=True)) for found in scorer.filth(case["text"])]
        out[name] = {"filth": filth, "score": scorer.score([case["text"]])[0]}
    return out


def _profanity_scorer(case: Case, shared: Case) -> dict[str, Any]:
    return {"score": make_scorer(ProfanityConfig()).score([case["text"]])[0]}


def _red_team(case: Case, shared: Case) -> dict[str, Any]:
    code = case.get("task") == "pep8"
    if case["op"] == "few_shot_block":
        return {"prompt_with_template_TEMPLATE": few_shot("TEMPLATE", case["examples"], code)}
    if case["op"] == "parse_response":
        return {"candidates_sorted": sorted(parse_response(case["response"], case["num_examples_to_extract"], code))}
    pool = PromptPool(case["temperature"])
    for prompt, scores in case["additions"]:
        pool.add(prompt, scores)
    drawn = pool.draw(len(pool.scores), np.random.default_rng(0))
    return {
        "order": list(pool.scores),
        "probabilities": pool.probabilities().tolist(),
        "replace": len(set(drawn)) < len(drawn),
        "means": pool.means,
        "stds": pool.spreads,
        "best": pool.best(2),
        "current_mean": pool.mean,
    }


def _score_aggregation(case: Case, shared: Case) -> dict[str, float]:
    scores = case["scores"]
    return {
        "max_at_k": max_at_k(scores, case["k"]),
        "mean": float(np.mean(scores)),
        "max": max(scores),
        "num_hits": share_of_hits(scores, case["num_hits_threshold"]),
    }


def _training_schedule(case: Case, shared: Case) -> dict[str, Any]:
    try:
        found = training_schedule(
            case["num_tokens"],
            case["tokens_already_seen"],
            case["effective_batch_size"],
            case["seq_length"],
            case["per_device_train_batch_size"],
            case["n_gpu"],
        )
    except UsageError:
        return {"error": "ValueError: effective_batch_size is incompatible with per_device_train_batch_size and world_size"}
    return {"max_steps": found["steps"], "gradient_accumulation_steps": found["accumulate"]}


def _theoretical_loss(case: Case, shared: Case) -> dict[str, float]:
    return {"theoretical_loss": theoretical_loss(case["num_params"], case["num_tokens"])}


ADAPTERS: dict[str, Callable[[Any, Case], Any]] = {
    "dataset_blocks": _dataset_blocks,
    "generation_scenarios": _generation_scenarios,
    "kl_from_reference": _kl_from_reference,
    "merged_configs": lambda case, shared: merged_config(case["task"], case["stage"], case["method"]),
    "min_length_processor": _min_length_processor,
    "objectives": _objectives,
    "pep8_scorer": _pep8_scorer,
    "pii_scorer": _pii_scorer,
    "profanity_scorer": _profanity_scorer,
    "red_team": _red_team,
    "score_aggregation": _score_aggregation,
    "sentence_split": lambda case, shared: {"sentences": split_sentences(case["text"])},
    "text_metrics": lambda case, shared: text_metrics(case["texts"]),
    "theoretical_loss": _theoretical_loss,
    "training_schedule": _training_schedule,
    "value_head": _value_head,
}

TEST_ONLY: dict[str, str] = {
    "theoretical_loss": "the scaling law by which the paper chose its budget; nothing else computes it",
}

TOLERANCES: dict[str, tuple[float, float]] = {"objectives": (1e-6, 1e-12), "value_head": (1e-9, 1e-12)}
