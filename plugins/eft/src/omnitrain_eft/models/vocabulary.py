"""Whether tokenizers mean the same by the same id; without that, adding logits is nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omnitrain.errors import DataError
from omnitrain_language.encoding import vocabulary_size

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SPECIAL = ("bos_token_id",)


def first_difference(reference: Mapping[str, int], other: Mapping[str, int]) -> str | None:
    """Return the first id at which two vocabularies differ, as a clause, or None. Ids behind the shorter one are free."""
    mine, yours = ({i: t for t, i in v.items()} for v in (reference, other))
    # Ids may have holes, so that the number of tokens says nothing about the last one.
    for number in range(1 + min(max(mine, default=-1), max(yours, default=-1))):
        a, b = mine.get(number), yours.get(number)
        if a != b:
            return f"id {number} is {_shown(a)} there and {_shown(b)} here"
    return None


def _shown(token: str | None) -> str:
    return "no token" if token is None else repr(token)


def check_vocabularies(tokenizers: Mapping[str, PreTrainedTokenizerFast]) -> int:
    """Compare all tokenizers with the first; return its number of ids, which all of them share.

    Others may have extra ids at their end, which are cut. Raises DataError that shows the first difference.
    """
    names = list(tokenizers)
    reference: Any = tokenizers[names[0]]
    shared = vocabulary_size(reference)
    for name in names[1:]:
        other: Any = tokenizers[name]
        found = first_difference(reference.get_vocab(), other.get_vocab())
        if found is not None:
            raise DataError(
                f"the tokenizers of {names[0]} and {name} differ: {found}. Composed models must share one vocabulary; take "
                "models of one family"
            )
        for special in _SPECIAL:
            mine, yours = getattr(reference, special), getattr(other, special)
            # Chat models end a turn by a token of their own, so that only the start must agree.
            if mine is not None and yours is not None and mine != yours:
                raise DataError(f"the tokenizers of {names[0]} and {name} differ: {special} is {mine} there and {yours} here")
        if (own := vocabulary_size(other)) < shared:
            raise DataError(
                f"the tokenizer of {name} has {own} ids, that of {names[0]} has {shared}, which {name} can't read: "
                "name the smaller tokenizer in `tokenizer`, or take models of one family"
            )
    return shared


def check_rows(rows: Mapping[str, int], ids: int) -> int:
    """Return the number of ids that the composition gives: those of the tokenizer, without it those that all models have.

    rows: of each model's output; untrained rows behind the tokenizer's ids are cut. ids: of the tokenizer, 0 where there is
    none. Raises DataError where a model has fewer rows than there are ids.
    """
    for name, count in rows.items():
        if count < ids:
            raise DataError(
                f"{name} gives logits for {count} ids, the shared tokenizer has {ids}: it belongs to another tokenizer"
            )
    return ids or min(rows.values())
