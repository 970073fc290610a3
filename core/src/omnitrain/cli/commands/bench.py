"""`omnitrain bench`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, note, number, readable, table
from omnitrain.errors import UsageError, nearest
from omnitrain.plugins import installed


@click.command()
@click.argument("plugin", shell_complete=plugin_names)
@click.option("--only", multiple=True, metavar="NAME", help="Run only benches whose name holds this text.")
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds of every bench. Default: each bench's own.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write the results as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(plugin: str, only: tuple[str, ...], rounds: int | None, save: Path | None, as_json: bool) -> None:
    """Time a plugin's hot paths beside the peers that are installed, in turn, and print ratios of the same rounds.

    A ratio above 1 says how many times as fast ours was; "limit" is what it must reach.

    \b
    Examples:
      omnitrain bench core
      omnitrain bench core --only "fixed cost" --rounds 9
    """
    from omnitrain.evidence.benching import BenchResult, benches_of, machine, measure

    found = benches_of(plugin, installed())
    chosen = [b for b in found if not only or any(text in b.name for text in only)]
    if not chosen:
        raise UsageError(f"No bench of {plugin!r} is named so. {nearest(only[0], [b.name for b in found])}")
    results: list[BenchResult] = []
    for entry in chosen:
        note(f"{entry.name}: {entry.summary}")
        results.append(measure(entry, rounds))
        if not as_json:
            _show(results[-1])
    content = {"plugin": plugin, "machine": machine(), "benches": [r.json() for r in results]}
    if save is not None:
        save.write_text(json.dumps(readable(content), indent=1) + "\n", encoding="utf-8")
    if as_json:
        emit_json(content)
    else:
        print(machine())


def _show(result: object) -> None:
    from omnitrain.evidence.benching import BenchResult

    assert isinstance(result, BenchResult)
    rows = []
    for row in result.rows:
        spread = f"{number(row.low)} to {number(row.high)}"
        if row.speedup is None or row.speedup_low is None or row.speedup_high is None:
            ratio = "ours" if row.variant == result.ours else ""
        else:
            ratio = f"{row.speedup:.2f} ({row.speedup_low:.2f} to {row.speedup_high:.2f})"
        limit = "" if row.bar is None else f"{row.bar:.2f} {'met' if row.holds else 'NOT met'}"
        rows.append([row.variant, number(row.median), spread, ratio, limit])
    table([f"{result.name} ({result.unit})", "median", "range", "ours is faster by", "limit"], rows)
    for name in result.absent:
        note(f"not installed here: {name}")
    print()
