"""Evaluator `eft/judged`: replies that arms write, graded by judges, with normalised improvement (section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omnitrain.api import Context, Evaluation, Metric, Run, Sample, Table, mean_metric
from omnitrain.errors import DataError
from omnitrain_eft.configs.evaluators import ArmConfig, JudgedConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.prompted import content_of
from omnitrain_eft.evaluators.judges import Judge, Submission, make_judge
from omnitrain_eft.evaluators.teacher_forcing import check_dialogues, composition_of, dialogues_of, improvement
from omnitrain_eft.models.composition import LORA, TUNED, CompositionModel
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder, SingleDecoder, Steps
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.ensemble import Ensemble, Prompts
from omnitrain_eft.models.predictor import CompositionPredictor
from omnitrain_eft.paper.composition import Dials
from omnitrain_language.detokenising import continuation
from omnitrain_language.dialogues.messages import messages_of
from omnitrain_language.dialogues.rows import Dialogue
from omnitrain_language.dialogues.templates import prompt_text

Grades = Mapping[str, Sequence[float | None]]


def steps_of(arm: ArmConfig, model: CompositionModel) -> Steps | None:
    """Return a fresh decoder of an arm, None where the composition lacks the member."""
    ensemble, config = model.ensemble(), model.settings
    tuned = model.member(TUNED)
    if arm.down:
        if tuned is None:
            return None
        base = ensemble.small[ensemble.shared_base]
        down = Ensemble(base, [tuned, ensemble.large], [0], [1], 1, ensemble.pad, ensemble.vocabulary)
        return CompositionDecoder(down, Dials(base_floor=config.base_floor), config.stacked)
    if arm.member == "composition":
        return CompositionDecoder(ensemble, model.turned(arm.alpha, arm.beta_up, None, arm.delta_top_p), config.stacked)
    members: dict[str, Any] = {
        "large base": ensemble.large,
        "small base": ensemble.small[ensemble.shared_base],
        "small fine-tuned": ensemble.small[ensemble.draft(model.dials)],
        "large fine-tuned": tuned,
        "large LoRA": model.member(LORA),
    }
    member = members[arm.member]
    return None if member is None else SingleDecoder(member, ensemble.pad, ensemble.vocabulary)


class JudgedReplies:
    """Every arm replies to the same prompts with the same draws; every judge grades every reply."""

    def __init__(self, config: JudgedConfig, seed: int, bootstrap_seed: int, judges: Mapping[str, Judge] | None = None) -> None:
        self.config, self._seed, self._bootstrap_seed, self._judges = config, seed, bootstrap_seed, judges

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, and a split that is not there, are refused."""
        check_dialogues(data, "eft/judged", self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Write, grade and compare.

        Raises UsageError for other models or data, DataError where there is no prompt.
        """
        model = composition_of(predictor, "eft/judged")
        assert isinstance(predictor, CompositionPredictor)
        dialogues = dialogues_of(data, "eft/judged")
        asked = [d for d, _ in zip(dialogues.items(self.config.split), range(self.config.prompts), strict=False)]
        if not asked:
            raise DataError(f"split {self.config.split!r} has no prompt to reply to")
        judges = self._judges or {judge.name: make_judge(judge, run) for judge in self.config.judges}
        replies = self._replies(model, predictor, dialogues, asked, run)
        items = {arm: _items(asked, texts) for arm, texts in replies.items()}
        graded = {name: {arm: judge(items[arm]) for arm in items} for name, judge in judges.items()}
        return self._evaluation(graded, items)

    def _replies(
        self,
        model: CompositionModel,
        predictor: CompositionPredictor,
        data: DialoguesData,
        asked: Sequence[Dialogue],
        run: Run,
    ) -> dict[str, list[str]]:
        config, found = self.config, {}
        pad = model.pad
        rows = [data.prompt(d.prompt) for d in asked]
        with run.progress("replies", len(config.arms) * len(rows)) as progress:
            for arm in config.arms:
                texts: list[str] = []
                for first in range(0, len(rows), config.batch_size):
                    steps = steps_of(arm, model)
                    if steps is None:
                        break
                    part = rows[first : first + config.batch_size]
                    processing = Processing(temperature=config.temperature, top_p=arm.top_p)
                    settings = Decoding(config.max_new_tokens, processing, self._seed, first)
                    small = len(steps.ensemble.small) if isinstance(steps, CompositionDecoder) else 0
                    made = generate(steps, Prompts.shared(part, small), settings, predictor.eos_ids, pad)
                    written = zip(part, made.without_eos(), strict=True)
                    texts += [continuation(predictor.tokenizer, prompt, row) for prompt, row in written]
                    progress.advance(len(part))
                if texts:
                    found[arm.name] = texts
        return found

    def _evaluation(self, graded: Mapping[str, Grades], items: Mapping[str, Sequence[Submission]]) -> Evaluation:
        config, metrics = self.config, dict[str, Metric]()
        rows: list[list[Any]] = []
        for criterion, grades in graded.items():
            for arm, values in grades.items():
                mean = mean_metric([v for v in values if v is not None], "higher")
                unread = len(values) - mean.n
                if mean.n:
                    metrics[f"{arm}/{criterion}"] = mean
                metrics[f"{arm}/{criterion} unparsable"] = Metric(float(unread), len(values), "lower")
                gained = self._improvement(arm, grades)
                if gained is not None:
                    metrics[f"{arm}/{criterion} improvement"] = gained
                shown: list[Any] = ["", "", ""] if gained is None else [gained.value, *(gained.interval or ("", ""))]
                rows.append([criterion, arm, mean.value, *(mean.interval or ("", "")), mean.n, unread, *shown])
        columns = ("criterion", "model", "mean", "low", "high", "graded", "unparsable", "improvement", "low", "high")
        caption = "Improvement: (model - small fine-tuned) / (large fine-tuned - small fine-tuned). Intervals: 95 %."
        samples = {
            arm: [Sample({"prompt": i.prompt, "reply": i.reply, "reference": i.reference}) for i in found[: config.samples]]
            for arm, found in items.items()
        }
        return Evaluation(metrics, {"judged": Table(columns, rows, caption)}, samples if config.samples else {})

    def _improvement(self, arm: str, grades: Grades) -> Metric | None:
        """Return the normalised improvement over the prompts that all three models have grades for."""
        anchors = ("small fine-tuned", "large fine-tuned")
        if arm in anchors or any(name not in grades for name in anchors):
            return None
        three = list(zip(grades[arm], grades[anchors[0]], grades[anchors[1]], strict=True))
        known = np.asarray([row for row in three if None not in row], np.float64)
        if not len(known):
            return None
        ones = np.ones(len(known))
        return improvement([(known[:, i], ones) for i in range(3)], self._bootstrap_seed)


def _items(asked: Sequence[Dialogue], texts: Sequence[str]) -> list[Submission]:
    return [
        Submission(prompt_text(messages_of(d.prompt), "plain"), text, content_of(d))
        for d, text in zip(asked, texts, strict=True)
    ]


def build(config: JudgedConfig, context: Context) -> JudgedReplies:
    """Make the evaluator `eft/judged`."""
    return JudgedReplies(config, context.seed("replies"), context.seed("bootstrap"))
