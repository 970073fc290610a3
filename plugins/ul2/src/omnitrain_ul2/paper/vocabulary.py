"""Which ids are sentinels, mode tokens, padding and end of text, and the checks that they never meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

from omnitrain.errors import UsageError


def check_sentinels(needed: int, available: int) -> None:
    """Refuse a vocabulary with fewer sentinels than one example can need.

    The official code goes on below the sentinels, into ordinary vocabulary, without a word.
    Raises UsageError, which names the number needed.
    """
    if needed > available:
        raise UsageError(
            f"This mixture needs {needed} sentinels in one example, but the vocabulary has {available}: set inputs_length to "
            f"about {available / needed:.0%} of what it is, choose a mixture of longer spans or a lower rate, or, where the "
            f"tokenizer is trained here or has none of its own, set tokenizer.sentinels to {needed}."
        )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Special ids of a tokenizer.

    first_sentinel: id of sentinel 0; sentinels count down from it (T5: 32099, the last id before the padding of the
    embedding). sentinels: how many there are. mode_ids: tokens in front of the inputs for each of R, X, S: one special
    id, or the pieces of a plain text; an absent kind has none. ordinary_size: ids below it are ordinary vocabulary
    (mode pieces, pad and EOS may lie there, sentinels may not). pad_is_eos: padding has no id of its own, as with GPT-2; rows
    of a decoder-only model tell it from EOS by their masks. decoder_start_id: what the targets of an encoder-decoder are
    behind; nothing is padding, as in T5.
    """

    first_sentinel: int
    sentinels: int
    pad_id: int = 0
    eos_id: int = 1
    ordinary_size: int = 0
    mode_ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    pad_is_eos: bool = False
    decoder_start_id: int | None = None

    def __post_init__(self) -> None:
        last = self.first_sentinel - self.sentinels + 1
        if self.sentinels < 0 or last < 0:
            raise UsageError(f"{self.sentinels} sentinels do not fit below id {self.first_sentinel}; give fewer.")
        if self.sentinels and last < self.ordinary_size:
            raise UsageError(
                f"Sentinels {last} to {self.first_sentinel} reach into the ordinary vocabulary (ids below "
                f"{self.ordinary_size}); add sentinel ids to the tokenizer or give fewer sentinels."
            )
        unknown = set(self.mode_ids) - {"R", "X", "S"}
        if unknown:
            raise UsageError(f"Mode tokens are given for {sorted(unknown)}; the kinds are R, X and S.")
        self._check_distinct(range(last, self.first_sentinel + 1))

    def _check_distinct(self, sentinels: range) -> None:
        groups = {"eos_id": {self.eos_id}} if self.pad_is_eos else {"pad_id": {self.pad_id}, "eos_id": {self.eos_id}}
        groups |= {f"mode_ids of {kind}": set(ids) for kind, ids in self.mode_ids.items()}
        for name, ids in groups.items():
            met = sorted(token for token in ids if token in sentinels)
            if met:
                raise UsageError(f"Id {met[0]} is both a sentinel and one of {name}; choose ids that differ.")
        for (name, ids), (other, others) in combinations(groups.items(), 2):
            # Modes written as plain text share pieces such as brackets; pad and EOS share nothing.
            if "id" in (name[-2:], other[-2:]) and ids & others:
                raise UsageError(f"Id {min(ids & others)} is both {name} and {other}; choose ids that differ.")

    @property
    def start_id(self) -> int:
        """What a decoder starts from."""
        return self.pad_id if self.decoder_start_id is None else self.decoder_start_id

    @property
    def not_text(self) -> list[int]:
        """Ids of the sentinels, EOS and padding."""
        return sorted({*range(self.first_sentinel - self.sentinels + 1, self.first_sentinel + 1), self.eos_id, self.pad_id})
