"""The losses of the paper as pure functions of a token's negative log-likelihood, its score and its value.

Notation of the paper (section 2): reward R = -score; v is the value at the position that predicts; p the probability
of the token that comes. All arrays are aligned already: nll[t], scores[t] and values[t] belong to one predicted token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# A chunk of logits of about this many numbers is worked on at a time: 64 MiB in float32.
CHUNK = 2**24
# Below this 1 - p is cut off, so that log(1 - p) stays finite (official code).
SMALLEST = 1e-20


def _working_dtype(logits: Tensor) -> torch.dtype:
    return torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype


class _TokenNll(torch.autograd.Function):
    """Negative log-likelihood without a log-softmax of the whole batch.

    Forward keeps the logits that are there anyway and one number a token; backward writes the gradient over the
    logits, chunk by chunk. So at most one array (tokens, vocabulary) is alive beside one chunk. The logits can't be
    used after the backward pass; autograd refuses if something else had kept them.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, logits: Tensor, labels: Tensor) -> Tensor:
        normaliser = torch.empty(len(logits), dtype=_working_dtype(logits), device=logits.device)
        for rows in _chunks(logits):
            normaliser[rows] = logits[rows].to(normaliser.dtype).logsumexp(dim=-1)
        chosen = logits.gather(1, labels[:, None])[:, 0].to(normaliser.dtype)
        ctx.save_for_backward(logits, labels, normaliser)
        # Rounding may put the logit a hair above the normaliser; a negative nll would make log(1 - p) NaN.
        return (normaliser - chosen).clamp_min(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        logits, labels, normaliser = ctx.saved_tensors  # type: ignore[attr-defined]
        for rows in _chunks(logits):
            probability = (logits[rows].to(normaliser.dtype) - normaliser[rows, None]).exp_()
            index = torch.arange(len(probability), device=logits.device)
            probability[index, labels[rows]] -= 1
            logits[rows] = probability.mul_(upstream[rows, None]).to(logits.dtype)
        return logits, None


def _chunks(logits: Tensor) -> list[slice]:
    step = max(1, CHUNK // logits.shape[1])
    return [slice(start, start + step) for start in range(0, len(logits), step)]


def token_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log p of each label, [batch, length], in float32 (float64 for float64 logits).

    logits: [batch, length, vocabulary]; its memory becomes the gradient's in the backward pass. labels:
    int64[batch, length], negative ones count as id 0 and must have weight zero.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    found: Tensor = _TokenNll.apply(flat, labels.clamp(min=0).reshape(-1))  # type: ignore[no-untyped-call]
    return found.view_as(labels)


def unlikelihood(nll: Tensor) -> Tensor:
    """Return -log(1 - p) of tokens with -log p = nll, with 1 - p cut off at 1e-20 (no gradient there)."""
    return -(-torch.expm1(-nll)).clamp(min=SMALLEST).log()


def share_of_likelihood(scores: Tensor, threshold: float | None) -> Tensor:
    """Return m, how much of each token is likelihood: 1 where score <= threshold, else 0; without threshold 1 - score.

    The soft form is what the official code does for a threshold of 0.
    """
    return 1 - scores if threshold is None else (scores <= threshold).to(scores.dtype)


@dataclass(frozen=True)
class Unlikely:
    """Parts of the unlikelihood loss per token: likelihood = -m log p, unlikelihood = -(1 - m) log(1 - p)."""

    share: Tensor
    likelihood: Tensor
    unlikelihood: Tensor

    def loss(self, alpha: float) -> Tensor:
        """Return likelihood + alpha x unlikelihood of each token."""
        return self.likelihood + alpha * self.unlikelihood


def unlikelihood_loss(nll: Tensor, scores: Tensor, threshold: float | None) -> Unlikely:
    """Return the loss of unlikelihood training by token (section 2.2, "UL"); all [batch, length]."""
    share = share_of_likelihood(scores, threshold).to(nll.dtype)
    return Unlikely(share, share * nll, (1 - share) * unlikelihood(nll))


@dataclass(frozen=True)
class AdvantageOptions:
    """beta: temperature of the weights. largest_weight: they are cut there. clip_value: values are cut to [-1, 0] first.

    fixed_value: stands for the value; 0 is none. use_value: without, the advantage is the reward. normalise: the
    advantage is centred and divided by its standard deviation over the tokens at hand.
    """

    beta: float
    largest_weight: float = 1000.0
    clip_value: bool = False
    fixed_value: float = 0.0
    use_value: bool = True
    normalise: bool = False


@dataclass(frozen=True)
class Regressed:
    """Parts of advantage-weighted regression per token: weighted = w x nll, value_error = (R - v)^2."""

    advantage: Tensor
    weight: Tensor
    value: Tensor | None
    weighted: Tensor
    value_error: Tensor | None

    def loss(self, alpha: float) -> Tensor:
        """Return alpha w nll + (1 - alpha) (R - v)^2 of each token."""
        if self.value_error is None:
            return alpha * self.weighted
        return alpha * self.weighted + (1 - alpha) * self.value_error


def advantages(scores: Tensor, values: Tensor | None, options: AdvantageOptions, real: Tensor | None = None) -> Tensor:
    """Return A = R - v of each token, without gradient (section 2.2, "AWR").

    real: bool[batch, length], which tokens count for `normalise`; nothing means all.
    """
    reward = -scores
    if options.fixed_value:
        # The official code holds the constant in float32.
        found = reward - torch.tensor(options.fixed_value, dtype=torch.float32, device=scores.device)
    elif options.use_value and values is not None:
        found = reward - values.detach()
    else:
        found = reward
    if not options.normalise:
        return found
    counted = found if real is None else found[real]
    if counted.numel() < 2:
        return torch.zeros_like(found)
    return (found - counted.mean()) / (counted.std() + 1e-10)


def advantage_loss(
    nll: Tensor, scores: Tensor, values: Tensor | None, options: AdvantageOptions, real: Tensor | None = None
) -> Regressed:
    """Return the loss of (advantage- or reward-)weighted regression by token; all [batch, length].

    values: of the positions that predict. Without them the advantage is the reward and there is no value error.
    """
    scores = scores.to(nll.dtype)
    if values is not None:
        values = values.to(nll.dtype)
        if options.clip_value:
            values = values.clamp(-1, 0)
    advantage = advantages(scores, values, options, real)
    weight = (advantage / options.beta).exp().clamp(0, options.largest_weight).to(nll.dtype)
    error = None if values is None else (-scores - values).square()
    return Regressed(advantage, weight, values, weight * nll, error)
