"""What a check is, and what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omnitrain.errors import OmnitrainError

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

Status = Literal["passed", "failed", "excepted"]


class Note(str):
    """A remark: worth reading, not a problem."""

    __slots__ = ()


@dataclass(frozen=True)
class Check:
    """One check. run: yields problems, each a sentence that says what is wrong and what to do, and `Note`s."""

    name: str
    run: Callable[[Examination], Iterable[str]]


@dataclass(frozen=True)
class Result:
    """What a check found. reason: why the author excepts the plugin from it."""

    name: str
    status: Status
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0

    def json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def carry_out(check: Check, examination: Examination) -> Result:
    """Run one check. Whatever the plugin raises in it is a problem of the plugin."""
    started = time.perf_counter()
    problems: list[str] = []
    notes: list[str] = []
    try:
        for found in check.run(examination):
            (notes if isinstance(found, Note) else problems).append(str(found))
    except (Exception, SystemExit) as error:
        problems.append(f"The check could not be finished: {described(error)}.")
    reason = examination.declared.exceptions.get(check.name, "")
    if reason and not problems:
        notes.append(f"the declared exception ({reason}) is not needed any more")
    status: Status = "passed" if not problems else "excepted" if reason else "failed"
    seconds = round(time.perf_counter() - started, 3)
    return Result(check.name, status, tuple(problems), tuple(notes), reason if status == "excepted" else "", seconds)


def described(error: BaseException) -> str:
    """Write an exception with the place that raised it; an error meant for users only as its message."""
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, OmnitrainError):
        return text
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
    return f"{type(error).__name__}: {text}".rstrip(": ") + place
