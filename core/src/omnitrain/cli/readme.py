"""Stored results in a plugin's sources, and the table of its README that is made from them."""

from __future__ import annotations

from pathlib import Path

from omnitrain.errors import EvidenceError, UsageError


def results_file(plugin: str, name: str) -> Path:
    """Return where a plugin's sources keep results of that name ("claims", "bench").

    Raises UsageError when the plugin is not installed from its sources.
    """
    from omnitrain.evidence.checkouts import sources_of
    from omnitrain.plugins import installed

    return sources_of(plugin, installed(), f"The results file of {name}") / "results" / f"{name}.json"


def update_readme(plugin: str, marker: str, table: str, command: str, check: bool) -> Path:
    """Put a table between a README's markers, or only check that it stands there. command: what writes it.

    Raises EvidenceError when the check fails, UsageError without sources, README or markers.
    """
    from omnitrain.evidence.checkouts import sources_of
    from omnitrain.plugins import installed
    from omnitrain.report.markdown import between_markers
    from omnitrain.runs.files import write_whole

    path = sources_of(plugin, installed(), "The README") / "README.md"
    if not path.is_file():
        raise UsageError(f"{path} is missing; write one with '<!-- {marker} -->' and '<!-- /{marker} -->'.")
    before = path.read_text(encoding="utf-8")
    after = between_markers(before, marker, table, path)
    if after != before:
        if check:
            raise EvidenceError(f"The table '{marker}' of {path} does not fit the stored results; write it with '{command}'.")
        write_whole(path, after)
    return path
