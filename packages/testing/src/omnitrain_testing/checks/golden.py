"""Golden vectors: the official code's outputs, reproduced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from omnitrain_testing.findings import Note

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination


def vectors(examination: Examination) -> Iterator[str]:
    """Every golden file has an adapter, every adapter a file, and all cases pass."""
    from omnitrain.evidence.parity import load_adapters, run_parity

    name = examination.plugin.name
    if examination.plugin.parity is None:
        yield (
            "It offers no parity adapters: compute outputs of the official code, store them in tests/golden, and set "
            "Plugin.parity. Where no official code exists, declare that as an exception."
        )
        return
    adapters = load_adapters(name, examination.registry)
    folder = _folder(examination)
    if folder is None:
        if examination.checkout is None:
            yield Note("the installed plugin carries no golden files; they were not compared")
        else:
            yield "It has no golden files: store inputs and the official code's outputs in tests/golden."
        return
    report = run_parity(name, examination.registry, folder)
    for file in report.files:
        if file.failed:
            total = file.passed + file.failed
            yield f"{file.file}: {file.failed} of {total} cases fail, first {file.first_difference}."
    orphans = sorted(set(adapters.run) - {file.file.removesuffix(".json") for file in report.files})
    if orphans:
        yield f"The adapters {', '.join(orphans)} have no golden file: add the files or remove the adapters."


def _folder(examination: Examination) -> Path | None:
    from omnitrain.errors import PluginError
    from omnitrain.evidence.parity import default_vectors

    if examination.declared.golden is not None:
        return examination.declared.golden
    try:
        return default_vectors(examination.plugin.name, examination.registry)
    except PluginError:
        return None
