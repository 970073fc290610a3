"""Run a plugin's real code on golden vectors, inputs with the outputs that the official code gave, and compare."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omnitrain.errors import PluginError, UsageError, nearest
from omnitrain.evidence.checkouts import checkout
from omnitrain.evidence.comparing import Tolerance, first_difference
from omnitrain.plugins import Registry
from omnitrain.plugins.registry import package_file

DEFAULT_TOLERANCE = {"relative": 1e-6, "absolute": 1e-7}

Adapter = Callable[[Any, Mapping[str, Any]], Any]
Compare = Callable[[Any, Any, Any], "str | None"]


@dataclass(frozen=True)
class Adapters:
    """What a plugin's parity module holds, by the stem of the golden file.

    run: (input, shared) -> output, calls the code that training uses. compare: (expected, actual, input) -> None or
    the difference, in place of the ordinary comparison. tolerance: (relative, absolute), or numbers by name: "relative"
    and "absolute" for the ordinary comparison, any others for the file's own one. test_only: what of a file reaches code that
    nothing but its test calls, so that it says nothing of training.
    """

    run: Mapping[str, Adapter]
    compare: Mapping[str, Compare]
    tolerance: Mapping[str, Mapping[str, float]]
    test_only: Mapping[str, str]


@dataclass(frozen=True)
class FileResult:
    """One golden file. tolerance: numbers by name. first_difference: of the first failed case, or the reason. test_only: what
    of it reaches code that training does not, or None.
    """

    file: str
    passed: int
    failed: int
    tolerance: dict[str, float]
    first_difference: str | None
    test_only: str | None = None


@dataclass(frozen=True)
class ParityReport:
    """All golden files of a folder. vectors: the folder."""

    plugin: str
    vectors: str
    files: tuple[FileResult, ...]

    @property
    def passed(self) -> int:
        """Cases that agree."""
        return sum(f.passed for f in self.files)

    @property
    def failed(self) -> int:
        """Cases that differ; a file that can't be run counts as one."""
        return sum(f.failed for f in self.files)

    def json(self) -> dict[str, Any]:
        """Return {plugin, vectors, passed, failed, files} as plain values."""
        head = {"plugin": self.plugin, "vectors": self.vectors, "passed": self.passed, "failed": self.failed}
        return {**head, "files": [asdict(f) for f in self.files]}


def run_parity(plugin: str, registry: Registry, vectors: Path | None = None) -> ParityReport:
    """Run all cases of all *.json in a folder, by default the plugin's own vectors, in float64.

    Raises PluginError when the plugin has no adapters or no vectors, UsageError when the folder holds no *.json.
    """
    folder = vectors if vectors is not None else default_vectors(plugin, registry)
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        raise UsageError(f"{folder} holds no golden files; expected a folder with *.json.")
    adapters = load_adapters(plugin, registry)
    with _float64():
        results = tuple(_run_file(file, adapters) for file in files)
    return ParityReport(plugin, str(folder), results)


def load_adapters(plugin: str, registry: Registry) -> Adapters:
    """Import a plugin's adapters and, from the same module, its optional COMPARE, TOLERANCES and TEST_ONLY.

    Raises PluginError when there are none, the module can't be imported, or TEST_ONLY names a file that has no adapter.
    """
    reference = registry.plugin(plugin).parity
    if reference is None:
        raise PluginError(f"Plugin {plugin!r} offers no parity adapters.")
    name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(name)
        run = getattr(module, attribute)
        tolerances = {stem: _named(value) for stem, value in getattr(module, "TOLERANCES", {}).items()}
    except Exception as error:
        raise PluginError(f"The parity adapters {reference!r} can't be loaded: {type(error).__name__}: {error}.") from error
    test_only = {stem: str(text) for stem, text in getattr(module, "TEST_ONLY", {}).items()}
    unknown = [stem for stem in test_only if stem not in run]
    if unknown:
        raise PluginError(f"TEST_ONLY of {name} names {unknown[0]!r}, which has no adapter. {nearest(unknown[0], run)}")
    return Adapters(run, getattr(module, "COMPARE", {}), tolerances, test_only)


def _named(tolerance: Mapping[str, float] | tuple[float, float]) -> dict[str, float]:
    if isinstance(tolerance, Mapping):
        return {name: float(value) for name, value in tolerance.items()}
    relative, absolute = tolerance
    return {"relative": float(relative), "absolute": float(absolute)}


def default_vectors(plugin: str, registry: Registry) -> Path:
    """Return the folder of the plugin's own golden files: in its package, or tests/golden of a source checkout.

    Raises PluginError when there is none.
    """
    described = registry.plugin(plugin)
    if described.golden is not None and ":" in described.golden:
        return package_file(described.golden)
    sources = checkout(next(s.distribution for s in registry.states if s.plugin is described))
    folder = sources / (described.golden or "tests/golden") if sources is not None else None
    if folder is None or not folder.is_dir():
        raise PluginError(f"Plugin {plugin!r} has no golden files of its own; name a folder with --vectors.")
    return folder


def _run_file(file: Path, adapters: Adapters) -> FileResult:
    own = adapters.tolerance.get(file.stem, {})
    shown = dict(own) if own and file.stem in adapters.compare else {**DEFAULT_TOLERANCE, **own}
    tolerance = Tolerance(**{**DEFAULT_TOLERANCE, **{k: v for k, v in own.items() if k in DEFAULT_TOLERANCE}})

    def unusable(reason: str) -> FileResult:
        return FileResult(file.name, 0, 1, shown, reason, adapters.test_only.get(file.stem))

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return unusable(f"can't be read: {error}")
    if not isinstance(content, dict) or not isinstance(content.get("cases"), list) or not content["cases"]:
        return unusable("holds no list 'cases'")
    if file.stem not in adapters.run:
        return unusable(f"the plugin has no adapter named {file.stem!r}")
    shared = {key: value for key, value in content.items() if key != "cases"}
    found = [_run_case(i, case, file.stem, shared, adapters, tolerance) for i, case in enumerate(content["cases"])]
    differences = [difference for difference in found if difference is not None]
    first = differences[0] if differences else None
    told = adapters.test_only.get(file.stem)
    return FileResult(file.name, len(found) - len(differences), len(differences), shown, first, told)


def _run_case(index: int, case: Any, stem: str, shared: dict[str, Any], adapters: Adapters, tolerance: Tolerance) -> str | None:
    """Return the first difference of a case, or None. A case that can't be run is a difference too."""
    where = f"cases[{index}]"
    if not isinstance(case, dict) or "input" not in case or "output" not in case:
        return f"{where}: holds no 'input' and 'output'"
    try:
        actual = adapters.run[stem](case["input"], shared)
        if stem in adapters.compare:
            said = adapters.compare[stem](case["output"], actual, case["input"])
            return None if said is None else f"{where}{'.' if said.startswith('output') else ': '}{said}"
        return first_difference(case["output"], actual, tolerance, f"{where}.output")
    except Exception as error:  # whatever the plugin's code raises is the case's result
        return f"{where}: {_line(error)}"


def _line(error: Exception) -> str:
    """Write an exception with the place in the plugin's code that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}".rstrip(": ") + place


@contextmanager
def _float64() -> Iterator[None]:
    """Make float64 torch's default while the block runs, where torch is installed; an adapter may choose another."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
