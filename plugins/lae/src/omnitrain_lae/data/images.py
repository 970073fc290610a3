"""Data `lae/images`: labelled images as batches for vision backbones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from omnitrain.api import Batch, Context, Fields, Piece
from omnitrain.errors import DataError
from omnitrain_lae.configs.data import IN_MEMORY, ImagesConfig
from omnitrain_lae.data.pictures import archives, arrays, builtin, folders, lists
from omnitrain_lae.data.pictures.decoding import Decoding
from omnitrain_lae.data.pictures.domains import changed
from omnitrain_lae.data.pictures.sources import ArrayPictures, FilePictures, Pictures, Source
from omnitrain_lae.data.pictures.taking import Taking
from omnitrain_lae.data.pictures.transforms import Floats, centre_crop, normalised, shifted, to_unit, train_crop
from omnitrain_tuning.scenario import validation_split

Example = dict[str, Any]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TRAIN, VALID = "train", "valid"
GLYPH_SEED, DOMAIN_SEED = 20230000, 20230001


def read_source(config: ImagesConfig, taking: Taking | None = None) -> Source:
    """Read what the settings name. taking: takes notes. Raises DataError for what is missing or malformed."""
    path, share, taking = config.path or "", config.test_fraction, taking or taking_of(config)
    layout = folders.Layout(config.split_folders, config.deep_classes)
    readers = {
        "digits": lambda: builtin.digits(share),
        "glyphs": lambda: builtin.glyphs(config.size, config.per_class, share, GLYPH_SEED),
        "omniglot": lambda: archives.omniglot(path, config.alphabets, config.size),
        "cifar10": lambda: archives.cifar10(path),
        "cifar100": lambda: archives.cifar100(path),
        "folders": lambda: folders.class_folders(path, share, taking, layout),
        "lists": lambda: lists.list_files(path, config.train_list, config.test_list, taking),
        "domainnet": lambda: lists.domainnet(path, config.domains, share, taking),
        "arrays": lambda: arrays.arrays(path, taking),
    }
    return readers[config.layout]()


def taking_of(config: ImagesConfig) -> Taking:
    """Return how the settings ask for images to be read."""
    ground = None if config.transparency == "refuse" else config.transparency
    bounds = None if config.value_range is None else (config.value_range[0], config.value_range[1])
    return Taking(config.malformed == "skip", Decoding(ground, bounds))


def _rows(pictures: Pictures, rows: NDArray[np.int64]) -> Pictures:
    if isinstance(pictures, ArrayPictures):
        return ArrayPictures(pictures.pixels[rows], pictures.labels[rows])
    assert isinstance(pictures, FilePictures)
    return pictures.of(rows)


class ImageData:
    """Labelled images without randomness; see `ImagesConfig`. Prepare it before anything but `splits` is asked."""

    def __init__(self, config: ImagesConfig) -> None:
        self.config = config
        shape = f"{config.channels}, {config.size}, {config.size}"
        self.batch: Fields = {"pixel_values": f"float32[batch, {shape}]", "labels": "int64[batch]"}
        self._source: Source | None = None
        self.notes: tuple[str, ...] = ()
        self._fingerprint: str | None = None

    @property
    def source(self) -> Source:
        """The images, read when they are first asked for."""
        if self._source is None:
            taking = taking_of(self.config)
            self._source = self._prepared(read_source(self.config, taking))
            self.notes = tuple(taking.notes)
        return self._source

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the source, and say what was taken and what left out."""
        _ = self.source
        for note in self.notes:
            context.event("read", note=note)

    def _prepared(self, source: Source) -> Source:
        """Part off the validation split, and change the domain."""
        config = self.config
        splits = dict(source.splits)
        if config.validation_fraction:
            train, held = validation_split(splits[TRAIN].labels.tolist(), config.validation_fraction)
            splits = {TRAIN: _rows(splits[TRAIN], train), VALID: _rows(splits[TRAIN], held), **_without(splits, TRAIN)}
        if config.max_per_class is not None:
            splits[TRAIN] = _rows(splits[TRAIN], _first_of_each(splits[TRAIN].labels, config.max_per_class))
        if config.layout in IN_MEMORY:
            splits = {name: self._in_memory(pictures, number) for number, (name, pictures) in enumerate(splits.items())}
        return Source(splits, source.class_names)

    def _in_memory(self, pictures: Pictures, number: int) -> Pictures:
        """Resize once what is in memory and shown whole, and change its domain."""
        config, domain = self.config, self.config.domain
        pixels = pictures.pixels  # type: ignore[attr-defined]
        if config.transform == "resize":
            size = (config.size, config.size)
            images = (self._coloured(pictures.image(row)) for row in range(len(pictures.labels)))
            pixels = np.stack([np.asarray(i if i.size == size else i.resize(size, Image.Resampling.BILINEAR)) for i in images])
        pixels = changed(pixels, domain.invert, domain.quarter_turns, domain.background, domain.noise, DOMAIN_SEED + number)
        return ArrayPictures(pixels, pictures.labels)

    def _coloured(self, image: Image.Image) -> Image.Image:
        return image.convert("L" if self.config.channels == 1 else "RGB")

    @property
    def fingerprint(self) -> str:
        """Hash of the settings and of the content (of files: names, sizes and labels)."""
        if self._fingerprint is None:
            digest = hashlib.blake2b(self.config.model_dump_json(exclude={"path"}).encode(), digest_size=16)
            for name, pictures in self.source.splits.items():
                digest.update(name.encode())
                digest.update(pictures.digest())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return [TRAIN, *([VALID] if self.config.validation_fraction else []), "test"]

    def pictures(self, split: str) -> Pictures:
        """Return the images of a split. Raises DataError for an unknown one."""
        found = self.source.splits.get(split)
        if found is None:
            raise DataError(f"There is no split {split!r}; there are {', '.join(self.splits())}.")
        return found

    def labels(self, split: str) -> NDArray[np.int64]:
        """Return the labels int64[images] of a split, without decoding any image."""
        return self.pictures(split).labels

    def facts(self) -> Mapping[str, Any]:
        """Return image_size, channels, classes and class_names."""
        names = list(self.source.class_names)
        return {
            "image_size": self.config.size,
            "channels": self.config.channels,
            "classes": len(names),
            "class_names": names,
        }

    def examples(self, split: str) -> Examples:
        """Return the images of a split in their order."""
        return Examples(self, split)

    def shown(self, split: str, row: int, generator: np.random.Generator | None) -> NDArray[np.uint8]:
        """Return one image uint8[size, size(, 3)] as the model shall see it. generator: of random changes, for training."""
        config, pictures = self.config, self.pictures(split)
        if config.transform == "resize" and isinstance(pictures, ArrayPictures):
            pixels: NDArray[np.uint8] = pictures.pixels[row]
        else:
            image = self._coloured(pictures.image(row))
            if config.transform == "resize":
                image = image.resize((config.size, config.size), Image.Resampling.BILINEAR)
            elif generator is not None:
                image = train_crop(image, config.size, generator, config.flip)
            else:
                image = centre_crop(image, config.size, config.resize or round(config.size * 256 / 224))
            pixels = np.asarray(image)
        if generator is not None and config.shift:
            pixels = shifted(pixels, config.shift, generator)
        return pixels

    def _tensor(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Return float32[images, channels, size, size] from uint8[images, size, size(, 3)]."""
        images: Floats = to_unit(pixels if pixels.ndim == 4 else pixels[..., None])
        if self.config.normalise == "half":
            images = images * np.float32(2) - np.float32(1)
        elif self.config.normalise == "imagenet":
            mean, std = IMAGENET
            channels = self.config.channels
            images = normalised(images, mean[:channels], std[:channels])
        return torch.from_numpy(images)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Make a batch."""
        labels = torch.tensor([example["label"] for example in examples])
        return {"pixel_values": self._tensor(np.stack([example["pixels"] for example in examples])), "labels": labels}

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show an image as rows of characters, and its class."""
        image = batch["pixel_values"][row].float().mean(dim=0)
        low, high = image.min(), image.max()
        grey = ((image - low) / (high - low + 1e-9) * (len(SHADES) - 1)).round().long()
        step = max(1, len(grey) // 16)
        lines = ["".join(SHADES[i] for i in line) for line in grey[::step, :: max(1, step // 2)].tolist()]
        name = self.source.class_names[int(batch["labels"][row])]
        return {"image": [Piece("\n" + "\n".join(lines))], "class": [Piece(name, "loss")]}


SHADES = " .:-=+*#%@"


class PlainImages(ImageData):
    """The same with every batch of any rows made in one step."""

    def gather(self, split: str, rows: NDArray[np.int64]) -> Batch:
        """Return the batch of the rows int64[batch]."""
        pictures = self.pictures(split)
        if isinstance(pictures, ArrayPictures) and self.config.transform == "resize":
            pixels = pictures.pixels[rows]
        else:
            pixels = np.stack([self.shown(split, int(row), None) for row in rows])
        return {"pixel_values": self._tensor(pixels), "labels": torch.from_numpy(pictures.labels[rows])}


class AugmentedImages(ImageData):
    """The same with random changes of training images, drawn anew each epoch."""

    def example(self, split: str, index: int, seed: int) -> Example:
        """Return image `index` drawn with `seed`; images of other splits than train are as they are."""
        generator = np.random.Generator(np.random.PCG64(seed)) if split == TRAIN else None
        return {"pixels": self.shown(split, index, generator), "label": int(self.pictures(split).labels[index])}


class Examples(Sequence[Example]):
    """The images of a split without random changes."""

    def __init__(self, data: ImageData, split: str) -> None:
        self._data, self._split = data, split
        self._count = len(data.labels(split))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> Example:  # type: ignore[override]  # no slices
        if not 0 <= row < self._count:
            raise IndexError(row)
        return {"pixels": self._data.shown(self._split, row, None), "label": int(self._data.labels(self._split)[row])}


def _without(splits: Mapping[str, Pictures], name: str) -> dict[str, Pictures]:
    return {key: value for key, value in splits.items() if key != name}


def _first_of_each(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def build(config: ImagesConfig, context: Context) -> ImageData:
    """Make the data `lae/images`."""
    random = config.transform == "crop" or config.shift > 0
    return AugmentedImages(config) if random else PlainImages(config)
