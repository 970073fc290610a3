"""Cross entropy: over all classes to pre-train a backbone, over the current task's alone to learn a task (section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.api import Batch, Context, Fields, Loss, Part
from omnitrain_lae.configs.objectives import CrossEntropyConfig

NEEDS: Fields = {"pixel_values": "float[batch, channels, height, width]", "labels": "int64[batch]"}


def local_cross_entropy(logits: Tensor, labels: Tensor, first: int) -> Loss:
    """Return CE(z, y - first), summed over the batch: only the current task's logits enter.

    logits: float[batch, classes of the task]. labels: new labels int64[batch]. first: the task's lowest new label.
    """
    total = F.cross_entropy(logits, labels - first, reduction="sum")
    return Loss(total, float(len(labels)))


class CrossEntropy:
    """Cross entropy of a classifier over all its classes."""

    needs = NEEDS

    def __init__(self, config: CrossEntropyConfig) -> None:
        self.config = config

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum and the number of images; accuracy is a part."""
        logits = model(pixel_values=batch["pixel_values"]).logits
        labels = batch["labels"]
        total = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=self.config.label_smoothing)
        right = (logits.detach().argmax(dim=-1) == labels).sum()
        return Loss(total, float(len(labels)), parts={"accuracy": Part(right, float(len(labels)))})


def build(config: CrossEntropyConfig, context: Context) -> CrossEntropy:
    """Make the objective `lae/cross-entropy`."""
    return CrossEntropy(config)
