"""Small backbones, images in memory, and a run as core gives it."""

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import transformers

from omnitrain_lae.configs.data import ClassIncrementalConfig, ImagesConfig
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.data.class_incremental import build as build_tasks
from omnitrain_testing.contexts import FakeContext

# Beside a checkout; a test that runs elsewhere, as those of the wheel do, finds nothing there and skips.
DATA = Path(os.environ.get("OMNITRAIN_TEST_DATA", Path(__file__).resolve().parent / "../../../../shared/data")) / "lae"


def vit(**settings):
    """A ViT of transformers on 8x8 grey images, in float64 and evaluation mode."""
    torch.manual_seed(0)
    settings = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, **settings}
    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        layer_norm_eps=1e-6,
        attn_implementation=settings.pop("attention", "sdpa"),
        **settings,
    )
    return transformers.ViTModel(config, add_pooling_layer=False).double().eval()


def deit():
    torch.manual_seed(0)
    config = transformers.DeiTConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=8,
        patch_size=4,
        num_channels=1,
    )
    return transformers.DeiTModel(config, add_pooling_layer=False).double().eval()


def swin():
    torch.manual_seed(0)
    config = transformers.SwinConfig(
        embed_dim=8,
        depths=[2, 2],
        num_heads=[2, 2],
        window_size=2,
        image_size=16,
        patch_size=2,
        num_channels=1,
        drop_path_rate=0.1,
    )
    return transformers.SwinModel(config).double().eval()


def convnext():
    torch.manual_seed(0)
    config = transformers.ConvNextConfig(
        num_stages=2,
        hidden_sizes=[8, 16],
        depths=[1, 2],
        patch_size=2,
        num_channels=1,
        image_size=16,
        layer_scale_init_value=0.1,
    )
    return transformers.ConvNextModel(config).double().eval()


BACKBONES = {"vit": vit, "deit": deit, "swin": swin, "convnext": convnext}


def images_for(name, rows=4):
    size = 16 if name in ("swin", "convnext") else 8
    return torch.randn(rows, 1, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Built:
    """A config field whose component is built already."""

    def __init__(self, built):
        self.built = built


class Pictures:
    """Labelled images in memory as any other plugin's data would give them. allowed: rows that may be read, by split."""

    batch: ClassVar = {"pixel_values": "float64[batch, 1, 8, 8]", "labels": "int64[batch]"}
    fingerprint = "0123456789abcdef"

    def __init__(self, classes=6, train=12, test=4, seed=0):
        random = np.random.default_rng(seed)
        centres = random.normal(size=(classes, 1, 8, 8))
        self.data, self.allowed = {}, {}
        for split, count in (("train", train), ("test", test)):
            labels = np.tile(np.arange(classes), count)
            pixels = centres[labels] + 0.5 * random.normal(size=(len(labels), 1, 8, 8))
            self.data[split] = (torch.from_numpy(pixels), labels)

    def splits(self):
        return ["train", "test"]

    def labels(self, split):
        return self.data[split][1]

    def examples(self, split):
        return range(len(self.data[split][1]))

    def collate(self, examples):
        raise NotImplementedError

    def gather(self, split, rows):
        allowed = self.allowed.get(split)
        if allowed is not None and not set(rows.tolist()) <= allowed:
            raise AssertionError(f"rows of another task were read from {split}")
        pixels, labels = self.data[split]
        return {"pixel_values": pixels[rows], "labels": torch.from_numpy(labels[rows])}


def tasks_of(source, per_task=2, **settings):
    config = ClassIncrementalConfig.model_validate({"data": {"use": "x/y"}, "classes_per_task": per_task, **settings})
    object.__setattr__(config, "data", Built(source))
    return build_tasks(config, FakeContext(Path(), builder=lambda use, facts: use.built))


def settings(**changes):
    """Settings of lae/continual for small runs."""
    given = {
        "data": {"use": "lae/class-incremental"},
        "model": {"use": "lae/vision"},
        "epochs": 3,
        "freeze_epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "accumulation": {"decay": 0.8},
        "checkpoint_every": 0,
        "log_every": 1,
        "device": "cpu",
        **changes,
    }
    return ContinualConfig.model_validate(given)


def image_config(**given):
    return ImagesConfig.model_validate({"size": 8, "channels": 1, "transform": "resize", **given})
