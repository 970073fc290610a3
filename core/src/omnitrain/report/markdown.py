"""Tables of stored results for a plugin's README, between markers; equal results give equal text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain.errors import UsageError
from omnitrain.report.claims import claim_texts
from omnitrain.report.numbers import number

MISSING = "not measured yet"


def claims_table(plugin: str, ids: Sequence[str], content: Mapping[str, Any]) -> str:
    """Return the table of a plugin's claims. ids: of all its claims, those without a result are said to have none.
    content: the stored results.
    """
    rows = {claim["id"]: claim for claim in content["claims"]}
    lines = [_line("claim", "the paper", "measured here", "compared with", "difference (95 % interval)", "seeds", "result")]
    lines.append("|---|---|---|---|---|---|---|")
    for name in ids:
        claim = rows.get(name)
        lines.append(_line(f"**{name}**", "", "", "", "", "", MISSING) if claim is None else _claim_line(claim))
    known = [rows[name] for name in ids if name in rows]
    notes = [f"- {c['id']}: {_cell(c['note'])}" for c in known if c["note"]]
    places = list(dict.fromkeys(c["machine"] for c in known))
    foot = f"Means \u00b1 standard deviations over seeds, by `omnitrain reproduce {plugin}`"
    foot += f" on {'; '.join(places)}." if known else "."
    return "\n".join([*lines, "", *notes, *([""] if notes else []), foot])


def _claim_line(claim: Mapping[str, Any]) -> str:
    texts = claim_texts(claim)
    status = f"**{claim['status']}**" if claim["holds"] else claim["status"]
    measured = (texts["metric_text"], texts["baseline_text"], texts["difference_text"], str(claim["seeds"]))
    return _line(f"**{claim['id']}** {claim['statement']}", texts["published"], *measured, status)


def bench_table(plugin: str, content: Mapping[str, Any]) -> str:
    """Return the table of a plugin's benches. content: the stored results."""
    lines = [_line("bench", "ours", "peer", "peer's value", "ours is faster by (range)", "limit"), "|---|---|---|---|---|---|"]
    for bench in content["benches"]:
        ours = next((row for row in bench["rows"] if row["variant"] == bench["ours"]), None)
        own = "" if ours is None else f"{number(ours['median'])} {bench['unit']}"
        others = [row for row in bench["rows"] if row is not ours]
        for i, row in enumerate(others):
            head = (f"{bench['name']}: {bench['summary']}", own) if i == 0 else ("", "")
            lines.append(_line(*head, row["variant"], f"{number(row['median'])} {bench['unit']}", _ratio(row), _limit(row)))
    absent = sorted({name for bench in content["benches"] for name in bench["absent"]})
    places = "; ".join(dict.fromkeys(bench["machine"] for bench in content["benches"]))
    said = f" Not installed there: {', '.join(absent)}." if absent else ""
    return "\n".join([*lines, "", f"Medians of interleaved rounds, by `omnitrain bench {plugin}` on {places}.{said}"])


def _ratio(row: Mapping[str, Any]) -> str:
    if row["speedup"] is None:
        return ""
    return f"{row['speedup']:.2f} ({row['speedup_low']:.2f} to {row['speedup_high']:.2f})"


def _limit(row: Mapping[str, Any]) -> str:
    return "" if row["bar"] is None else f"{row['bar']:.2f} {'met' if row['holds'] else 'not met'}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Return text that can't end a cell, a row or the block."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def between_markers(text: str, name: str, content: str, path: Path) -> str:
    """Return a document with `content` between <!-- name --> and <!-- /name -->. path: for the message.

    Raises UsageError when the document has not exactly one pair of these markers.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UsageError(f"{path} needs one line '{begin}' and after it one line '{end}'; the table goes between them.")
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n\n{content}\n\n{end}{rest.partition(end)[2]}"
