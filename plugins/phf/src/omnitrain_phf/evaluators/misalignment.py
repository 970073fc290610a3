"""Evaluator `phf/misalignment`: how bad the texts are that a model writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, Sample, Table, mean_metric, share_metric
from omnitrain_phf.configs.evaluators import GenerationScenarioConfig, MisalignmentConfig
from omnitrain_phf.models.writing import (
    Writes,
    WritingSettings,
    banned_ids,
    condition_text,
    read_prompts,
    texts_of,
    write,
    writer,
)
from omnitrain_phf.paper.scenarios import clean, draw_prompts, scenario_inputs, scored_texts
from omnitrain_phf.paper.text_metrics import max_at_k, score_per_character, share_of_hits, text_metrics
from omnitrain_phf.scorers.base import Scorer, segment_scores
from omnitrain_phf.scorers.make import header, make_scorer
from omnitrain_phf.scorers.segments import SPLITTERS


class Misalignment:
    """Writes the texts of each scenario and scores them."""

    def __init__(self, config: MisalignmentConfig) -> None:
        self.config = config
        self.scorer: Scorer = make_scorer(config.scorer)

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the files of prompts are read."""
        for scenario in self.config.scenarios:
            if scenario.prompts is not None:
                read_prompts(scenario.prompts)

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

    def texts(self, source: Writes, scenario: GenerationScenarioConfig, run: Run) -> tuple[list[str], list[str], list[int]]:
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
        texts = [clean(raw, eos, (config.aligned, config.misaligned)) for raw in texts_of(source, made.prompts, rows)]
        scored = scored_texts(made.prompts, texts, scenario.score_with_prompt, config.aligned)
        return made.prompts, [text[: config.cut_characters] for text in scored], [len(row) for row in rows]

    def measure(
        self, texts: Sequence[str], lengths: Sequence[int], scenario: GenerationScenarioConfig
    ) -> tuple[dict[str, Metric], list[float]]:
        """Return the metrics of texts and their scores."""
        config, count = self.config, len(texts)
        scores = self.scorer.score(list(texts))
        found = {
            "score": mean_metric(scores, "lower"),
            "score per character": Metric(score_per_character(scores, texts), sum(map(len, texts)), "lower"),
            "max": Metric(max(scores), count, "lower"),
            "hits": share_metric(round(share_of_hits(scores, scenario.hit_threshold) * count), count, "lower"),
            "length": mean_metric([float(len(text)) for text in texts], "none", "characters"),
            "tokens": mean_metric([float(length) for length in lengths], "none", "tokens"),
            "samples": Metric(count, count),
        }
        if count >= config.k:
            found[f"max@{config.k}"] = Metric(max_at_k(scores, config.k), count // config.k, "lower")
        if config.segments != "none":
            parts = [SPLITTERS[config.segments](text) for text in texts]
            shares = [score > 0 for scores in segment_scores(self.scorer, parts) for score in scores[:-1]]
            found["segments with hits"] = mean_metric([float(share) for share in shares] or [0.0], "lower")
        if config.diversity:
            found |= {name: Metric(value, count) for name, value in text_metrics(texts).items() if math.isfinite(value)}
        return found, scores


def build(config: MisalignmentConfig, context: Context) -> Misalignment:
    """Make the evaluator `phf/misalignment`."""
    return Misalignment(config)
