"""`compat: official`: the fitting of the official code, quirks included. The default is omnitrain_w2pgnn.paper.feasibility.

Its loss is an entropic Gromov-Wasserstein value whose loose Sinkhorn stop leaves couplings without the right mass, so that it
can be negative; its distance is the KL one, which is not symmetric and can be NaN. Nothing else uses these functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import ot  # type: ignore[import-untyped, unused-ignore]
import torch
from torch import Tensor

from omnitrain.errors import NumericalError
from omnitrain_w2pgnn.graphs.structure import Floats

EPSILON = 1e-5
OUTER, SWEEPS = 100, 100
COUPLING_STOP, POTENTIAL_STOP = 1e-6, 0.1
CHECK_EVERY = 10
MASS = 1e-8


def pot_transport(first: Floats, second: Floats, loss: str) -> tuple[float, Floats]:
    """Return POT's squared Gromov-Wasserstein distance and coupling, from the product coupling with uniform weights."""
    p, q = np.full(len(first), 1 / len(first)), np.full(len(second), 1 / len(second))
    squared, log = ot.gromov.gromov_wasserstein2(first, second, p, q, loss, log=True)
    return float(squared), np.asarray(log["T"], np.float64)


def kl_distance(first: Floats, second: Floats) -> float:
    """Return sqrt of POT's Gromov-Wasserstein loss with kl_loss from the product coupling; NaN where that is negative."""
    squared, _ = pot_transport(first, second, "kl_loss")
    return float(np.sqrt(squared)) if squared >= 0 else float("nan")


def entropic_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return the loss that the official fit minimises, differentiable through all iterations.

    first: [n, n], second: [m, m], float tensors of one dtype; uniform node weights.
    """
    n, m = len(first), len(second)
    p = torch.full((n, 1), 1 / n, dtype=first.dtype)
    q = torch.full((m, 1), 1 / m, dtype=first.dtype)
    # The order of these products decides the result: rounding is amplified by 1 / EPSILON.
    constant = (first**2 / 2) @ (p @ torch.ones(1, m, dtype=first.dtype))
    constant = constant + (torch.ones(n, 1, dtype=first.dtype) @ q.T) @ (second**2 / 2).T
    coupling = p @ q.T
    for step in range(OUTER):
        before = coupling
        gradient = 2 * (constant - first @ (coupling @ second.T))
        coupling = _entropic_coupling(gradient, p[:, 0], q[:, 0])
        if step % CHECK_EVERY == 0 and float(torch.linalg.norm((coupling - before).detach())) <= COUPLING_STOP:
            break
    return torch.sum((constant - first @ (coupling @ second.T)) * coupling)


def _entropic_coupling(cost: Tensor, p: Tensor, q: Tensor) -> Tensor:
    u, v = torch.zeros_like(p), torch.zeros_like(q)
    log_p, log_q = torch.log(p + MASS), torch.log(q + MASS)
    for _ in range(SWEEPS):
        u_before, v_before = u, v
        scaled = (-cost + u[:, None] + v[None, :]) / EPSILON
        u = EPSILON * (log_p - torch.logsumexp(scaled, dim=1)) + u
        scaled = (-cost + u[:, None] + v[None, :]) / EPSILON
        v = EPSILON * (log_q - torch.logsumexp(scaled, dim=0)) + v
        if float((u - u_before).detach().abs().sum() + (v - v_before).detach().abs().sum()) < POTENTIAL_STOP:
            break
    return torch.exp((-cost + u[:, None] + v[None, :]) / EPSILON)


@dataclass(frozen=True)
class OfficialFit:
    """distance: KL distance at the smallest loss. weights: of the LAST epoch, float64[bases]. losses: by epoch."""

    distance: float
    weights: Floats
    losses: tuple[float, ...]
    mixture: Floats


@dataclass(frozen=True)
class OfficialSettings:
    """Adam as the official script sets it, and its early stop: after `patience` bad epochs behind epoch `start`."""

    learning_rate: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-5
    epochs: int = 100
    start: int = 30
    patience: int = 3
    forget: int = 20


def official_fit(bases: Floats, target: Floats, settings: OfficialSettings | None = None) -> OfficialFit:
    """Fit mixture weights as the official `alpha_fit` does: float32, softmax weights, Adam on the entropic loss.

    bases: float64[bases, n, n], target: float64[n, n]. Raises NumericalError for a loss that is not finite.
    """
    settings = settings or OfficialSettings()
    stack = torch.from_numpy(np.asarray(bases, np.float64))
    goal = torch.from_numpy(np.asarray(target, np.float64)).float()
    theta = torch.ones(len(bases), 1, 1, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.Adam([theta], lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay)
    best, kept, used, losses, bad = float("inf"), stack.mean(dim=0), theta.detach(), [], 0
    for epoch in range(settings.epochs):
        used = torch.softmax(theta, dim=0)
        mix = (used * stack).sum(dim=0).float()
        loss = entropic_loss(mix, goal)
        value = float(loss.detach())
        losses.append(value)
        if value < best:
            best, kept = value, mix.detach()
        optimiser.zero_grad()
        if not math.isfinite(value):
            raise NumericalError(f"official_fit: the loss of epoch {epoch} is {value}; lower learning_rate.")
        loss.backward()  # type: ignore[no-untyped-call]  # own update: the official script's, bit by bit
        optimiser.step()  # own update: the official script's, bit by bit
        if epoch % settings.forget == 0:
            bad = 0
        if epoch > settings.start and value > best:
            bad += 1
            if bad == settings.patience:
                break
    mixture = kept.double().numpy()
    weights = used.detach().double().numpy().reshape(-1)
    return OfficialFit(kl_distance(mixture, np.asarray(target, np.float64)), weights, tuple(losses), mixture)
