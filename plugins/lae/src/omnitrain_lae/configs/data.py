"""Settings of images and of their tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, NotInput, UseData
from omnitrain_lae.configs.limits import Count, Fraction, Positive

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
    path: InputPath | None = None
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
    train_list: Annotated[str, NotInput("a file inside `path`, which is digested whole")] = "train_list.txt"
    """`lists`: file with `relative/path.jpg LABEL` a line."""
    test_list: Annotated[str, NotInput("a file inside `path`, which is digested whole")] = "val_list.txt"
    """`lists`: the same for the test. Two public splits of ImageNet-R circulate; results do not compare across them."""
    per_class: Positive = 40
    """Glyphs: drawings of each letter."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """Files that can't be decoded: stop with their path, or look at all files beforehand and leave them out."""
    transparency: Literal["white", "black", "refuse"] = "white"
    """The colour behind transparent parts of images, or none may be transparent."""
    value_range: list[float] | None = Field(default=None, min_length=2, max_length=2)
    """The values that become black and white, for images of more than 8 bits and arrays; by default 0 and 65535 of 16 bits.
    Floating-point files need it."""
    split_folders: bool = True
    """`folders`: folders named train, test, validation and the like that hold class folders are splits; else every folder is
    a class."""
    deep_classes: bool = False
    """`folders`: take the folders as classes though all their images lie in folders inside them."""

    @model_validator(mode="after")
    def _fits_together(self) -> ImagesConfig:
        if (self.path is None) != (self.layout in ("digits", "glyphs")):
            wanted = "needs a path" if self.path is None else "is built in and takes no path"
            raise ValueError(f"layout {self.layout} {wanted}")
        if self.shift and self.transform == "crop":
            raise ValueError("shift goes with transform: resize; random crops move images already")
        if self.value_range is not None and self.value_range[0] == self.value_range[1]:
            raise ValueError("value_range: expected two different values, those of black and white")
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
    path: InputPath | None = None
    """A folder that the stage `lae/scenario` wrote; its order replaces `order`."""
