"""Every error that omnitrain raises on purpose, each with the exit code of the command that ends with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_BUG = 1
LONGEST_COMPARED = 100
MOST_COMPARED = 1000


class OmnitrainError(Exception):
    """A fault whose message a user can act on; it ends a command without a traceback."""

    exit_code = EXIT_BUG


class UsageError(OmnitrainError):
    """Wrong settings, arguments or recipes."""

    exit_code = 2


class PluginError(OmnitrainError):
    """A plugin or one of its components is missing, broken or incompatible."""

    exit_code = 3


class DataError(OmnitrainError):
    """The data is missing, empty, malformed or does not fit the settings."""

    exit_code = 4


class Unreachable(DataError):
    """Data on a hub or server that can't be reached from here; it may be there from elsewhere."""


class EnvironmentFault(OmnitrainError):
    """Disk, permissions, memory, a missing library or a damaged run directory."""

    exit_code = 5


class Damaged(EnvironmentFault, DataError):
    """A file of a run, a product or a cache is not as omnitrain wrote it; whatever reads it as data gets none."""

    exit_code = EnvironmentFault.exit_code


class NotMadeYet(EnvironmentFault):
    """A product of a stage that has not run yet; what needs it can't be checked before."""


class EvidenceError(OmnitrainError):
    """A golden vector, a check or a claim is not met."""

    exit_code = 6


class NumericalError(OmnitrainError):
    """Training met NaN or infinite losses too often to go on; the last good checkpoint is kept."""

    exit_code = 7


class Stopped(OmnitrainError):
    """The run was asked to stop; it saved a checkpoint and can be resumed."""

    exit_code = 75


def said_by(error: BaseException) -> str:
    """Return what a library says, in one line; its advice to allow foreign code is no setting here and is left out."""
    if "trust_remote_code" in str(error):
        return "it comes with code of its own, which is never run here; choose a model that transformers itself knows"
    return " ".join(str(error).split())


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Say which known names are closest to `name`, as a sentence to append to an error message."""
    names = sorted(known)
    similar = [known for known in names if abs(len(known) - len(name)) <= LONGEST_COMPARED][:MOST_COMPARED]
    matches = difflib.get_close_matches(name, similar, n=limit, cutoff=0.5) if len(name) <= LONGEST_COMPARED else []
    if matches:
        return f"Did you mean {' or '.join(repr(m) for m in matches)}?"
    if not names:
        return "There are none."
    shown = ", ".join(name[:LONGEST_COMPARED] for name in names[:12])
    return f"Known: {shown}{', ...' if len(names) > 12 else ''}."
