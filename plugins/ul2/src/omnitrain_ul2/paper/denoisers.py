"""The denoisers of UL2 (paper, Table 1) and those of its baselines."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from omnitrain.errors import UsageError

Kind = Literal["R", "X", "S"]
KINDS: tuple[Kind, ...] = ("R", "X", "S")
EXTREME_SPAN = 12.0
EXTREME_RATE = 0.3


def is_extreme(mean_span: float, rate: float) -> bool:
    """Whether span corruption with these values counts as extreme: a long span or a high rate (section 3.1.2)."""
    return mean_span >= EXTREME_SPAN or rate >= EXTREME_RATE


@dataclass(frozen=True, slots=True)
class Denoiser:
    """One kind of "fill in the missing part" task: SpanCorrupt(mean_span, rate, spans).

    kind: R and X replace noise spans by sentinels; S moves the end of the text to the targets, without sentinels.
    mean_span: mean tokens of a noise span; None for S, where it follows from the split (rate * length on average).
    rate: fraction of the tokens that are noise. S: 0 to 0.5 draws a split, 1 is the causal LM (all text is target).
    random_roll: rotate the mask of R and X by a random offset; UL2 does not.
    """

    kind: Kind
    mean_span: float | None
    rate: float
    random_roll: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"Denoiser kind {self.kind!r} is unknown; use one of R, X, S.")
        if self.kind == "S":
            if self.mean_span is not None or self.random_roll:
                raise UsageError("An S denoiser has no mean_span and no random_roll; leave both unset.")
            if not (0.0 <= self.rate <= 0.5 or self.rate == 1.0):
                raise UsageError(f"S denoiser rate is {self.rate}; use 0 to 0.5 for a prefix LM, 1 for a causal LM.")
            return
        if self.mean_span is None or not (isfinite(self.mean_span) and self.mean_span > 0):
            raise UsageError(f"{self.kind} denoiser mean_span is {self.mean_span}; expected a number above 0.")
        if not 0.0 <= self.rate < 1.0:
            raise UsageError(f"{self.kind} denoiser rate is {self.rate}; expected at least 0 and below 1.")

    @property
    def name(self) -> str:
        """Short name, such as R(3,0.15) or S(0.25)."""
        return f"S({self.rate:g})" if self.mean_span is None else f"{self.kind}({self.mean_span:g},{self.rate:g})"

    @property
    def is_extreme(self) -> bool:
        """Whether spans are long or the rate is high; never for S."""
        return self.mean_span is not None and is_extreme(self.mean_span, self.rate)

    @property
    def is_causal(self) -> bool:
        """Whether the whole text is the target (causal LM)."""
        return self.kind == "S" and self.rate == 1.0


def span_corruption(mean_span: float, rate: float, *, random_roll: bool = False) -> Denoiser:
    """Span corruption under the kind that the paper gives these values: X if extreme, else R."""
    return Denoiser("X" if is_extreme(mean_span, rate) else "R", mean_span, rate, random_roll)


UL2_DENOISERS: tuple[Denoiser, ...] = (
    Denoiser("R", 3.0, 0.15),
    Denoiser("R", 8.0, 0.15),
    Denoiser("X", 3.0, 0.5),
    Denoiser("X", 8.0, 0.5),
    Denoiser("X", 64.0, 0.15),
    Denoiser("X", 64.0, 0.5),
    Denoiser("S", None, 0.25),
)
SPAN_CORRUPTION = Denoiser("R", 3.0, 0.15)
PREFIX_LM = Denoiser("S", None, 0.5)
CAUSAL_LM = Denoiser("S", None, 1.0)
