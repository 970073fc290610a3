"""Settings of data, models, objective and evaluators. Imports nothing heavy: it is read to check a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData, UseModel

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
IN_MEMORY = ("digits", "glyphs", "omniglot", "cifar10", "cifar100", "arrays")


class DomainConfig(Config):
    """A change of all images, so that tasks differ from what a backbone was trained on. For images in memory."""

    invert: bool = False
    """Exchange bright and dark."""
    quarter_turns: Annotated[int, Field(ge=0, le=3)] = 0
    """Turn by so many times 90 degrees."""
    background: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Brightness of a smooth random pattern behind the bright parts."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of independent noise, in units of the brightest pixel."""


class ImagesConfig(Config):
    """Labelled images from any source. Batches carry `pixel_values` and `labels`."""

    layout: Literal["digits", "glyphs", "omniglot", "cifar10", "cifar100", "folders", "lists", "domainnet", "arrays"] = "digits"
    """Built in: scikit-learn's `digits`, letters as `glyphs`. By path: `omniglot` archives, CIFAR's python pickles, one
    folder a class (`folders`), list files (`lists`: ImageNet-R), `domainnet`, or an .npz (`arrays`)."""
    path: str | None = None
    """The archive, folder or file."""
    size: Positive = 224
    """Height and width of the model's input in pixels."""
    channels: Literal[1, 3] = 3
    """Grey or colour."""
    transform: Literal["crop", "resize"] = "crop"
    """`crop`: random resized crops for training, resize and centre crop for tests, as in the paper; `resize`: whole images."""
    flip: bool = True
    """Mirror half of the training crops."""
    resize: Positive | None = None
    """Shorter side before the centre crop of tests; nothing means size * 256 / 224 (paper: 256 for 224)."""
    shift: Count = 0
    """With `resize`: move training images by up to so many pixels."""
    normalise: Literal["none", "imagenet", "half"] = "none"
    """`none`: [0, 1], as the official code has it everywhere and the paper for ViT; `imagenet`: mean and standard deviation
    of ImageNet (paper: Swin and ConvNeXt); `half`: [-1, 1]."""
    domain: DomainConfig = DomainConfig()
    """A change of all images."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class, its last images, in split `test` where the source has none."""
    validation_fraction: Fraction = 0.0
    """Share of each class of the training images in split `valid`, drawn as in the official code."""
    max_per_class: Positive | None = None
    """Keep only the first so many training images of each class."""
    alphabets: list[str] = Field(default_factory=list)
    """Omniglot: which alphabets; none means all."""
    domains: list[str] = Field(default_factory=list)
    """DomainNet: which domains, mixed; none means all that are there."""
    train_list: str = "train_list.txt"
    """`lists`: file with `relative/path.jpg LABEL` a line."""
    test_list: str = "val_list.txt"
    """`lists`: the same for the test. Two public splits of ImageNet-R circulate; results do not compare across them."""
    per_class: Positive = 40
    """Glyphs: drawings of each letter."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """Files that can't be decoded: stop with their path, or look at all files beforehand and leave them out."""

    @model_validator(mode="after")
    def _fits_together(self) -> ImagesConfig:
        if (self.path is None) != (self.layout in ("digits", "glyphs")):
            wanted = "needs a path" if self.path is None else "is built in and takes no path"
            raise ValueError(f"layout {self.layout} {wanted}")
        if self.shift and self.transform == "crop":
            raise ValueError("shift goes with transform: resize; random crops move images already")
        if self.domain != DomainConfig() and self.layout not in IN_MEMORY:
            raise ValueError(f"domain goes with images in memory: {', '.join(IN_MEMORY)}")
        return self


class ClassIncrementalConfig(Config):
    """Any labelled data as a sequence of tasks with disjoint classes."""

    data: UseData
    """Data whose batches carry `labels`: one number an example, or a sequence (a text), each distinct one a class."""
    classes_per_task: Positive = 10
    """Classes of each task. Paper: 10 for CIFAR100, 20 for ImageNet-R, 69 for DomainNet."""
    first_task_classes: Count = 0
    """Classes of the first task; 0 for as many as the others."""
    smaller_last_task: bool = False
    """Allow a last task with fewer classes where they do not divide."""
    order: Literal["identity", "random"] | str | list[int] = "identity"
    """Which original label becomes which new one: as they are, drawn from the run's seed, the official code's lists
    (`cifar100_order2`, `imagenet-r_order3`, `domainnet_order1`), or the original labels in their new order."""
    tasks: Positive | None = None
    """Take only so many tasks; the classes that come last in the order are left out."""
    train_split: str = "train"
    """Split of the source that is learned from."""
    test_split: str = "test"
    """Split of the source that is measured on."""
    path: str | None = None
    """A folder that the stage `lae/scenario` wrote; its order replaces `order`."""


class ScenarioConfig(Config):
    """Draw a class order once, so that several stages learn the same tasks: `data: {from: this stage}`."""

    data: UseData
    """A `lae/class-incremental`."""


class VisionConfig(Config):
    """A vision backbone of transformers, new or from a folder or the hub; with a classifier where data tells classes."""

    architecture: Literal["vit", "deit", "swin", "convnext"] = "vit"
    """Of a new model."""
    size: Literal["tiny", "mini", "small", "base"] = "mini"
    """Preset of a new model; `base` is ViT-B, DeiT-B, Swin-B or ConvNeXt-B."""
    path: str | None = None
    """Folder or hub name of trained weights; only safetensors are read. The in21k checkpoint of the paper is
    google/vit-base-patch16-224-in21k; one that was fine-tuned on ImageNet-1k is another row of its tables."""
    revision: str | None = None
    """Commit or tag on the hub."""
    image_size: Positive | None = None
    """Height and width of the input; nothing means what the data tells."""
    patch_size: Positive | None = None
    """Side of a patch; nothing means that of the preset (16 for `small` and `base`, a quarter of the image for the others)."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """How attention is computed."""


class AdapterConfig(Config):
    """Adapter: a bottleneck parallel to the attention sub-layer."""

    rank: Positive = 5
    """Width of the bottleneck. Paper: 5, also 10."""
    blocks: list[int] | None = None
    """Numbers of the blocks in flat order over all stages; nothing means the paper's: 0-4 for tokens, 0-9 for Swin, 0-14
    for ConvNeXt, as far as there are so many."""
    mode: Literal["parallel", "before", "after"] = "parallel"
    """Parallel to the sub-layer, before it, or after it (the official code then adds its INPUT). Paper: parallel."""
    scale: float | None = None
    """A fixed scalar s instead of a learnable one that starts at 1."""


class ConvAdapterConfig(AdapterConfig):
    """The adapter with 1x1 convolutions parallel to whole blocks (ConvNeXt)."""


class LoraConfig(Config):
    """LoRA on key and value projections, with a learnable scale."""

    rank: Positive = 5
    """Rank of the factors. Paper: 5, also 10."""
    blocks: list[int] | None = None
    """Numbers of the blocks; nothing means the paper's, see `lae/adapter`."""
    scale: float | None = None
    """A fixed scalar s instead of a learnable one that starts at 1."""


class PrefixConfig(Config):
    """Prefix keys and values, compensated for their share of the softmax."""

    length: Positive = 10
    """Tokens of the prefix. Paper: 10, also 20."""
    blocks: list[int] | None = None
    """Numbers of the blocks; nothing means the paper's, see `lae/adapter`."""
    compensated: bool = True
    """Divide the prefix columns by their sum (section 3.1); false is plain prefix tuning, the paper's ablation."""
    scale: float | None = None
    """A fixed scalar s instead of a learnable one that starts at 1."""


class PromptPoolConfig(Config):
    """A pool of prompts picked by a query of the frozen backbone, in the manner of L2P; a baseline."""

    pool: Positive = 10
    """Prompts in the pool. L2P: 10."""
    length: Positive = 5
    """Tokens of each. L2P: 5."""
    top: Positive = 5
    """Prompts picked for an image. L2P: 5."""
    pull: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the loss that pulls picked keys to the query. L2P: 0.5."""

    @model_validator(mode="after")
    def _enough(self) -> PromptPoolConfig:
        if self.top > self.pool:
            raise ValueError(f"top {self.top} is more than the pool's {self.pool} prompts")
        return self


class LearnedConfig(Config):
    """What `lae/continual` leaves behind: a backbone, its experts, and a head a task. Not written by hand."""

    backbone: UseModel
    """The backbone's component."""
    pet: UseModel | None = None
    """The tuning method."""
    pooling: Literal["auto", "cls", "mean", "mean-without-last", "last", "pooler"] = "auto"
    """How tokens become a feature."""
    feature_module: str | None = None
    """Module whose input is the feature."""
    width: Positive
    """Width of the feature."""
    classes: list[int]
    """Classes of each head."""
    offline: Count = 0
    """Offline experts."""
    only_offline: bool = False
    """Decide without the online expert."""
    classifier: Literal["linear", "means"] = "linear"
    """How the heads were made."""


class CrossEntropyConfig(Config):
    """Cross entropy of a classifier, to pre-train a backbone."""

    label_smoothing: Fraction = 0.0
    """Share of the target's probability that is spread over the classes."""


class AccuracyConfig(Config):
    """Accuracy of a classifier, or of every expert of a continually learned model, on one split."""

    split: str = "test"
    """Split to measure on."""
    batch_size: Positive = 256
    """Examples at a time."""
