"""The denoisers of UL2 (paper, Table 1) and the mixtures and baselines made of them."""

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Mixture:
    """Denoisers and the probability with which each is drawn for an example."""

    denoisers: tuple[Denoiser, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.denoisers or len(self.denoisers) != len(self.rates):
            raise UsageError(
                f"A mixture has {len(self.denoisers)} denoisers and {len(self.rates)} rates; give one rate a denoiser."
            )
        if any(not isfinite(rate) or rate < 0 for rate in self.rates) or sum(self.rates) <= 0:
            raise UsageError(f"Mixture rates {list(self.rates)} must be at least 0, with a sum above 0.")

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The rates divided by their sum."""
        total = sum(self.rates)
        return tuple(rate / total for rate in self.rates)


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

# `balanced` is section 4.5's finding (about 20 % S); `ul2r` is continued training of a causal LM (UL2R).
MIXTURES: Mapping[str, Mixture] = {
    "uniform": Mixture(UL2_DENOISERS, (1 / 7,) * 7),
    "balanced": Mixture(UL2_DENOISERS, (0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2)),
    "ul2r": Mixture(
        (Denoiser("S", None, 0.25), SPAN_CORRUPTION, Denoiser("X", 32.0, 0.15), Denoiser("X", 3.0, 0.5)),
        (0.5, 0.25, 0.125, 0.125),
    ),
    "span_corruption": Mixture((SPAN_CORRUPTION,), (1.0,)),
    "prefix_lm": Mixture((PREFIX_LM,), (1.0,)),
    "causal_lm": Mixture((CAUSAL_LM,), (1.0,)),
    "sclm": Mixture((SPAN_CORRUPTION, CAUSAL_LM), (0.5, 0.5)),
    "unified_lm": Mixture((CAUSAL_LM, PREFIX_LM, SPAN_CORRUPTION), (1 / 3, 1 / 3, 1 / 3)),
}


def mixture(name: str, rates: Sequence[float] | None = None) -> Mixture:
    """A named mixture, with its own rates or the given ones (one a denoiser, any positive scale).

    Raises UsageError for an unknown name or a wrong number of rates.
    """
    if name not in MIXTURES:
        raise UsageError(f"Mixture {name!r} is unknown; use one of {', '.join(MIXTURES)}.")
    preset = MIXTURES[name]
    return preset if rates is None else Mixture(preset.denoisers, tuple(float(rate) for rate in rates))
