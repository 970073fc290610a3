"""Metrics of numbers: mean absolute errors, and the coefficient of determination."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from omnitrain_omnimol.paper.metrics.pairs import Pair

Values = dict[str, float | int | None]
_SIGNED = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# A sign, unless it joins words or the digits of a range or formula.
_HONEST = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![A-Za-z])|(?<![\w.])[-+]?\d+(?:\.\d+)?")
_UNSIGNED = re.compile(r"\d+(?:\.\d+)?")
_MINUS = str.maketrans({"−": "-", "–": "-"})


def first_number(text: str, official: bool = False) -> float | None:
    """Return the first number of a text, None where there is none.

    Numbers have signs and exponents, and digits of a formula (C6H6) are none. official: without sign and exponent, and any
    digits count.
    """
    found = (_UNSIGNED if official else _HONEST).search(text if official else text.translate(_MINUS))
    return None if found is None else float(found[0])


def signed_number(text: str) -> float | None:
    """Return the first signed number with fraction and exponent, wherever it stands, as the code reads SCF energies."""
    found = _SIGNED.search(text)
    return None if found is None else float(found[0])


def whole_number(text: str) -> float | None:
    """Return a text that is a finite number as a whole, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _errors(pairs: Sequence[Pair], read: Callable[[str], float | None]) -> tuple[list[float], int, int]:
    """Return (errors, predictions without a number, targets without a number)."""
    errors, unread, untold = list[float](), 0, 0
    for pair in pairs:
        wanted, found = read(pair.target), read(pair.cut())
        untold += wanted is None
        unread += wanted is not None and found is None
        if wanted is not None and found is not None:
            errors.append(abs(wanted - found))
    return errors, unread, untold


def extracted_error(pairs: Sequence[Pair], official: bool = False) -> Values:
    """Return the mean absolute error of the first numbers of answers; predictions without one are counted."""
    errors, unread, untold = _errors(pairs, lambda text: first_number(text, official))
    if official:
        return {"Average MAE": _mean(errors), "n_invalid": unread + untold}
    return {"mae": _mean(errors), "unread": unread, "targets_unread": untold, "n": len(errors)}


def scf_error(pairs: Sequence[Pair], official: bool = False) -> Values:
    """Return the mean absolute error of SCF energies."""
    errors, unread, untold = _errors(pairs, signed_number if official else first_number)
    if official:
        return {
            "Average MAE": _mean(errors),
            "No pred match": unread,
            "No gt match": untold,
            "Float conversion error": 0,
        }
    return {"mae": _mean(errors), "unread": unread, "targets_unread": untold, "n": len(errors)}


def orbital(prompt: str) -> str:
    """Return which energy a prompt asks for: HOMO, LUMO, or GAP where it names both."""
    return "GAP" if "HOMO" in prompt and "LUMO" in prompt else "LUMO" if "LUMO" in prompt else "HOMO"


def orbital_errors(pairs: Sequence[Pair], official: bool = False) -> Values:
    """Return the mean absolute errors of HOMO, LUMO and gap, and of all; an answer that is no number as a whole is counted."""
    found: dict[str, list[float]] = {"HOMO": [], "LUMO": [], "GAP": []}
    skipped = 0
    for pair in pairs:
        wanted, told = whole_number(pair.target), whole_number(pair.cut())
        if wanted is None or told is None:
            skipped += 1
        else:
            found[orbital(pair.prompt)].append(abs(wanted - told))
    every = [error for errors in found.values() for error in errors]
    if official:
        return {
            **{f"{kind} MAE": _mean(errors) for kind, errors in found.items()},
            "Average": _mean(every),
            "Skipped items": skipped,
        }
    return {
        **{f"{kind.lower()}_mae": _mean(errors) for kind, errors in found.items()},
        "mae": _mean(every),
        "unread": skipped,
        "n": len(every),
    }


def determination(pairs: Sequence[Pair], official: bool = False) -> Values:
    """Return R^2 of yields over the answers that are numbers as a whole, with the share of the others beside it."""
    read = [(whole_number(pair.target), whole_number(pair.cut())) for pair in pairs]
    known = [(wanted, told) for wanted, told in read if wanted is not None and told is not None]
    mean = _mean([wanted for wanted, _ in known])
    spread = sum((wanted - (mean or 0.0)) ** 2 for wanted, _ in known)
    score = 1 - sum((wanted - told) ** 2 for wanted, told in known) / spread if spread > 0 else None
    if official:
        return {"R2 Score": score}
    return {"r2": score, "unread_share": 1 - len(known) / len(pairs) if pairs else None, "n": len(known)}
