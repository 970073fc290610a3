"""Red teaming: a pool of prompts that grows by what an attacker proposes (official red_team.py)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

FENCE = "```"
_NUMBER = re.compile(r"^\s*\d+\.\s?")
_BLOCK = re.compile(r"```(.*?)```", re.DOTALL)


@dataclass
class PromptPool:
    """Prompts with all scores that their continuations ever got, in the order in which they came.

    temperature: of the draw of examples, p ~ exp(mean score / temperature).
    """

    temperature: float = 0.1
    scores: dict[str, list[float]] = field(default_factory=dict)

    def add(self, prompt: str, scores: Sequence[float]) -> None:
        """Add a prompt; the scores of a known one are extended."""
        self.scores.setdefault(prompt, []).extend(float(score) for score in scores)

    @property
    def means(self) -> list[float]:
        """Mean score of each prompt."""
        return [float(np.mean(scores)) for scores in self.scores.values()]

    @property
    def spreads(self) -> list[float]:
        """Population standard deviation of each prompt's scores."""
        return [float(np.std(scores)) for scores in self.scores.values()]

    @property
    def mean(self) -> float:
        """Mean of the means."""
        return float(np.mean(self.means))

    def probabilities(self) -> np.ndarray:
        """Return softmax(mean score / temperature), float64[prompts]."""
        logits = np.asarray(self.means) / self.temperature
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())

    def draw(self, count: int, generator: np.random.Generator) -> list[str]:
        """Return different prompts drawn by their probabilities, fewer where the pool is smaller.

        Keys -log(u) / p give the same law as drawing one after the other, also where probabilities round to zero.
        """
        chances = np.maximum(self.probabilities(), 1e-300)
        order = np.argsort(-np.log(generator.random(len(chances))) / chances, kind="stable")
        prompts = list(self.scores)
        return [prompts[i] for i in order[:count]]

    def best(self, count: int) -> list[str]:
        """Return the prompts of highest mean, the earlier of equal ones first."""
        means = np.asarray(self.means)
        prompts = list(self.scores)
        return [prompts[i] for i in np.argsort(-means, kind="stable")[:count]]

    def summary(self, prompts: Sequence[str] | None = None) -> dict[str, float]:
        """Return best, mean of the best 10 and 100, and mean of the pool, or of some of its prompts."""
        chosen = list(self.scores) if prompts is None else list(dict.fromkeys(prompts))
        means = sorted((float(np.mean(self.scores[prompt])) for prompt in chosen), reverse=True)
        if not means:
            return {}
        return {
            "best": means[0],
            "best 10": float(np.mean(means[:10])),
            "best 100": float(np.mean(means[:100])),
            "mean": float(np.mean(means)),
        }


def few_shot(template: str, examples: Sequence[str], code: bool) -> str:
    """Return what the attacker is asked: the template and examples, numbered with the next number open, or as code blocks."""
    if code:
        return template + "\n" + "".join(f"{FENCE}\n{example}\n{FENCE}\n\n" for example in examples)
    lines = "".join(f"{number}. {example}\n" for number, example in enumerate(examples, 1))
    return f"{template}\n{lines}{len(examples) + 1}."


def parse_response(response: str, count: int, code: bool) -> set[str]:
    """Return the prompts that a response proposes: its first `count` lines without number and outer blanks, or all blocks."""
    if code:
        return {block.strip() for block in _BLOCK.findall(response)}
    return {_NUMBER.sub("", line).strip() for line in response.split("\n")[:count]}
