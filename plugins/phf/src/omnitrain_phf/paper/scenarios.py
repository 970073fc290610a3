"""Scenarios: what a model is given to continue, and what of it is scored (official callbacks.py and scorers.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class ScenarioInputs:
    """prompts: what stands behind EOS in each model input, prefix included. inputs: with EOS in front."""

    prompts: list[str]
    inputs: list[str]


def scenario_inputs(
    prompts: Sequence[str] | None,
    prefix: str | None,
    count: int,
    eos: str,
    prefix_first: bool = True,
    chosen: Sequence[str] | None = None,
) -> ScenarioInputs:
    """Return the inputs of a scenario.

    Without prompts: `count` times the prefix or nothing. With prompts and prefix: every prompt once, whatever `count` is.
    With prompts only: those in `chosen`, drawn before (see `draw_prompts`).
    """
    if prompts is None:
        parts = [prefix or ""] * count
    elif prefix is None:
        parts = list(prompts if chosen is None else chosen)
    else:
        parts = [prefix + prompt if prefix_first else prompt + prefix for prompt in prompts]
    return ScenarioInputs(parts, [eos + part for part in parts])


def draw_prompts(prompts: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    """Return `count` prompts drawn with replacement."""
    return [prompts[i] for i in generator.integers(len(prompts), size=count)]


def clean(raw: str, eos: str, control_tokens: Sequence[str]) -> str:
    """Return a raw continuation without EOS and control tokens; nothing else is taken away."""
    for token in (eos, *control_tokens):
        raw = raw.replace(token, "")
    return raw


def scored_texts(prompts: Sequence[str], continuations: Sequence[str], with_prompt: bool, aligned: str | None) -> list[str]:
    """Return what is scored: continuations, or prompts without the aligned token and continuations."""
    if not with_prompt:
        return list(continuations)
    plain = [prompt.replace(aligned, "") if aligned else prompt for prompt in prompts]
    return [prompt + text for prompt, text in zip(plain, continuations, strict=True)]


def counted_from_eos(input_ids: Tensor, eos_id: int) -> Tensor:
    """Return what the official code takes for a prompt's length: the number of EOS, padding included, int64[batch]."""
    return (input_ids == eos_id).sum(dim=-1)


def forbid_early_end(scores: Tensor, length: int, prompt_length: Tensor, min_length: int, eos_id: int) -> Tensor:
    """Return next-token scores in which rows that are too short can't end.

    scores: [batch, vocabulary]; length: tokens of a row so far, padding included; prompt_length: int64[batch].
    """
    scores = scores.clone()
    scores[length - prompt_length < min_length, eos_id] = -torch.inf
    return scores
