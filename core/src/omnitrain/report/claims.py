"""The page and the texts of measured claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from omnitrain import __version__
from omnitrain.report.drawing import Chart
from omnitrain.report.forest import Row, forest
from omnitrain.report.numbers import number, p_text
from omnitrain.report.rendering import render_page
from omnitrain.runs.files import write_whole

CLAIMS_PAGE = "claims.html"
UNMEASURED = "not measured"
_NONE = "none within 1000"
_AXES = {"difference": "difference", "log-ratio": "logarithm of the ratio", "logit": "difference of logits"}
_LABEL_LENGTH = 74


def write_claims_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page of measured claims. content: as `omnitrain reproduce --json` prints it, numbers as numbers or words.

    Raises EnvironmentFault when the file can't be written.
    """
    rows = [
        {
            **claim,
            "published": published(claim),
            "compared": compared_texts(claim),
            "charts": list(_charts(claim)),
            "origin": origin_text(claim),
            "looks_text": _sentence(looks_text(claim)),
            "rest": claim["status"].removeprefix(claim["result"]),
            "installed_text": _sentence(installed_text(claim["installed"])),
        }
        for claim in content["claims"]
    ]
    shown = sum(bool(claim["holds"]) for claim in rows)
    write_whole(path, render_page("claims.html.jinja", plugin=content["plugin"], claims=rows, shown=shown, version=__version__))


def published(claim: Mapping[str, Any]) -> str:
    """Return what the paper reports as a text."""
    return "; ".join(_published(name, entry) for name, entry in claim["paper"].items())


def compared_texts(claim: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a claim's comparisons as texts: its contrasts, then those with doing nothing.

    Keys: compared ("a 1 ± 0.1 below b 2 ± 0.2"), gain (the mean in the claimed direction with its interval), p, result,
    resolution (what so many seeds would have seen, and how many are needed).
    """
    rows = [_compared(claim, contrast, contrast["opponent"], "") for contrast in claim["contrasts"]]
    for row in claim["nothing"]:
        if row["verdict"] == UNMEASURED:
            text = {"compared": f"{row['metric']} against doing nothing: {row['name']}", "gain": "", "p": "", "resolution": ""}
            rows.append({**text, "result": "not measured yet"})
        else:
            rows.append(_compared(claim, row, row["name"], "doing nothing: "))
    return rows


def _compared(claim: Mapping[str, Any], found: Mapping[str, Any], opponent: str, what: str) -> dict[str, str]:
    values = claim["values"]
    side = "above" if found["direction"] == "higher" else "below"
    margin = number(_real(found["margin"]))
    words = {
        "better": f"{side}{f' by more than {margin}' if found['margin'] else ''}",
        "not-worse": f"not {'below' if side == 'above' else 'above'} by {margin} or more:",
        "equal": f"within {margin} of",
    }[found["kind"]]
    metric = f"{found['metric']} {with_spread(values[found['metric']])}"
    interval = found["gain"]["interval"]
    percent = f"{100 * (1 - claim['level']):.3g} %"
    spread = "" if interval is None else f" ({percent}: {number(_real(interval[0]))} to {number(_real(interval[1]))})"
    scale = "" if found["scale"] == "difference" else f"{found['scale']} "
    return {
        "compared": f"{metric} {words} {what}{opponent} {with_spread(values[opponent])}",
        "gain": f"{scale}{number(_real(found['gain']['mean']))}{spread}",
        "p": p_text(found["p"]),
        "result": found["verdict"] + (f" ({found['reason']})" if found["reason"] else ""),
        "resolution": _resolution(claim, found),
    }


def _resolution(claim: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if found["detectable"] is None:
        return ""
    needed = found["seeds_needed"] if found["seeds_needed"] is not None else _NONE
    seen = f"{claim['seeds']} seeds see {number(_real(found['detectable']))} with 80 % power"
    return f"{seen}; seeds needed: {needed}"


def looks_text(claim: Mapping[str, Any]) -> str:
    """Say at which seeds a claim was looked at, when, and whether that was declared."""
    parts = []
    for look in claim["looks"]:
        date = "" if look["date"] == "not recorded" else f" on {look['date']}"
        parts.append(f"seeds {_numbered(look['seeds'])}{date}{'' if look['declared'] else ' (not declared)'}")
    return f"looked at {', then at '.join(parts)}; declared: {claim['looks'][-1]['declaration']}"


def _numbered(seeds: Sequence[int]) -> str:
    whole = len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]}-{seeds[-1]}" if whole else ", ".join(map(str, seeds))


def origin_text(claim: Mapping[str, Any]) -> str:
    """Say with what a claim was measured: date, versions, commit, processor."""
    versions, cpu = claim["versions"], claim["cpu"]
    said = versions if isinstance(versions, str) else ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [claim["machine"], f"versions {said}", f"commit {claim['commit']}", f"date {claim['date']}"]
    return f"{'; '.join(parts)}; processor {cpu if isinstance(cpu, str) else _cpu(cpu)}"


def _cpu(cpu: Any) -> str:
    if not isinstance(cpu, Mapping):
        return "; ".join(_cpu(one) for one in cpu)
    native = {True: "bfloat16 native", False: "bfloat16 emulated", None: "bfloat16 unknown"}[cpu.get("bf16")]
    return ", ".join([str(cpu["kind"]), *([str(cpu["capability"])] if "capability" in cpu else []), native])


def installed_text(told: Mapping[str, Any]) -> str:
    """Say whether the installed code is that of the numbers. told: {"equal", "changes"}."""
    if told["equal"] is None:
        return "whether the installed code is that of these numbers was not recorded: run again"
    if told["equal"]:
        return "the installed code and recipes are those of these numbers"
    return f"changed since these numbers were measured: {'; '.join(told['changes'])}: run again"


def with_spread(found: Mapping[str, Any]) -> str:
    """Write "mean \u00b1 standard deviation" of a number over seeds."""
    spread = found["spread"]
    return number(_real(found["mean"])) + ("" if spread is None else f" \u00b1 {number(_real(spread))}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _real(value: Any) -> float:
    """Return a stored number; those that JSON can't hold are words."""
    return float(value)


def _published(name: str, entry: Mapping[str, Any]) -> str:
    value = entry["value"]
    text = "not given" if value is None else number(value)
    return f"{name}: {text} ({entry['source']})"


def _charts(claim: Mapping[str, Any]) -> Iterator[Chart]:
    """Draw a claim's comparisons, those of one scale together: right of zero is the claimed side."""
    contrasts = [(found, f"{found['metric']} against {found['opponent']}", 0) for found in claim["contrasts"]]
    nothing = [
        (found, f"{found['metric']} against doing nothing: {found['name']}", 1)
        for found in claim["nothing"]
        if found["verdict"] != UNMEASURED
    ]
    for scale in dict.fromkeys(found["scale"] for found, _, _ in contrasts):
        rows = [_row(found, label, colour) for found, label, colour in [*contrasts, *nothing] if found["scale"] == scale]
        svg: Markup = forest(rows, f"{_AXES[scale]}, right of 0 as claimed")
        yield Chart(claim["id"], svg, Markup(""), "Mean with interval; small dots are seeds; dashed: the margin.")


def _row(found: Mapping[str, Any], label: str, colour: int) -> Row:
    gain = found["gain"]
    interval = gain["interval"] and (_real(gain["interval"][0]), _real(gain["interval"][1]))
    margin, kind = _real(found["margin"]), found["kind"]
    limits = {"better": (margin,) if margin else (), "not-worse": (-margin,), "equal": (-margin, margin)}[kind]
    short = label if len(label) <= _LABEL_LENGTH else label[: _LABEL_LENGTH - 3] + "..."
    return Row(short, [_real(v) for v in gain["per_seed"]], _real(gain["mean"]), interval, limits, colour)
