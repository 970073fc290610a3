"""Evaluator `vpt/likelihood`: held-out likelihood of a policy."""

from __future__ import annotations

from typing import Any

import torch

from omnitrain.api import BatchPlan, Context, Evaluation, Metric, Run
from omnitrain.engine import check_split, to_device
from omnitrain.errors import UsageError
from omnitrain_vpt.configs.evaluators import LikelihoodConfig
from omnitrain_vpt.data.recordings import StreamedRecordings
from omnitrain_vpt.models.network.heads import log_prob
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.objectives import joint_actions


class LikelihoodEvaluator:
    """See `LikelihoodConfig`."""

    def __init__(self, config: LikelihoodConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: another layout, or no recording in the split, is refused before training."""
        if not isinstance(data, StreamedRecordings):
            raise UsageError('vpt/likelihood measures on vpt/recordings in the layout "streams".')
        check_split(data, self.config.split)

    @torch.no_grad()
    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the negative log-likelihood per frame, and that of each head.

        Raises UsageError for another model or layout.
        """
        if not isinstance(predictor, MinecraftPolicy) or not isinstance(data, StreamedRecordings):
            raise UsageError('vpt/likelihood measures vpt/policy on vpt/recordings in the layout "streams".')
        device = next(predictor.parameters()).device
        numbers = data.clip_numbers(self.config.split)[: self.config.max_clips]
        plan = BatchPlan(min(8, self.config.max_clips), 0, train=False)
        sums: dict[str, float] = {}
        weight, state = 0.0, predictor.initial_state(plan.batch_size)
        for found in data.chunks(numbers, plan):
            batch = to_device(found, device)
            output = predictor(batch["frames"], batch["first"], state)
            state = output.state
            actions = joint_actions(batch)
            for name, values in output.log_probs.items():
                nll = -(log_prob({name: values}, actions) * batch["loss_weights"]).sum()
                sums[name] = sums.get(name, 0.0) + float(nll)
            weight += float(batch["loss_weights"].sum())
        count = round(weight)
        metrics = {"nll": Metric(sum(sums.values()) / weight, count, "lower")}
        return Evaluation({**metrics, **{f"{n}_nll": Metric(v / weight, count, "lower") for n, v in sums.items()}})


def build(config: LikelihoodConfig, context: Context) -> LikelihoodEvaluator:
    """Make the evaluator `vpt/likelihood`."""
    return LikelihoodEvaluator(config)
