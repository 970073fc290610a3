"""Colours for numbers: levels that are CSS classes, so that light and dark pages have their own.

"q0" to "q23" run from the page's colour to a strong one; "d0" to "d24" from orange over the page's colour to blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from omnitrain.report.numbers import number
from omnitrain.report.svg import clean

LEVELS, DIVERGING_LEVELS = 24, 25

Colour = tuple[int, int, int]

_LIGHT = ((240, 245, 249), (158, 202, 222), (52, 138, 183), (8, 62, 99))
_LIGHT_LOW = ((122, 63, 3), (217, 115, 13), (247, 201, 148), (243, 244, 245))
_LIGHT_HIGH = ((243, 244, 245), (158, 202, 222), (52, 138, 183), (8, 62, 99))
_DARK = ((37, 44, 50), (26, 84, 115), (57, 148, 191), (186, 230, 249))
_DARK_LOW = ((255, 205, 150), (217, 115, 13), (110, 66, 24), (43, 48, 53))
_DARK_HIGH = ((43, 48, 53), (26, 84, 115), (57, 148, 191), (186, 230, 249))
_INKS = ((20, 24, 28), (255, 255, 255))


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high`, in two directions from `centre` where there is one."""

    low: float
    high: float
    centre: float | None = None

    @property
    def letter(self) -> str:
        """What the classes of its levels begin with."""
        return "q" if self.centre is None else "d"

    @property
    def levels(self) -> int:
        """How many colours there are."""
        return LEVELS if self.centre is None else DIVERGING_LEVELS

    def level(self, value: float) -> int:
        """Return the number of a value's colour; values beyond the ends have that of the end."""
        if self.centre is None:
            width = self.high / 2 - self.low / 2  # halves, since the difference of large numbers may not be finite
            share = (value / 2 - self.low / 2) / width if width > 0 else 0.5
        else:
            reach = max(self.high / 2 - self.centre / 2, self.centre / 2 - self.low / 2)
            share = 0.5 + (value / 2 - self.centre / 2) / reach / 2 if reach > 0 else 0.5
        return min(int(min(max(share, 0.0), 1.0) * self.levels), self.levels - 1)

    def name(self, value: float) -> str:
        """Return the class of a value."""
        return f"{self.letter}{self.level(value)}"


def scale_of(values: Sequence[float], low: float | None, high: float | None, centre: float | None) -> Scale | None:
    """Return the scale of finite values, its ends given or the smallest and largest; None when there is nothing to show."""
    if not values and (low is None or high is None):
        return None
    first, last = min(values, default=0.0), max(values, default=1.0)
    begin, end = first if low is None else float(low), last if high is None else float(high)
    if centre is not None:
        begin, end = min(begin, float(centre)), max(end, float(centre))
    return Scale(begin, max(begin, end), None if centre is None else float(centre))


def scale_legend(scale: Scale, label: str) -> Markup:
    """Return a strip of the colours with the numbers at its ends."""
    low, high = scale.low, scale.high
    if scale.centre is not None:
        reach = max(high - scale.centre, scale.centre - low)
        low, high = scale.centre - reach, scale.centre + reach
    strip = Markup("").join(Markup('<i class="{}{}"></i>').format(scale.letter, i) for i in range(scale.levels))
    said = Markup("<span>{}</span>").format(clean(label)) if label else Markup("")
    row = Markup('<span class="scale"><span>{}</span><span class="strip" aria-hidden="true">{}</span><span>{}</span>{}</span>')
    return row.format(_end(low), strip, _end(high), said)


def _end(value: float) -> str:
    return number(float(f"{value:.3g}"))


def colours(letter: str, dark: bool) -> list[Colour]:
    """Return the colours of a kind of scale in order."""
    if letter == "q":
        return _between(_DARK if dark else _LIGHT, LEVELS)
    low, high = (_DARK_LOW, _DARK_HIGH) if dark else (_LIGHT_LOW, _LIGHT_HIGH)
    half = DIVERGING_LEVELS // 2 + 1
    return _between(low, half)[:-1] + _between(high, half)


def palette_css() -> Markup:
    """Return the rules that give each level its colour and an ink that can be read on it, for light and dark pages."""
    light, dark = _rules(dark=False), _rules(dark=True)
    return Markup(f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}")


def _rules(dark: bool) -> str:
    rules = []
    for letter in "qd":
        for i, colour in enumerate(colours(letter, dark)):
            ink = max(_INKS, key=lambda ink, colour=colour: _contrast(ink, colour))  # type: ignore[misc]
            rules.append(f".{letter}{i}{{--c:{_hex(colour)};--t:{_hex(ink)}}}")
    return "".join(rules)


def _between(stops: Sequence[Colour], count: int) -> list[Colour]:
    """Return colours at equal distances along stops."""
    found = []
    for i in range(count):
        place = i / (count - 1) * (len(stops) - 1)
        first = min(int(place), len(stops) - 2)
        share, pair = place - first, zip(stops[first], stops[first + 1], strict=True)
        red, green, blue = (round(a + (b - a) * share) for a, b in pair)
        found.append((red, green, blue))
    return found


def _contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
