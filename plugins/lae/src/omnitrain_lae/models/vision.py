"""Model `lae/vision`: ViT, DeiT, Swin and ConvNeXt of transformers, new or with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.engine import check_model_folder, explained_loading, find_pretrained
from omnitrain.errors import UsageError
from omnitrain_lae.configs.models import VisionConfig

transformers.utils.logging.disable_progress_bar()


@dataclass(frozen=True)
class Preset:
    """Sizes of a new model. depths, heads: per stage (the sum of depths for ViT and DeiT). width: of the first stage."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...] = ()
    patch: int | None = None
    window: int = 7


TOKENS = {
    "tiny": Preset(16, (2,), (2,)),
    "mini": Preset(64, (4,), (4,)),
    "small": Preset(384, (12,), (6,), 16),
    "base": Preset(768, (12,), (12,), 16),
}
SWIN = {
    "tiny": Preset(8, (1, 1), (1, 2), 4, 2),
    "mini": Preset(32, (2, 2), (2, 4), 2, 4),
    "small": Preset(96, (2, 2, 18, 2), (3, 6, 12, 24), 4),
    "base": Preset(128, (2, 2, 18, 2), (4, 8, 16, 32), 4),
}
CONVNEXT = {
    "tiny": Preset(8, (1, 1), patch=4),
    "mini": Preset(32, (2, 2), patch=2),
    "small": Preset(96, (3, 3, 27, 3), patch=4),
    "base": Preset(128, (3, 3, 27, 3), patch=4),
}


def architecture(config: VisionConfig, facts: Mapping[str, Any]) -> Any:
    """Return transformers' config of a new model. Raises UsageError where the image does not divide into patches."""
    size = config.image_size or int(facts.get("image_size", 224))
    shared: dict[str, Any] = {"image_size": size, "num_channels": int(facts.get("channels", 3))}
    if "classes" in facts:
        shared["num_labels"] = int(facts["classes"])
    presets = {"swin": SWIN, "convnext": CONVNEXT}.get(config.architecture, TOKENS)
    preset = presets[config.size]
    patch = config.patch_size or preset.patch or max(1, size // 4)
    if size % patch:
        raise UsageError(f"patch_size {patch} does not divide the image of {size} pixels.")
    shared["patch_size"] = patch
    if config.architecture in ("vit", "deit"):
        cls = transformers.ViTConfig if config.architecture == "vit" else transformers.DeiTConfig
        return cls(
            hidden_size=preset.width,
            num_hidden_layers=sum(preset.depths),
            num_attention_heads=preset.heads[0],
            intermediate_size=4 * preset.width,
            layer_norm_eps=1e-6,  # as in the official code; transformers' own default is 1e-12
            attn_implementation=config.attention,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            **shared,
        )
    if config.architecture == "swin":
        return transformers.SwinConfig(
            embed_dim=preset.width,
            depths=list(preset.depths),
            num_heads=list(preset.heads),
            window_size=preset.window,
            drop_path_rate=0.0,
            attn_implementation=config.attention,
            **shared,
        )
    widths = [preset.width * 2**stage for stage in range(len(preset.depths))]
    return transformers.ConvNextConfig(
        num_stages=len(widths), hidden_sizes=widths, depths=list(preset.depths), layer_scale_init_value=0.1, **shared
    )


def new_model(config: VisionConfig, context: Context) -> nn.Module:
    """Make a model with weights drawn from the context's seed; a classifier where the data tells classes."""
    settings = architecture(config, context.facts)
    classify = "classes" in context.facts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed("weights"))
        if classify:
            made = transformers.AutoModelForImageClassification.from_config(settings)
        elif config.architecture in ("vit", "deit"):
            made = transformers.AutoModel.from_config(settings, add_pooling_layer=False)
        else:
            made = transformers.AutoModel.from_config(settings)
    model: nn.Module = made
    return model


def loaded_model(config: VisionConfig, context: Context) -> nn.Module:
    """Load trained weights; on the meta device only their shape.

    Raises DataError for a folder without a model, Unreachable for one on the hub that can't be fetched, UsageError for an
    image size that the model does not take.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

    path = find_pretrained(str(config.path))
    if Path(path).is_dir():
        check_model_folder(Path(path))
    extra: dict[str, Any] = {"revision": config.revision} if config.revision else {}
    with explained_loading(path):
        settings = AutoConfig.from_pretrained(path, trust_remote_code=False, **extra)
        settings._attn_implementation = config.attention if settings.model_type != "convnext" else None
        if "classes" in context.facts:
            settings.num_labels = int(context.facts["classes"])
        _check_size(path, settings, context.facts)
        kind = AutoModelForImageClassification if "classes" in context.facts else AutoModel
        pooler = {"add_pooling_layer": False} if settings.model_type in ("vit", "deit") and kind is AutoModel else {}
        if torch.empty(0).device.type == "meta":
            made: nn.Module = kind.from_config(settings, **pooler)
        else:
            made = kind.from_pretrained(
                path, config=settings, use_safetensors=True, ignore_mismatched_sizes=True, **pooler, **extra
            )
    return made


def _check_size(path: str, settings: Any, facts: Mapping[str, Any]) -> None:
    expected, given = getattr(settings, "image_size", None), facts.get("image_size")
    if isinstance(expected, int) and given is not None and settings.model_type in ("vit", "deit") and given != expected:
        raise UsageError(
            f"{path} takes images of {expected} pixels, the data gives {given}; set the data's size to {expected}."
        )
    if "channels" in facts and getattr(settings, "num_channels", 3) != facts["channels"]:
        raise UsageError(f"{path} takes {settings.num_channels} channels, the data gives {facts['channels']}; set channels.")


def restore_pretrained(model: nn.Module, directory: Path) -> None:
    """Load a folder that `save_pretrained` wrote into a model of the same class.

    transformers writes vision models under the names of older versions and converts them when it reads, so their files
    can't be compared with the model's own names.
    """
    stored: nn.Module = type(model).from_pretrained(directory, use_safetensors=True)  # type: ignore[attr-defined]
    model.load_state_dict(stored.state_dict())


def build(config: VisionConfig, context: Context) -> nn.Module:
    """Make the model `lae/vision`."""
    model: Any = new_model(config, context) if config.path is None else loaded_model(config, context)
    model.save, model.restore = model.save_pretrained, partial(restore_pretrained, model)
    return cast(nn.Module, model)


class Classifier:
    """What evaluators ask of a model of transformers with a classifier."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def classify(self, batch: Mapping[str, Any]) -> Tensor:
        """Return logits float[batch, classes]."""
        logits: Tensor = self.model(pixel_values=batch["pixel_values"]).logits
        return logits


def build_predictor(model: nn.Module, directory: Path, context: Context) -> Classifier:
    """Wrap a vision model for evaluators."""
    return Classifier(model)
