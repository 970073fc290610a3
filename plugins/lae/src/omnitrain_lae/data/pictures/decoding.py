"""One image file or array as 8-bit colours: what its bits, transparency and orientation mean is settled here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from omnitrain.errors import DataError

ORIENTATION = 0x0112
WHITE_OF_16_BITS = 65535.0
# Modes that Pillow converts without a loss that matters to 8 bits.
EIGHT_BITS = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Decoding:
    """What a file leaves open. ground: the colour behind transparent parts, None to refuse them.

    value_range: the values that become black and white, for what has more than 8 bits; None for 0 and 65535 of 16 bits.
    """

    ground: str | None = "white"
    value_range: tuple[float, float] | None = None

    def image(self, image: Image.Image) -> Image.Image:
        """Return an image upright in RGB. Raises DataError where the setting that decides is not set."""
        turned = ImageOps.exif_transpose(image) if orientation(image) != 1 else image
        if is_sixteen_bits(image):
            low, high = self.value_range or (0.0, WHITE_OF_16_BITS)
            return Image.fromarray(scaled(np.asarray(turned), low, high)).convert("RGB")
        if image.mode in ("I", "F"):
            if self.value_range is None:
                raise DataError(
                    f"its values are {'32-bit' if image.mode == 'I' else 'floating-point'} numbers (mode {image.mode}); set "
                    "value_range: [black, white]"
                )
            return Image.fromarray(scaled(np.asarray(turned), *self.value_range)).convert("RGB")
        if has_alpha(image):
            return self.composed(turned)
        if image.mode not in EIGHT_BITS:
            raise DataError(f"its mode {image.mode} is not known; save it as 8-bit RGB")
        return turned.convert("RGB")

    def composed(self, image: Image.Image) -> Image.Image:
        """Return an image with transparency on the ground."""
        whole = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        if whole.getchannel("A").getextrema() == (255, 255):
            return whole.convert("RGB")
        if self.ground is None:
            raise DataError("it has transparent parts; set transparency: white or black, the colour behind them")
        behind = Image.new("RGBA", whole.size, self.ground)
        return Image.alpha_composite(behind, whole).convert("RGB")


def orientation(image: Image.Image) -> int:
    """Return the orientation that a camera noted, 1 for upright; damaged notes are none."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # whatever damaged EXIF data makes Pillow raise, the pixels are whole
        return 1


def is_sixteen_bits(image: Image.Image) -> bool:
    """Whether values go to 65535: Pillow opens some 16-bit PNG as 32-bit numbers."""
    return image.mode in SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM"))


def has_alpha(image: Image.Image) -> bool:
    """Whether an image can have transparent parts."""
    return image.mode in TRANSPARENT or (image.mode in ("1", "L", "P", "RGB") and "transparency" in image.info)


def scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return uint8 in which `low` is 0 and `high` is 255; what lies outside is cut off. Raises DataError for NaN."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise DataError("it holds NaN or infinite values")
    return np.clip(np.rint((numbers - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
