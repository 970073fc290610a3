"""The page and the texts of measured claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain import __version__
from omnitrain.report.curves import legend
from omnitrain.report.dots import dot_plot
from omnitrain.report.drawing import Chart
from omnitrain.report.numbers import number
from omnitrain.report.rendering import render_page
from omnitrain.runs.files import write_whole

CLAIMS_PAGE = "claims.html"


def write_claims_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page of measured claims. content: as `omnitrain reproduce --json` prints it, numbers as numbers.

    Raises EnvironmentFault when the file can't be written.
    """
    rows = [{**claim, **claim_texts(claim), "chart": _chart(claim)} for claim in content["claims"]]
    shown = sum(bool(claim["holds"]) for claim in rows)
    write_whole(path, render_page("claims.html.jinja", plugin=content["plugin"], claims=rows, shown=shown, version=__version__))


def claim_texts(claim: Mapping[str, Any]) -> dict[str, str]:
    """Return one measured claim as texts: published, metric, baseline, difference, wanted."""
    interval = claim["difference"]["interval"]
    spread = "" if interval is None else f" ({number(_real(interval[0]))} to {number(_real(interval[1]))})"
    sign = "above" if claim["direction"] == "higher" else "below"
    least = f" by {number(_real(claim['margin']))} or more" if claim["margin"] else ""
    return {
        "published": "; ".join(_published(name, entry) for name, entry in claim["paper"].items()),
        "metric_text": f"{claim['metric']} {with_spread(claim['measured'])}",
        "baseline_text": f"{claim['baseline']['name']} {with_spread(claim['baseline'])}",
        "difference_text": f"{number(_real(claim['difference']['mean']))}{spread}",
        "wanted": f"{claim['metric']} {sign} {claim['baseline']['name']}{least}",
    }


def with_spread(found: Mapping[str, Any]) -> str:
    """Write "mean \u00b1 standard deviation" of a number over seeds."""
    spread = found["spread"]
    return number(_real(found["mean"])) + ("" if spread is None else f" \u00b1 {number(_real(spread))}")


def _real(value: Any) -> float:
    """Return a stored number; those that JSON can't hold are words."""
    return float(value)


def _published(name: str, entry: Mapping[str, Any]) -> str:
    value = entry["value"]
    text = "not given" if value is None else number(value)
    return f"{name}: {text} ({entry['source']})"


def _chart(claim: Mapping[str, Any]) -> Chart:
    metric, baseline = claim["metric"], claim["baseline"]["name"]
    pairs = zip(claim["seed_numbers"], claim["measured"]["per_seed"], claim["baseline"]["per_seed"], strict=True)
    rows: Sequence[Any] = [(f"seed {seed}", {metric: _real(ours), baseline: _real(theirs)}) for seed, ours, theirs in pairs]
    arrow = "\u2191 higher is claimed" if claim["direction"] == "higher" else "\u2193 lower is claimed"
    return Chart(claim["id"], dot_plot(rows, ""), legend([metric, baseline]), f"{metric}: {arrow}")
