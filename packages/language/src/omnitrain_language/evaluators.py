"""Evaluators `language/nll` and `language/samples`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import (
    Context,
    Evaluation,
    Generates,
    Metric,
    RatioMean,
    Run,
    Sample,
    Scores,
    Table,
    TellsFacts,
)
from omnitrain.engine import check_split, in_order
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.evaluators import NllEvaluatorConfig, SamplesConfig
from omnitrain_language.detokenising import continuation
from omnitrain_language.objectives import group_names


@runtime_checkable
class CountsTokens(Protocol):
    """Data that knows how often each id occurs in a split."""

    def token_counts(self, split: str) -> NDArray[np.int64]:
        """Return int64[vocabulary_size]."""


class TokenMean(RatioMean):
    """Mean loss per token in nats, with the interval of a ratio over rows: tokens of a row depend on each other."""

    def __init__(self) -> None:
        super().__init__("lower", "nats/token")

    def add_tokens(self, losses: torch.Tensor, weights: torch.Tensor) -> None:
        """Add rows. losses (already weighted), weights: float[batch, length]; the metric counts tokens with a weight."""
        self.add(losses.double().sum(dim=-1), weights.double().sum(dim=-1), n=int((weights != 0).sum()))


def perplexity(nll: Metric) -> Metric:
    """Return exp of a mean NLL, with its interval."""
    interval = None if nll.interval is None else (_exp(nll.interval[0]), _exp(nll.interval[1]))
    return Metric(_exp(nll.value), nll.n, "lower", interval)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def unigram_entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy in nats of a token drawn from these counts."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


class NllEvaluator:
    """Mean NLL per token and perplexity of each split, and of each group where one is asked for."""

    def __init__(self, config: NllEvaluatorConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: a split that is not there and tokens that can't be counted are refused."""
        if data is None:
            raise UsageError("it scores data; give the stage a setting data.")
        there = list(data.splits())
        wanted = self.config.splits or [split for split in there if split != "train"]
        absent = [split for split in wanted if split not in there]
        if absent or not wanted:
            what = f"no split {absent[0]!r}" if absent else "nothing to score beside the split 'train'"
            raise DataError(
                f"the data has {what}, only {', '.join(map(repr, there))}; set valid_fraction of the data above 0, or `splits`."
            )
        if self.config.unigram and not isinstance(data, CountsTokens):
            raise UsageError("unigram: this data does not count its tokens; set it to false.")

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Score the splits.

        Raises UsageError when the predictor can't score, or the data names no such groups.
        """
        if not isinstance(predictor, Scores):
            raise UsageError("language/nll needs a predictor that can score batches (ability `score`)")
        config = self.config
        facts = data.facts() if isinstance(data, TellsFacts) else {}
        names = group_names(config.group, facts)
        metrics: dict[str, Metric] = {}
        splits = config.splits or [s for s in data.splits() if s != "train"]
        for split in splits:
            total, groups = self._score(predictor, data, split, names, run)
            found = {f"{split}/nll": total, **{f"{split}/{name}/nll": mean for name, mean in groups.items()}}
            for name, mean in found.items():
                if mean.weight:
                    metrics[name] = mean.metric()
                    metrics[name.removesuffix("nll") + "perplexity"] = perplexity(metrics[name])
        if config.unigram:
            if not isinstance(data, CountsTokens):
                raise UsageError("unigram: this data does not count its tokens; set it to false")
            counts = data.token_counts("train")
            metrics["unigram/nll"] = Metric(unigram_entropy(counts), int(counts.sum()), "none", None, "nats/token")
        rows = [
            [name.removesuffix("/nll"), metric.value, _exp(metric.value), metric.n]
            for name, metric in metrics.items()
            if name.endswith("/nll")
        ]
        return Evaluation(metrics, {"nll": Table(("what", "nll", "perplexity", "tokens"), rows)})

    def _score(
        self, predictor: Scores, data: Any, split: str, names: Sequence[str], run: Run
    ) -> tuple[TokenMean, dict[str, TokenMean]]:
        total, groups = TokenMean(), {name: TokenMean() for name in names}
        seed, most = run.seed("evaluation order"), self.config.max_batches
        with run.progress(f"score {split}") as progress:
            for batch in in_order(data, split, self.config.batch_size, seed=seed, most=most):
                scores = predictor.score(batch).cpu()
                weights = batch["loss_weights"].cpu()
                total.add_tokens(-scores * weights, weights)
                for number, name in enumerate(names):
                    ids = batch[str(self.config.group)].cpu()
                    chosen = weights * ((ids if ids.ndim == 2 else ids[:, None]) == number)
                    groups[name].add_tokens(-scores * chosen, chosen)
                progress.advance()
        return total, groups


class SamplesEvaluator:
    """Continuations of given prompts, or of prompts cut from rows of a split."""

    def __init__(self, config: SamplesConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: a split that prompts are cut from and that is not there is refused."""
        if self.config.prompts is None:
            check_split(data, self.config.split)

    def _prompts(self, predictor: Any, data: Any, run: Run) -> list[tuple[str, str]]:
        """Return (prompt, what the row goes on with)."""
        config = self.config
        if config.prompts is not None:
            return [(prompt, "") for prompt in config.prompts]
        tokenizer = getattr(predictor, "tokenizer", None)
        if tokenizer is None:
            raise UsageError("language/samples: prompts can be cut from data only with a tokenizer; set prompts")
        batch = next(in_order(data, config.split, config.count, seed=run.seed("evaluation order")))
        special = {tokenizer.pad_token_id, tokenizer.eos_token_id}

        def text(ids: list[int], before: Sequence[int] = ()) -> str:
            return continuation(tokenizer, before, [i for i in ids if i not in special], skip_special_tokens=False)

        found = []
        for row in range(len(batch["input_ids"])):
            inputs = batch["input_ids"][row].tolist()
            if "decoder_input_ids" in batch:
                found.append((text(inputs), text(batch["labels"][row].tolist())))
                continue
            prefix = int(batch["prefix_mask"][row].sum()) if "prefix_mask" in batch else config.prompt_tokens
            found.append((text(inputs[:prefix]), text(inputs[prefix : prefix + config.max_new_tokens], inputs[:prefix])))
        return found

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Write the samples.

        Raises UsageError when the predictor can't generate.
        """
        if not isinstance(predictor, Generates):
            raise UsageError("language/samples needs a predictor that can write text (ability `generate_text`)")
        config = self.config
        prompts = self._prompts(predictor, data, run)
        asked = config.asked()
        _check_known(predictor, asked)
        outputs = predictor.generate_text(
            [prompt for prompt, _ in prompts],
            max_new_tokens=config.max_new_tokens,
            seed=run.seed("samples"),
            prefix=config.prefix,
            **asked,
        )
        samples = []
        for (prompt, reference), output in zip(prompts, outputs, strict=True):
            fields = {"prompt": config.prefix + prompt, "output": output}
            samples.append(Sample(fields | ({"reference": reference} if reference else {})))
        return Evaluation(samples={"samples": samples})


def _check_known(predictor: Generates, asked: Iterable[str]) -> None:
    """Refuse settings that a predictor of another kind does not know. Raises UsageError."""
    known = inspect.signature(predictor.generate_text).parameters
    unknown = [name for name in asked if name not in known]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        raise UsageError(f"language/samples: this model knows no {', '.join(unknown)} while it writes: leave them out")


def build_nll(config: NllEvaluatorConfig, context: Context) -> NllEvaluator:
    """Make the evaluator `language/nll`."""
    return NllEvaluator(config)


def build_samples(config: SamplesConfig, context: Context) -> SamplesEvaluator:
    """Make the evaluator `language/samples`."""
    return SamplesEvaluator(config)
