"""Evaluator `eft/throughput`: tokens a second of plain and speculative decoding, beside the cost model (section 4.2)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, Table
from omnitrain_eft.configs.evaluators import ThroughputConfig
from omnitrain_eft.evaluators.teacher_forcing import check_dialogues, composition_of, dialogues_of
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.decoding.loop import Counts, Decoding, Generated, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder, SingleDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.decoding.speculative import generate_speculatively
from omnitrain_eft.models.ensemble import Ensemble, Prompts
from omnitrain_eft.models.predictor import CompositionPredictor
from omnitrain_eft.paper.speculation import ideal_speedup

LARGE_ALONE, SMALL_ALONE, PLAIN = "large model alone", "small model alone", "plain"


@dataclass
class Measured:
    """Texts, counts and seconds of one variant over all prompts; seconds of each round."""

    texts: list[list[int]]
    counts: Counts
    seconds: list[float]

    @property
    def rate(self) -> float:
        """Tokens a second, the median round."""
        return self.counts.tokens / statistics.median(self.seconds)


def variants(
    model: CompositionModel, blocks: Sequence[int], eos: Sequence[int]
) -> dict[str, Callable[[Prompts, Decoding], Generated]]:
    """Return what is timed, by name: single models, the plain loop, speculative ones."""
    ensemble = model.ensemble()
    pad, ids, dials = model.pad, ensemble.vocabulary, model.dials
    expert = ensemble.small[ensemble.draft(dials)]

    def single(member: Any) -> Callable[[Prompts, Decoding], Generated]:
        return lambda prompts, settings: generate(SingleDecoder(member, pad, ids), prompts, settings, eos, pad)

    def plain(prompts: Prompts, settings: Decoding) -> Generated:
        return generate(CompositionDecoder(ensemble, dials, model.settings.stacked), prompts, settings, eos, pad)

    def speculative(block: int) -> Callable[[Prompts, Decoding], Generated]:
        return lambda prompts, settings: generate_speculatively(
            ensemble, dials, prompts, replace(settings, block_size=block), eos, pad
        )

    found = {LARGE_ALONE: single(ensemble.large), SMALL_ALONE: single(expert), PLAIN: plain}
    return found | {f"speculative {block}": speculative(block) for block in blocks}


class Throughput:
    """Variants in turn, round after round; each reads the same prompts with the same seeds."""

    def __init__(self, config: ThroughputConfig, seed: int) -> None:
        self.config, self._seed = config, seed

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, and a split that is not there, are refused."""
        check_dialogues(data, "eft/throughput", self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Decode with every variant. Rates go to timing.jsonl, since metrics don't depend on the clock.

        Raises UsageError for other models or data.
        """
        model = composition_of(predictor, "eft/throughput")
        assert isinstance(predictor, CompositionPredictor)
        config, dialogues = self.config, dialogues_of(data, "eft/throughput")
        rows = [row.prompt for row in dialogues.rows(config.split)[: config.prompts]]
        found: dict[str, Measured] = {}
        ways = variants(model, config.blocks, predictor.eos_ids)
        with run.progress("throughput", (config.rounds if config.timed else 1) * len(ways)) as progress:
            for number in range(config.rounds if config.timed else 1):
                for name, way in ways.items():
                    measured = self._run(way, rows, model.ensemble())
                    if number:
                        found[name].seconds += measured.seconds
                    else:
                        found[name] = measured
                    progress.advance()
        return self._evaluation(found, run)

    def _run(self, way: Callable[[Prompts, Decoding], Generated], rows: list[list[int]], ensemble: Ensemble) -> Measured:
        config, total, texts = self.config, Counts(), []
        settings = Decoding(config.max_new_tokens, Processing(temperature=config.temperature), self._seed)
        started = time.perf_counter()
        for first in range(0, len(rows), config.batch_size):
            part = rows[first : first + config.batch_size]
            made = way(Prompts.shared(part, len(ensemble.small)), replace(settings, first_text=first))
            texts += made.rows
            for name, value in vars(made.counts).items():
                setattr(total, name, getattr(total, name) + value)
        return Measured(texts, total, [time.perf_counter() - started])

    def _evaluation(self, found: dict[str, Measured], run: Run) -> Evaluation:
        metrics: dict[str, Metric] = {}
        plain = found[PLAIN]
        rows: list[list[Any]] = []
        timings: dict[str, float] = {}
        cost = _seconds_per_pass(found[SMALL_ALONE]) / _seconds_per_pass(found[LARGE_ALONE])
        for name, measured in found.items():
            counts = measured.counts
            speculative = name.startswith("speculative")
            row: list[Any] = [name, counts.tokens, counts.large_passes / counts.tokens, "", ""]
            if speculative:
                judged = counts.accepted + counts.rejected
                acceptance = counts.accepted / judged if judged else 1.0
                per_round = 1 + counts.accepted / counts.rounds if counts.rounds else 1.0
                metrics[f"{name}/acceptance"] = Metric(acceptance, judged, "higher")
                metrics[f"{name}/large passes a token"] = Metric(counts.large_passes / counts.tokens, counts.tokens, "lower")
                metrics[f"{name}/tokens a round"] = Metric(per_round, counts.rounds, "higher")
                row[3:] = [acceptance, per_round]
                if self.config.temperature == 0:
                    same = sum(a == b for a, b in zip(measured.texts, plain.texts, strict=True)) / len(plain.texts)
                    metrics[f"{name}/identical to plain"] = Metric(same, len(plain.texts), "higher")
            if self.config.timed:
                timings[f"{name}/tokens_per_second"] = measured.rate
                ratios = sorted(
                    (counts.tokens / own) / (plain.counts.tokens / other)
                    for own, other in zip(measured.seconds, plain.seconds, strict=True)
                )
                timings[f"{name}/speedup"] = statistics.median(ratios)
                ideal: Any = ""
                if speculative:
                    ideal = ideal_speedup(metrics[f"{name}/acceptance"].value, int(name.split()[1]), cost)
                    timings[f"{name}/predicted"] = ideal
                row += [measured.rate, timings[f"{name}/speedup"], ideal]
            rows.append(row)
        if self.config.timed:
            timings["cost"] = cost
            run.timing(0, timings)
        columns: tuple[str, ...] = ("variant", "tokens", "large passes a token", "acceptance", "tokens a round")
        if self.config.timed:
            columns += ("tokens a second", "against plain", "predicted")
        caption = f"Batch {self.config.batch_size}, temperature {self.config.temperature:g}."
        if self.config.timed:
            caption += f" A small pass costs {cost:.3f} of a large one; predicted is (1-a^(K+1))/(1-a) (1+2c)/(1+c(K+2))."
        return Evaluation(metrics, {"throughput": Table(columns, rows, caption)})


def _seconds_per_pass(measured: Measured) -> float:
    return statistics.median(measured.seconds) / measured.counts.large_passes


def build(config: ThroughputConfig, context: Context) -> Throughput:
    """Make the evaluator `eft/throughput`."""
    return Throughput(config, context.seed("decoding"))
