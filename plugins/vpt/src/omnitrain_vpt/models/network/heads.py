"""Action heads and the value head with its moving normaliser."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED_LOGIT = -100.0
LogProbs = dict[str, Tensor]
Choices = Mapping[str, Tensor]


class CategoricalHead(nn.Module):
    """Logits of several independent choices with the same number of classes.

    choices: how many (1 button combination, 20 buttons, 2 camera axes). classes: of each. gain: norm of each output's first
    weights.
    """

    def __init__(self, width: int, choices: int, classes: int, temperature: float, gain: float = 0.01) -> None:
        super().__init__()
        self.choices, self.classes, self.temperature = choices, classes, temperature
        self.linear_layer = nn.Linear(width, choices * classes)
        nn.init.normal_(self.linear_layer.weight, std=gain / math.sqrt(width))
        nn.init.zeros_(self.linear_layer.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log-probabilities float[..., choices, classes].

        mask: bool[..., classes], True where allowed; logits of the others become -100, after the temperature.
        """
        logits = self.linear_layer(x).unflatten(-1, (self.choices, self.classes)) / self.temperature
        if mask is not None:
            logits = logits.masked_fill(~mask, MASKED_LOGIT)
        # Autocast or not, probabilities of thousands of classes want float32.
        return F.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)


class ActionHeads(nn.Module):
    """One head per part of the action. heads: name to (choices, classes), in the order of the state dict."""

    def __init__(self, width: int, heads: Mapping[str, tuple[int, int]], temperature: float, gain: float = 0.01) -> None:
        super().__init__()
        self.names = list(heads)
        for name, (choices, classes) in heads.items():
            self.add_module(name, CategoricalHead(width, choices, classes, temperature, gain))

    def forward(self, x: Tensor, masks: Mapping[str, Tensor] | None = None) -> LogProbs:
        """Return the log-probabilities of every head."""
        masks = masks or {}
        return {name: self.get_submodule(name)(x, masks.get(name)) for name in self.names}


def log_prob(log_probs: LogProbs, actions: Choices) -> Tensor:
    """Return the log-probability of actions, summed over choices and heads, float[...].

    actions: name to classes int64[..., choices]. The camera counts even where the button index says that it rests.
    """
    return _over_heads(
        {name: values.gather(-1, actions[name][..., None].long()).squeeze(-1).sum(-1) for name, values in log_probs.items()}
    )


def entropy(log_probs: LogProbs) -> Tensor:
    """Return the entropy summed over choices and heads, float[...]."""
    return _over_heads({name: -(values.exp() * values).sum((-2, -1)) for name, values in log_probs.items()})


def kl_divergence(log_probs: LogProbs, others: LogProbs) -> Tensor:
    """Return KL(log_probs || others) summed over choices and heads, float[...]; the first argument weighs."""
    return _over_heads({name: (v.exp() * (v - others[name])).sum((-2, -1)) for name, v in log_probs.items()})


def likeliest(log_probs: LogProbs) -> dict[str, Tensor]:
    """Return the likeliest classes int64[..., choices] of every head."""
    return {name: values.argmax(-1) for name, values in log_probs.items()}


def drawn(log_probs: LogProbs, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Draw classes by adding Gumbel noise to the log-probabilities, int64[..., choices] of every head."""
    found = {}
    for name, values in log_probs.items():
        uniform = torch.rand(values.shape, generator=generator, dtype=torch.float32).to(values.device)
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        found[name] = (values + gumbel).argmax(-1)
    return found


def _over_heads(parts: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum(0)


class Normaliser(nn.Module):
    """Moving mean and variance of targets, debiased: v <- beta v + (1 - beta) batch mean, divided by the same of 1."""

    running_mean: Tensor
    running_mean_sq: Tensor
    debiasing_term: Tensor

    def __init__(self, size: int = 1, beta: float = 0.99999, eps: float = 1e-5) -> None:
        super().__init__()
        self.beta, self.eps = beta, eps
        self.running_mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.running_mean_sq = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.debiasing_term = nn.Parameter(torch.tensor(0.0), requires_grad=False)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return (mean, variance), the variance at least 0.01."""
        debias = self.debiasing_term.clamp(min=self.eps)
        mean = self.running_mean / debias
        return mean, (self.running_mean_sq / debias - mean**2).clamp(min=1e-2)

    @torch.no_grad()
    def update(self, targets: Tensor) -> None:
        """Take in targets float[..., size]."""
        targets = targets.to(self.running_mean.dtype)
        dims = tuple(range(targets.ndim - 1))
        for average, value in (
            (self.running_mean, targets.mean(dims)),
            (self.running_mean_sq, (targets**2).mean(dims)),
            (self.debiasing_term, torch.ones_like(self.debiasing_term)),
        ):
            average.mul_(self.beta).add_(value * (1.0 - self.beta))

    def normalise(self, targets: Tensor) -> Tensor:
        """Return (targets - mean) / std."""
        mean, variance = self.moments()
        return (targets - mean) / variance.sqrt()

    def denormalise(self, values: Tensor) -> Tensor:
        """Return values * std + mean."""
        mean, variance = self.moments()
        return values * variance.sqrt() + mean


class ValueHead(nn.Module):
    """A value in normalised space."""

    def __init__(self, width: int, beta: float = 0.99999, eps: float = 1e-5) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.normalizer = Normaliser(1, beta, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised value float[..., 1]."""
        out: Tensor = self.linear(x)
        return out

    def loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Return the squared error to the normalised targets, float[..., 1]; statistics are updated before."""
        self.normalizer.update(targets)
        return (prediction - self.normalizer.normalise(targets)) ** 2

    def reset(self) -> None:
        """Begin anew with output zero and empty statistics, as RL fine-tuning does."""
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
