"""Standard output and error whose other end may be closed, broken or full, or of an encoding that can't hold a text."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any, TextIO

from omnitrain.errors import EnvironmentFault
from omnitrain.masking import mask
from omnitrain.terminal import visible


class Forgiving(io.TextIOBase):
    """A text stream for remarks: whatever becomes of its other end, writing to it stops nothing."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, as far as that is possible; what the encoding can't hold becomes "?"."""
        if self._stream is not None:
            with self._faults():
                self._write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered, as far as that is possible."""
        if self._stream is not None:
            with self._faults():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether people see it in a terminal."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Return the descriptor."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of what is written."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What is done about text that the encoding can't hold."""
        return getattr(self._stream, "errors", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError as error:
            stream.write(text.encode(error.encoding, "replace").decode(error.encoding))

    def _faults(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.suppress(OSError, ValueError)  # ValueError: it was closed


class Product(Forgiving):
    """Standard output where it is what a command is for: a full disk is told, a closed pipe raises BrokenPipeError."""

    @contextlib.contextmanager
    def _faults(self) -> Any:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise EnvironmentFault(f"Standard output can't be written: {error.strerror}.") from error


def standard_error() -> Forgiving:
    """Return the stream for remarks, which never raises."""
    return sys.stderr if isinstance(sys.stderr, Forgiving) else Forgiving(sys.stderr)


def remark(text: str) -> None:
    """Write a line to standard error, if that can be done; what a terminal would obey is shown instead, secrets are masked."""
    print(visible(mask(text)), file=standard_error(), flush=True)


def encodable(text: str) -> bool:
    """Whether standard output can hold a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def prepare(is_product: bool, reserved: bool) -> TextIO | None:
    """Make the standard streams of this process safe.

    is_product: what is written to standard output is what the command is for, so that losing it is an error. reserved: only
    what is written to the returned stream gets to standard output; all else that is written there, by whatever library or
    child, goes to standard error.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # takes the number, so that no file of the run gets it
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - open as long as the process
    output = sys.stdout or open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if isinstance(output, io.TextIOWrapper):
        output.reconfigure(errors="replace")
    sys.stderr = standard_error()
    if not reserved:
        sys.stdout = Product(output) if is_product else Forgiving(output)
        return None
    own = open(os.dup(1), "w", encoding=output.encoding, errors="replace")  # noqa: SIM115
    os.dup2(2, 1)
    sys.stdout = Forgiving(output)
    return Product(own)  # type: ignore[return-value]
