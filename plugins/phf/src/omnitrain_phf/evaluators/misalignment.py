"""Evaluators `phf/misalignment`, `phf/kl`, `phf/clean-nll` and `phf/values`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from omnitrain.api import Context, Evaluation, Metric, Run, Sample, Scores, Table
from omnitrain.errors import DataError, UsageError
from omnitrain_language.evaluators import RatioMean, evaluation_batches
from omnitrain_language.objectives import model_inputs
from omnitrain_language.predictor import evaluating
from omnitrain_phf.configs.evaluators import CleanNllConfig, KlConfig, MisalignmentConfig, ScenarioConfig, ValuesConfig
from omnitrain_phf.models.writing import (
    Writes,
    WritingSettings,
    banned_ids,
    condition_text,
    context_length,
    decode,
    encode,
    other_predictor,
    read_prompts,
    token_of,
    write,
    writer,
)
from omnitrain_phf.objectives import regression_statistics
from omnitrain_phf.paper.kl import forward_kl, insert_prefix, sequence_logprobs
from omnitrain_phf.paper.losses import AdvantageOptions, advantage_loss, token_nll
from omnitrain_phf.paper.scenarios import clean, draw_prompts, scenario_inputs, scored_texts
from omnitrain_phf.paper.text_metrics import max_at_k, score_per_character, share_of_hits, text_metrics
from omnitrain_phf.scorers.make import Scorer, header, make_scorer
from omnitrain_phf.scorers.segments import SPLITTERS


def mean_metric(values: Sequence[float], direction: Any = "lower", unit: str = "") -> Metric:
    """Return a mean with its 95 % interval."""
    interval = None
    if len(values) > 1:
        error = 1.96 * stdev(values) / math.sqrt(len(values))
        interval = (fmean(values) - error, fmean(values) + error)
    return Metric(fmean(values), len(values), direction, interval, unit)


class Misalignment:
    """Writes the texts of each scenario and scores them."""

    def __init__(self, config: MisalignmentConfig) -> None:
        self.config = config
        self.scorer: Scorer = make_scorer(config.scorer)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return scores, lengths and, where asked for, diversity of each scenario.

        Raises UsageError for a model that can't write, or lacks the control tokens that are asked for.
        """
        source = writer(predictor, "phf/misalignment")
        metrics: dict[str, Metric] = {}
        samples: dict[str, list[Sample]] = {}
        rows = []
        for scenario in self.config.scenarios:
            prompts, texts, lengths = self.texts(source, scenario, run)
            found, scores = self.measure(texts, lengths, scenario)
            metrics |= {f"{scenario.name}/{name}": metric for name, metric in found.items()}
            order = sorted(range(len(texts)), key=lambda i: -scores[i])[: self.config.show]
            samples[scenario.name] = [
                Sample({"prompt": prompts[i], "text": texts[i], "score": f"{scores[i]:.4g}"}) for i in order
            ]
            rows.append([scenario.name, *(found[name].value for name in ("score", "score per character", "hits", "length"))])
        about = header(self.config.scorer)
        note = "; ".join([f"scorer {about['scorer']} {about['versions']}", *about["notes"]])
        columns = ("scenario", "score", "score per character", "hits", "characters")
        return Evaluation(metrics, {"misalignment": Table(columns, rows, note)}, samples)

    def texts(self, source: Writes, scenario: ScenarioConfig, run: Run) -> tuple[list[str], list[str], list[int]]:
        """Return (prompts, scored texts, numbers of new tokens) of a scenario."""
        config = self.config
        prefix = condition_text(source, scenario.condition, config) or None
        prompts = None if scenario.prompts is None else read_prompts(scenario.prompts)
        chosen = None
        if prompts is not None and prefix is None:
            from omnitrain.api import numpy_generator

            chosen = draw_prompts(prompts, scenario.samples, numpy_generator(run.seed(f"prompts {scenario.name}")))
        eos = str(source.tokenizer.eos_token)
        made = scenario_inputs(prompts, prefix, scenario.samples, eos, scenario.control_first, chosen)
        official = scenario.min_length_counting == "official"
        settings = WritingSettings(
            max_length=scenario.max_length,
            new_tokens=scenario.new_tokens,
            min_new_tokens=0 if official else scenario.min_length,
            official_min_length=scenario.min_length if official else 0,
            temperature=scenario.temperature,
            top_p=scenario.top_p,
            top_k=scenario.top_k,
            banned_ids=banned_ids(source, scenario.ban, config),
            batch_size=config.batch_size,
            seed=run.seed(f"samples {scenario.name}"),
        )
        with run.progress(f"write {scenario.name}", len(made.prompts)) as progress:
            rows = write(source, made.prompts, settings, progress)
        texts = [clean(raw, eos, (config.aligned, config.misaligned)) for raw in decode(source, rows)]
        scored = scored_texts(made.prompts, texts, scenario.score_with_prompt, config.aligned)
        return made.prompts, [text[: config.cut_characters] for text in scored], [len(row) for row in rows]

    def measure(
        self, texts: Sequence[str], lengths: Sequence[int], scenario: ScenarioConfig
    ) -> tuple[dict[str, Metric], list[float]]:
        """Return the metrics of texts and their scores."""
        config, count = self.config, len(texts)
        scores = self.scorer.score(list(texts))
        found = {
            "score": mean_metric(scores),
            "score per character": Metric(score_per_character(scores, texts), sum(map(len, texts)), "lower"),
            "max": Metric(max(scores), count, "lower"),
            "hits": mean_metric([float(score > scenario.hit_threshold) for score in scores]),
            "length": mean_metric([float(len(text)) for text in texts], "none", "characters"),
            "tokens": mean_metric([float(length) for length in lengths], "none", "tokens"),
            "samples": Metric(count, count),
        }
        found["hits"] = Metric(share_of_hits(scores, scenario.hit_threshold), count, "lower", found["hits"].interval)
        if count >= config.k:
            found[f"max@{config.k}"] = Metric(max_at_k(scores, config.k), count // config.k, "lower")
        if config.segments != "none":
            shares = [score > 0 for text in texts for score in self._complete(text)]
            found["segments with hits"] = mean_metric([float(share) for share in shares] or [0.0])
        if config.diversity:
            found |= {name: Metric(value, count) for name, value in text_metrics(texts).items() if math.isfinite(value)}
        return found, scores

    def _complete(self, text: str) -> list[float]:
        return self.scorer.score_segments(SPLITTERS[self.config.segments](text))[:-1]


class Kl:
    """KL(reference || model) in nats a text."""

    def __init__(self, config: KlConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Any, /) -> Evaluation:
        """Return the divergence.

        Raises UsageError for a model that is no causal language model, DataError for a file without texts.
        """
        config, model = self.config, writer(predictor, "phf/kl")
        texts, reference = self._file(str(config.texts)) if config.texts is not None else self._sampled(model, run)
        prefix = condition_text(model, config.condition, config)
        prefixed = [insert_prefix(text, prefix, config.prefix_each_line) if prefix else text for text in texts]
        own = self._logprobs(model, prefixed, prefix, run)
        differences = [r - o for r, o in zip(reference, own, strict=True)]
        metric = mean_metric(differences, "lower", "nats/text")
        metrics = {"kl": Metric(forward_kl(reference, own), metric.n, "lower", metric.interval, "nats/text")}
        metrics["characters"] = mean_metric([float(len(text)) for text in texts], "none")
        return Evaluation(metrics)

    def _file(self, path: str) -> tuple[list[str], list[float]]:
        """Read texts with log-probabilities. Raises DataError naming the line of a malformed one."""
        texts: list[str] = []
        found: list[float] = []
        try:
            with Path(path).expanduser().open(encoding="utf-8") as file:
                lines = list(islice(file, self.config.samples))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"texts {path}: can't be read as UTF-8 text ({error})") from error
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                text, value = record["text"], float(record["logprob"])
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f'{path}:{number}: expected {{"text": ..., "logprob": ...}} ({error!r})') from error
            if not isinstance(text, str) or not math.isfinite(value):
                raise DataError(f"{path}:{number}: text must be a string and logprob a finite number")
            texts.append(text)
            found.append(value)
        if not texts:
            raise DataError(f"texts {path}: holds none")
        return texts, found

    def _sampled(self, model: Writes, run: Any) -> tuple[list[str], list[float]]:
        config = self.config
        assert config.reference is not None
        device = next(model.model.parameters()).device
        reference = other_predictor(config.reference, run, device)
        settings = WritingSettings(
            max_length=config.max_tokens + 1,
            min_new_tokens=1,
            temperature=1.0,
            top_p=1.0,
            batch_size=config.batch_size,
            banned_ids=banned_ids(reference, "both", config),
            seed=run.seed("reference"),
        )
        with run.progress("write reference texts", config.samples) as progress:
            texts = decode(reference, write(reference, [""] * config.samples, settings, progress))
        return texts, self._logprobs(reference, texts, "", run)

    def _logprobs(self, source: Writes, texts: Sequence[str], prefix: str, run: Any) -> list[float]:
        """Return the summed log-probability of each text's own tokens; control tokens are context."""
        found: list[float] = []
        control = token_of(source, prefix) if prefix else None
        device = next(source.model.parameters()).device
        pad = source.eos_ids[0]
        rows = [encode(source, text) for text in texts]
        limit, longest = context_length(source), max(map(len, rows))
        if limit is not None and longest > limit:
            raise UsageError(f"a text has {longest} tokens, the model is made for {limit}: lower max_tokens or cut the texts")
        with run.progress("score texts", len(texts)) as progress, evaluating(source.model):
            for first in range(0, len(rows), self.config.batch_size):
                batch = rows[first : first + self.config.batch_size]
                width = max(map(len, batch))
                ids = torch.tensor([row + [pad] * (width - len(row)) for row in batch], device=device)
                mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch], device=device)
                logits = source.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
                counted = mask if control is None else mask * (ids != control)
                if self.config.official_mask:
                    counted = mask
                found += sequence_logprobs(logits, ids, counted, self.config.official_mask).double().tolist()
                progress.advance(len(batch))
        return found


class CleanNll:
    """NLL per token over the tokens of good segments."""

    def __init__(self, config: CleanNllConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the mean over tokens.

        Raises UsageError for a predictor that can't score, or data without scores.
        """
        if not isinstance(predictor, Scores) or "token_scores" not in getattr(data, "batch", {}):
            raise UsageError("phf/clean-nll needs a model that can score batches and data with token_scores (phf/scored-text)")
        config, mean = self.config, RatioMean()
        tokenizer = getattr(predictor, "tokenizer", None)
        known = {} if tokenizer is None else tokenizer.get_vocab()
        controls = torch.tensor([known[t] for t in (config.aligned, config.misaligned) if t in known], dtype=torch.int64)
        batches = evaluation_batches(data, config.split, config.batch_size, run.seed("evaluation order"))
        with run.progress(f"score {config.split}") as progress:
            for batch in islice(batches, config.max_batches):
                counted = (batch["token_scores"] <= config.threshold) & ~torch.isin(batch["labels"], controls)
                weights = batch["loss_weights"] * counted
                mean.add(-predictor.score(batch).cpu() * weights, weights)
                progress.advance()
        metric = mean.metric()
        if metric is None:
            raise DataError(
                f"split {config.split!r} has no token with a score of at most {config.threshold:g}; raise threshold"
            )
        return Evaluation({"nll": metric})


class Values:
    """What the value head says beside the scores that come."""

    def __init__(self, config: ValuesConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return extremes, spread and correlation over all tokens.

        Raises UsageError for a model without value head, or data without scores.
        """
        config = self.config
        model: Any = getattr(predictor, "model", None)
        if not getattr(model, "has_values", False) or "token_scores" not in getattr(data, "batch", {}):
            raise UsageError("phf/values needs a phf/causal model with value_head: {} and data with token_scores")
        device = next(model.parameters()).device
        nll, values, scores = [], [], []
        batches = evaluation_batches(data, config.split, config.batch_size, run.seed("evaluation order"))
        with evaluating(model):
            for batch in islice(batches, config.max_batches):
                moved = {name: value.to(device) for name, value in batch.items()}
                out = model(**model_inputs(moved), use_cache=False, with_values=True)
                real = batch["loss_weights"] != 0
                nll.append(token_nll(out.logits, moved["labels"]).cpu()[real])
                values.append(out.values.cpu()[real])
                scores.append(batch["token_scores"][real])
        told, score = torch.cat(values), torch.cat(scores)
        found = advantage_loss(torch.cat(nll), score, told, AdvantageOptions(config.beta))
        statistics = regression_statistics(found, score, torch.ones_like(score, dtype=torch.bool))
        statistics["value_avg"] = float(told.mean())
        return Evaluation({name: Metric(v, len(score)) for name, v in statistics.items() if math.isfinite(v)})


def build_misalignment(config: MisalignmentConfig, context: Context) -> Misalignment:
    """Make the evaluator `phf/misalignment`."""
    return Misalignment(config)


def build_kl(config: KlConfig, context: Context) -> Kl:
    """Make the evaluator `phf/kl`."""
    return Kl(config)


def build_clean_nll(config: CleanNllConfig, context: Context) -> CleanNll:
    """Make the evaluator `phf/clean-nll`."""
    return CleanNll(config)


def build_values(config: ValuesConfig, context: Context) -> Values:
    """Make the evaluator `phf/values`."""
    return Values(config)
