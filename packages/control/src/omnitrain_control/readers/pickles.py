"""Pickles that hold arrays, dictionaries, lists, numbers and text: read without running anything that they name.

Every name in such a file is looked up in a table of stand-ins, which only write down what they are given; the arrays are made
from that afterwards. A name that is not in the table is refused before it is imported.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import reading
from omnitrain.errors import DataError

WHAT = "a pickle of arrays"
_DEEPEST = 32
_CORE = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class _Kind:
    """A stand-in for numpy.dtype: its text and its state."""

    def __init__(self, text: str, *flags: Any) -> None:
        self.text, self.order = text, ""

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]
        if any(part is not None for part in state[2:5]):
            raise ValueError("arrays with fields are not read")

    def dtype(self) -> np.dtype[Any]:
        found = np.dtype(str(self.text))
        if found.hasobject or found.fields is not None:
            raise ValueError(f"arrays of {found} are not read")
        return found.newbyteorder(">") if self.order == ">" else found


class _Array:
    """A stand-in for an array, or for one number of numpy."""

    def __init__(self, content: Any = None, kind: Any = None, shape: Any = (), fortran: bool = False) -> None:
        self.content, self.kind, self.shape, self.fortran = content, kind, shape, fortran

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.content = state

    def array(self) -> NDArray[Any]:
        # Python 2 wrote bytes as text.
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        if not isinstance(self.kind, _Kind) or not isinstance(content, (bytes, bytearray)):
            raise ValueError("it holds an array of objects")
        shape = tuple(int(size) for size in self.shape)
        return np.frombuffer(content, self.kind.dtype()).reshape(shape, order="F" if self.fortran else "C")


def _stand_ins() -> dict[tuple[str, str], Callable[..., Any]]:
    """Return what stands in for each name that a pickle of arrays holds; new ones each time, since a file may change them."""
    kind: Callable[..., Any] = type("Kind", (_Kind,), {})
    array: Callable[..., Any] = type("Array", (_Array,), {})

    def empty(*arguments: Any) -> Any:
        return array()

    def scalar(what: Any, content: Any) -> Any:
        return array(content, what)

    def buffered(content: Any, what: Any, shape: Any, order: Any) -> Any:
        return array(bytes(content), what, shape, order == "F")

    names: dict[str, Callable[..., Any]] = {
        "_reconstruct": empty, "ndarray": array, "dtype": kind, "scalar": scalar, "_frombuffer": buffered,
    }  # fmt: skip
    found = {(module, name): make for module in _CORE for name, make in names.items()}

    def ordered(pairs: Any = ()) -> dict[Any, Any]:
        return dict(pairs)

    def encoded(text: Any, encoding: Any) -> bytes:
        if encoding != "latin1":
            raise ValueError("bytes of another form")
        return str(text).encode("latin1")

    return {**found, ("collections", "OrderedDict"): ordered, ("_codecs", "encode"): encoded}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path, self._names = path, _stand_ins()

    def find_class(self, module: str, name: str, /) -> Any:
        found = self._names.get((module, name))
        if found is None:
            raise DataError(
                f"{self._path} holds {module}.{name}, which would run code; expected arrays, dictionaries, lists, numbers and "
                "text only: write the arrays with numpy.savez and read that."
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("it names something outside of the file")


def _plain(value: Any, depth: int = 0) -> Any:
    """Return the content with arrays in the place of their stand-ins.

    Raises ValueError for anything that is no data.
    """
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(value, _Array):
        return value.array()
    if isinstance(value, dict):
        return {str(name): _plain(part, depth + 1) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part, depth + 1) for part in value]
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise ValueError(f"it holds a {type(value).__name__}")


def read_pickle(path: Path) -> Any:
    """Return what a pickle holds: arrays, dictionaries with text keys, lists (tuples too), numbers and text.

    Raises DataError that names what else it holds, before anything of that is imported or called.
    """
    with reading(path, WHAT):
        content = _Unpickler(io.BytesIO(path.read_bytes()), path).load()
        return _plain(content)
