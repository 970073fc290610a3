"""Speculative sampling as pure functions: accept drafted tokens, draw the next one, choose the block size (section 4.2).

Draft distribution q is the processed fine-tuned small model, target p the full composition after the same processors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """accepted: int64[batch], drafted tokens that stay. next_token: int64[batch], the token behind them.

    ratios: float[batch, block], p/q of every drafted token, unclamped. rejected: bool[batch], whether `next_token` was
    drawn from the residual.
    """

    accepted: Tensor
    next_token: Tensor
    ratios: Tensor
    rejected: Tensor


def draw(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return the first index whose cumulative share exceeds the uniform number, int64[batch].

    weights: float[batch, vocabulary], not negative, not necessarily normalised. uniforms: float[batch] in [0, 1).
    """
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    target = uniforms.to(cumulative)[:, None] * cumulative[:, -1:]
    place = torch.searchsorted(cumulative, target, right=True)
    # Rounding may put the target on the very end: take the last index that has any weight.
    last = (cumulative < cumulative[:, -1:]).sum(dim=-1, keepdim=True)
    return torch.minimum(place, last).squeeze(-1)


def residual(p: Tensor, q: Tensor) -> Tensor:
    """Return max(p - q, 0), not normalised; p itself where rounding leaves nothing."""
    rest = (p - q).clamp(min=0)
    return torch.where(rest.sum(dim=-1, keepdim=True) > 0, rest, p)


def verify(
    p: Tensor, q: Tensor, drafted: Tensor, uniforms: Tensor, next_uniforms: Tensor, bonus: Callable[[], Tensor]
) -> Verdict:
    """Accept drafted tokens while u_i <= p_i(y_i) / q_i(y_i), then draw one more.

    p, q: probabilities [batch, block, vocabulary]; drafted: int64[batch, block]; uniforms: [batch, block];
    next_uniforms: [batch]. bonus: gives p behind the last drafted token, [batch, vocabulary]; called only where a row
    accepts all. After the first rejection the next token comes from normalise(max(p - q, 0)) there, else from the bonus.
    The result has exactly the law of p.
    """
    batch, block = drafted.shape
    chosen = drafted[..., None]
    ratios = p.gather(-1, chosen).squeeze(-1) / q.gather(-1, chosen).squeeze(-1)
    accepted = (uniforms.to(ratios) <= ratios).to(torch.int64).cumprod(dim=-1).sum(dim=-1)
    rejected = accepted < block
    rows = torch.arange(batch, device=drafted.device)
    weights: Tensor | None = None
    if block:
        place = accepted.clamp(max=block - 1)
        weights = residual(p[rows, place], q[rows, place])
    if weights is None or not bool(rejected.all()):
        behind = bonus()
        weights = behind if weights is None else torch.where(rejected[:, None], weights, behind)
    return Verdict(accepted, draw(weights, next_uniforms), ratios, rejected)


def verify_greedy(best: Tensor, drafted: Tensor, bonus: Callable[[], Tensor]) -> Verdict:
    """Accept drafted tokens while they are the target's most probable ones, then append the target's choice.

    best, drafted: int64[batch, block], the target's choice and the draft's at every position. bonus: gives the target's
    choice behind the last drafted token, int64[batch]; called only where a row accepts all.
    """
    batch, block = drafted.shape
    agrees = best == drafted
    accepted = agrees.to(torch.int64).cumprod(dim=-1).sum(dim=-1)
    rejected = accepted < block
    rows = torch.arange(batch, device=drafted.device)
    chosen: Tensor | None = best[rows, accepted.clamp(max=block - 1)] if block else None
    if chosen is None or not bool(rejected.all()):
        behind = bonus()
        chosen = behind if chosen is None else torch.where(rejected, chosen, behind)
    return Verdict(accepted, chosen, agrees.to(torch.float32), rejected)


def tokens_per_round(acceptance: float, block: int) -> float:
    """Return the expected tokens of one round, (1 - a^(K+1)) / (1 - a)."""
    return float(block + 1) if acceptance >= 1 else (1 - acceptance ** (block + 1)) / (1 - acceptance)


def ideal_speedup(acceptance: float, block: int, cost: float) -> float:
    """Return the speed-up over plain decoding: tokens per round x (1 + 2c) / (1 + c (K + 2)).

    acceptance: per token. cost: time of a small forward pass as a share of a large one (c).
    """
    return tokens_per_round(acceptance, block) * (1 + 2 * cost) / (1 + cost * (block + 2))


class BlockSize:
    """The number of drafted tokens: fixed, or the one that the cost model expects to be fastest at the measured acceptance.

    Acceptance is a moving estimate over rounds with the prior of one round at 0.7. The choice depends on counts only,
    never on the clock, so that the same seed gives the same text.
    """

    def __init__(self, largest: int, adaptive: bool, cost: float = 0.1) -> None:
        self._largest, self._adaptive, self._cost = largest, adaptive, cost
        self._accepted, self._judged = 0.7 * largest, float(largest)

    @property
    def acceptance(self) -> float:
        """The current estimate of the acceptance of one token."""
        return self._accepted / self._judged

    def next(self) -> int:
        """Return the block size of the next round."""
        if not self._adaptive:
            return self._largest
        return max(range(1, self._largest + 1), key=lambda k: ideal_speedup(self.acceptance, k, self._cost))

    def observe(self, accepted: int, rejected: int) -> None:
        """Take the counts of a round over all rows; older rounds fade."""
        self._accepted = 0.9 * self._accepted + accepted
        self._judged = 0.9 * self._judged + accepted + rejected
