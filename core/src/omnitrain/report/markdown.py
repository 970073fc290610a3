"""Tables of stored results for a plugin's README, between markers; equal results give equal text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain.errors import UsageError
from omnitrain.report.claims import compared_texts, looks_text, origin_text, published
from omnitrain.report.numbers import number, p_text

MISSING = "not measured yet"


def claims_table(plugin: str, ids: Sequence[str], content: Mapping[str, Any]) -> str:
    """Return the table of a plugin's claims. ids: of all its claims, those without a result are said to have none.
    content: the stored results.
    """
    rows = {claim["id"]: claim for claim in content["claims"]}
    lines = [
        _line("claim", "the paper", "compared", "ahead by (interval)", "p", "seeds", "result"),
        "|---|---|---|---|---|---|---|",
    ]
    for name in ids:
        claim = rows.get(name)
        lines += [_line(f"**{name}**", "", "", "", "", "", MISSING)] if claim is None else _claim_lines(claim)
    known = [rows[name] for name in ids if name in rows]
    notes = [f"- {c['id']}: {_cell(text)}" for c in known if (text := _note(c))]
    foot = [
        f"Means \u00b1 standard deviations over seeds, by `omnitrain reproduce {plugin}`. *Ahead by* is taken seed by seed and "
        "is above 0 on the claimed side; p is twice the one-sided one. A claim is shown when all of its comparisons are, and "
        "its p, adjusted by Holm within the plugin, is below the level; else it is called unadjusted.",
        *(f"Measured on {text}." for text in dict.fromkeys(origin_text(c) for c in known)),
    ]
    return "\n".join([*lines, "", *notes, *([""] if notes else []), "\n\n".join(_cell(text) for text in foot)])


def _claim_lines(claim: Mapping[str, Any]) -> list[str]:
    result = f"**{claim['status']}**" if claim["holds"] else claim["status"]
    if claim["adjusted_p"] is not None:
        result += f"; adjusted p {p_text(claim['adjusted_p'])}"
    first, *others = compared_texts(claim)
    head = (f"**{claim['id']}** {claim['statement']}", published(claim))
    lines = [_line(*head, first["compared"], first["gain"], first["p"], str(claim["seeds"]), result)]
    return lines + [_line("", "", row["compared"], row["gain"], row["p"], "", row["result"]) for row in others]


def _note(claim: Mapping[str, Any]) -> str:
    """Return a claim's note, with what the reader of a result that is not shown asks next."""
    looks = f"{looks_text(claim).capitalize()}." if claim["beyond"] else ""
    short = [
        f"Against {found['opponent']}: {row['resolution']}."
        for found, row in zip(claim["contrasts"], compared_texts(claim), strict=False)
        if found["verdict"] in ("open", "equivalent") and row["resolution"]
    ]
    return " ".join([text for text in (claim["note"], claim["pilot"], looks) if text] + short)


def bench_table(plugin: str, content: Mapping[str, Any]) -> str:
    """Return the table of a plugin's benches.

    content: the stored results. A bench without rows was not measured since it compares what it does now.
    """
    lines = [_line("bench", "ours", "peer", "peer's value", "ours is faster by (range)", "limit"), "|---|---|---|---|---|---|"]
    for bench in content["benches"]:
        ours = next((row for row in bench["rows"] if row["variant"] == bench["ours"]), None)
        own = "" if ours is None else f"{number(ours['median'])} {bench['unit']}"
        others = [row for row in bench["rows"] if row is not ours]
        if not bench["rows"]:
            lines.append(_line(f"{bench['name']}: {bench['summary']}", "", "", "", MISSING, ""))
        for i, row in enumerate(others):
            head = (f"{bench['name']}: {bench['summary']}", own) if i == 0 else ("", "")
            lines.append(_line(*head, row["variant"], f"{number(row['median'])} {bench['unit']}", _ratio(row), _limit(row)))
    absent = sorted({name for bench in content["benches"] for name in bench["absent"]})
    places = "; ".join(dict.fromkeys(bench["machine"] for bench in content["benches"] if bench["rows"]))
    said = f" Not installed there: {', '.join(absent)}." if absent else ""
    notes = [f"- {bench['name']}: {_cell(_notes(bench['notes']))}" for bench in content["benches"] if bench["notes"]]
    foot = f"Medians of interleaved rounds, by `omnitrain bench {plugin}` on {places}.{said}"
    return "\n".join([*lines, "", *notes, *([""] if notes else []), foot])


def _notes(notes: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" if name else text for name, text in notes.items())


def parity_table(plugin: str, content: Mapping[str, Any]) -> str:
    """Return the table of a plugin's golden files. content: as `omnitrain parity --json` prints it."""
    lines = [_line("golden file", "cases", "tolerance", "what it reaches"), "|---|---|---|---|"]
    for found in content["files"]:
        tolerance = ", ".join(f"{name} {value:g}" for name, value in found["tolerance"].items())
        cases = str(found["passed"] + found["failed"])
        reaches = "code of training" if found["test_only"] is None else f"**not of training**: {found['test_only']}"
        lines.append(_line(found["file"].removesuffix(".json"), cases, tolerance, reaches))
    return "\n".join([*lines, "", f"`omnitrain parity {plugin}` compares them; whole numbers, text and structure exactly."])


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
