"""Evaluator `vpt/actions`: predicted against recorded actions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Context, Evaluation, Metric, Run, Table
from omnitrain.engine import check_split
from omnitrain.errors import UsageError
from omnitrain_vpt.configs.evaluators import ActionsConfig
from omnitrain_vpt.data.recordings import WindowedRecordings
from omnitrain_vpt.models.labeller import Labeller, action_log_probs
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.paper.minecraft import BUTTONS


def r_squared(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return 1 - squared error / squared distance from the mean, over all entries; NaN where the truth never changes."""
    spread = float(((truth - truth.mean(0)) ** 2).sum())
    return 1.0 - float(((truth - predicted) ** 2).sum()) / spread if spread else float("nan")


def key_scores(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Return accuracy, precision, recall, F1 and count by key, of keys uint8[n, 20]; keys never pressed have F1 NaN."""
    found = {}
    for column, name in enumerate(BUTTONS):
        t, p = truth[:, column] != 0, predicted[:, column] != 0
        hits, pressed, claimed = int((t & p).sum()), int(t.sum()), int(p.sum())
        precision = hits / claimed if claimed else float("nan")
        recall = hits / pressed if pressed else float("nan")
        f1 = 2 * hits / (claimed + pressed) if pressed else float("nan")
        accuracy = float((t == p).mean())
        found[name] = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1, "frames": float(pressed)}
    return found


def action_nll(log_probs: tuple[NDArray[Any], NDArray[Any]], truth: tuple[NDArray[Any], NDArray[Any]]) -> float:
    """Return -log p of recorded actions in nats, summed over frames, buttons and camera axes.

    log_probs: of (buttons [n, 20, 2], camera bins [n, 2, 11]). truth: (buttons [n, 20], camera bins [n, 2]).
    """
    taken = [np.take_along_axis(p, t[..., None].astype(np.int64), -1) for p, t in zip(log_probs, truth, strict=True)]
    return -float(sum(part.sum(dtype=np.float64) for part in taken))


def action_metrics(
    truth: tuple[NDArray[Any], NDArray[Any]], degrees: NDArray[Any], predicted: tuple[NDArray[Any], NDArray[Any]]
) -> Evaluation:
    """Compare actions. truth, predicted: (buttons [n, 20], camera bins [n, 2]). degrees: the recorded camera [n, 2]."""
    buttons, bins = truth
    guessed, guessed_bins = predicted
    count = len(buttons)
    scores = key_scores(buttons, guessed)
    f1 = [s["f1"] for s in scores.values() if s["f1"] == s["f1"]]
    active = buttons.any(-1)
    right = (buttons == guessed).all(-1)
    camera_active = (bins != CAMERA.zero).any(-1)
    metrics = {
        "keypress_accuracy": Metric(float((buttons == guessed).mean()), count, "higher"),
        "always_null_accuracy": Metric(float((buttons == 0).mean()), count),
        "camera_r2": Metric(r_squared(degrees, CAMERA.decode(guessed_bins)), count, "higher"),
        "macro_f1": Metric(float(np.mean(f1)) if f1 else float("nan"), count, "higher"),
        "active_accuracy": Metric(float(right[active].mean()) if active.any() else float("nan"), int(active.sum()), "higher"),
        "exact_accuracy": Metric(float((right & (bins == guessed_bins).all(-1)).mean()), count, "higher"),
        "camera_accuracy": Metric(float((bins == guessed_bins).all(-1).mean()), count, "higher"),
        "null_share": Metric(float((~active & ~camera_active).mean()), count),
    }
    rows = [[name, *(s[k] for k in ("frames", "accuracy", "precision", "recall", "f1"))] for name, s in scores.items()]
    caption = "active_accuracy: all 20 keys right, of frames with a key pressed"
    return Evaluation(
        {k: m for k, m in metrics.items() if m.value == m.value},
        {"keys": Table(["key", "frames", "accuracy", "precision", "recall", "F1"], rows, caption)},
    )


class ActionsEvaluator:
    """See `ActionsConfig`."""

    def __init__(self, config: ActionsConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: another layout, or no recording in the split, is refused before training."""
        if not isinstance(data, WindowedRecordings):
            raise UsageError('vpt/actions measures on vpt/recordings in the layout "windows".')
        check_split(data, self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the metrics.

        Raises UsageError for another model or layout.
        """
        if not isinstance(predictor, Labeller) or not isinstance(data, WindowedRecordings):
            raise UsageError('vpt/actions measures vpt/idm on vpt/recordings in the layout "windows".')
        clips, length = data.ready(), data.config.steps
        buttons, bins, degrees, guesses = [], [], [], []
        nll = 0.0
        numbers = data.clip_numbers(self.config.split)[: self.config.max_clips]
        with run.progress("labelling", len(numbers)) as bar:
            for number in numbers:
                track = clips.tracks[number]
                frames = clips.frames(number, 0, len(track))
                found = action_log_probs(predictor, frames, length, self.config.stride or max(1, length // 2))
                guesses.append([part.argmax(-1) for part in found])
                nll += action_nll(found, (track.buttons, track.bins))
                buttons.append(track.buttons)
                bins.append(track.bins)
                degrees.append(np.clip(track.camera, -CAMERA.largest, CAMERA.largest))
                bar.advance()
        predicted = (np.concatenate([g[0] for g in guesses]), np.concatenate([g[1] for g in guesses]))
        measured = action_metrics((np.concatenate(buttons), np.concatenate(bins)), np.concatenate(degrees), predicted)
        count = len(predicted[0])
        metrics = {**measured.metrics, "nll": Metric(nll / count, count, "lower", unit="nats per frame")}
        return Evaluation(metrics, measured.tables)


def build(config: ActionsConfig, context: Context) -> ActionsEvaluator:
    """Make the evaluator `vpt/actions`."""
    return ActionsEvaluator(config)
