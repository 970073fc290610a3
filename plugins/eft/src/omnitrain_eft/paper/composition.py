"""The composition of large and small models at one position: equations of sections 3 and 4 as pure functions.

Symbols: N is the scale of pre-training, M that of fine-tuning. All functions take logits [..., vocabulary] of any float
type, compute in float32 at least, and treat -inf as a token that a model never gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from omnitrain.errors import NumericalError, UsageError

BASE_FLOOR = -30.0


@dataclass(frozen=True)
class Dials:
    """What can be turned while decoding.

    alpha: scale of what fine-tuning changed, log pi_ref^N + alpha sum_i w_i (log pi_i^M - log pi_ref^M).
    beta_up: scale of what more pre-training brings, log pi^M + beta_up (log pi_ref^N - log pi_ref^M); 1 is the paper's.
    weights: w_i of the experts, of any sign; two of them as (lambda, 1 - lambda) interpolate rewards.
    delta_top_p: the up-scaling delta counts only inside this nucleus of the small composition; None for everywhere.
    base_floor: log-probabilities (nats) of small bases are raised to it; None leaves them, so that a token which a base
    alone excludes is an error.
    """

    alpha: float = 1.0
    beta_up: float = 1.0
    weights: tuple[float, ...] = (1.0,)
    delta_top_p: float | None = None
    base_floor: float | None = BASE_FLOOR

    def __post_init__(self) -> None:
        if self.alpha != 1 and self.beta_up != 1:
            raise UsageError(
                f"alpha {self.alpha:g} and beta_up {self.beta_up:g}: these dials differ and only one may be turned; set the "
                "other to 1"
            )
        if not self.weights:
            raise UsageError("weights: at least one expert is needed")
        if self.delta_top_p is not None and not 0 < self.delta_top_p <= 1:
            raise UsageError(f"delta_top_p {self.delta_top_p:g}: expected a number above 0 and at most 1")

    def turned(self, **changes: object) -> Dials:
        """Return the dials with some of them at another value."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def coefficients(self) -> tuple[float, float, tuple[float, ...]]:
        """Coefficients of the large base, of the shared small base beside the experts' own, and of each expert's change."""
        return self.beta_up, 1.0 - self.beta_up, tuple(self.alpha * w for w in self.weights)


def in_float32(logits: Tensor) -> Tensor:
    """Return logits in float32, or as they are where they are wider: differences of bfloat16 logits are mostly noise."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Return bool[..., vocabulary]: a token is kept iff the mass strictly before it, most probable first, is below top_p.

    At least one is kept; of equally probable tokens the one with the smaller id comes first.
    """
    ordered, ids = torch.sort(logits, dim=-1, descending=True, stable=True)
    mass = torch.softmax(ordered, dim=-1)
    before = torch.cumsum(mass, dim=-1) - mass
    kept = before < top_p
    kept[..., 0] = True
    return torch.zeros_like(kept).scatter_(-1, ids, kept)


def cut_to_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Return logits with everything outside the nucleus at -inf."""
    return logits if top_p >= 1 else logits.masked_fill(~nucleus(logits, top_p), -torch.inf)


def _floored(base: Tensor, floor: float | None) -> Tensor:
    """Raise log-probabilities to a floor, in logits: a base that all but excludes a token must not make it likely."""
    if floor is None:
        return base
    return torch.maximum(base, torch.logsumexp(base, dim=-1, keepdim=True) + floor)


def _changes(experts: Sequence[Tensor], bases: Sequence[Tensor], weights: Sequence[float], floor: float | None) -> Tensor:
    """Return sum_i w_i (expert_i - base_i); -inf where an expert alone excludes a token, 0 where both models do."""
    total: Tensor | None = None
    dropped: Tensor | None = None
    for expert, base, weight in zip(experts, bases, weights, strict=True):
        if weight == 0:
            continue
        gone = torch.isneginf(expert)
        absent = torch.isneginf(base)
        change = weight * torch.where(gone, 0.0, expert - _floored(base, floor))
        total = change if total is None else total + change
        alone = gone & ~absent
        dropped = alone if dropped is None else dropped | alone
    if total is None or dropped is None:
        return torch.zeros_like(experts[0])
    return total.masked_fill(dropped, -torch.inf)


def combine(
    large: Tensor, experts: Sequence[Tensor], bases: Sequence[Tensor], dials: Dials, small_base: Tensor | None = None
) -> Tensor:
    """Return z [..., vocabulary], whose softmax is the composed next-token distribution (section 3.1).

    z = beta_up large + (1 - beta_up) small_base + alpha sum_i w_i (expert_i - base_i).
    large: the large base. experts, bases: fine-tuned small models and the base of each, on the same weights' scale.
    small_base: the base that the up-scaling delta refers to; by default the first expert's. Extra rows of longer
    vocabularies are cut. With raw logits z is the raw combination; with delta_top_p every term is a log-softmax.
    Without change (alpha or all weights 0) the large base is returned as it is; with beta_up 0 the small composition.
    """
    size = large.shape[-1]
    large = in_float32(large)
    experts = [in_float32(e[..., :size]) for e in experts]
    bases = [in_float32(b[..., :size]) for b in bases]
    small = bases[0] if small_base is None else in_float32(small_base[..., :size])
    scale_large, scale_small, scale_changes = dials.coefficients
    if dials.delta_top_p is not None:
        return _combine_filtered(large, small, experts, bases, dials)
    z = _changes(experts, bases, scale_changes, dials.base_floor)
    if scale_small:
        z = z + scale_small * _floored(small, dials.base_floor)
    return z + scale_large * large if scale_large else z


def _combine_filtered(large: Tensor, small: Tensor, experts: Sequence[Tensor], bases: Sequence[Tensor], dials: Dials) -> Tensor:
    """Return the combination whose up-scaling delta is zero outside the nucleus of the small composition (section 4.3)."""
    assert dials.delta_top_p is not None
    large, small = large.log_softmax(-1), small.log_softmax(-1)
    floored = _floored(small, dials.base_floor)
    normal = [e.log_softmax(-1) for e in experts], [b.log_softmax(-1) for b in bases]
    changes = _changes(*normal, dials.coefficients[2], dials.base_floor)
    emulated = torch.log_softmax(floored + changes, dim=-1)
    delta = large - floored
    return emulated + torch.where(nucleus(emulated, dials.delta_top_p), dials.beta_up * delta, 0.0)


def check_distribution(z: Tensor) -> None:
    """Refuse combined logits that give no distribution.

    Raises NumericalError where a row has a NaN, +inf, or no token left.
    """
    peak = z.amax(dim=-1)
    if bool(torch.isfinite(peak).all()):
        return
    if bool(torch.isneginf(peak).any()):
        raise NumericalError(
            "every token of a row is excluded by one of the composed models, so there is nothing to draw: check the models' "
            "masks and banned tokens"
        )
    raise NumericalError(
        "the combined logits hold NaN or infinity: a model gave such a logit; check its weights, or load it in float32"
    )


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return half the L1 distance [...] of two distributions given as log-probabilities [..., vocabulary]."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(dim=-1)


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return log-probabilities [...] of tokens int64[...] under logits [..., vocabulary] of the same positions."""
    return torch.log_softmax(in_float32(logits), dim=-1).gather(-1, tokens[..., None]).squeeze(-1)


def implicit_reward(expert: Tensor, base: Tensor, tokens: Tensor, beta: float = 1.0) -> Tensor:
    """Return r(x, y) = beta sum_t log pi(y_t) / pi_ref(y_t), float[...] (section 3).

    expert, base: logits [..., length, vocabulary] whose row t predicts tokens[..., t]. beta: of the KL-constrained RL.
    """
    return beta * (token_log_probs(expert, tokens) - token_log_probs(base, tokens)).sum(dim=-1)


def normalised_improvement(emulated: float, small_tuned: float, large_tuned: float) -> float:
    """Return (EFT - small fine-tuned) / (large fine-tuned - small fine-tuned), not clipped (section 4.1).

    NaN where both fine-tuned models score the same, so that there is no gap to close.
    """
    gap = large_tuned - small_tuned
    return (emulated - small_tuned) / gap if gap else float("nan")
