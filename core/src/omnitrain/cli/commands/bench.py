"""`omnitrain bench`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, note, number, readable, say, table
from omnitrain.errors import UsageError, nearest
from omnitrain.plugins import installed


@click.command()
@click.argument("plugin", shell_complete=plugin_names)
@click.option("--only", multiple=True, metavar="NAME", help="Run only benches whose name holds this text.")
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds of every bench. Default: each bench's own.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write the results as JSON.")
@click.option("--stored", is_flag=True, help="Measure nothing: show the results stored in --save or in the plugin's sources.")
@click.option("--write-readme", is_flag=True, help="Store the results in the plugin's sources and write its README's table.")
@click.option(
    "--check-readme", is_flag=True, help="Measure nothing: exit code 6 unless the README's table fits what is stored."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    plugin: str,
    only: tuple[str, ...],
    rounds: int | None,
    save: Path | None,
    stored: bool,
    write_readme: bool,
    check_readme: bool,
    as_json: bool,
) -> None:
    """Time a plugin's hot paths beside the peers that are installed, in turn, and print ratios of the same rounds.

    A ratio above 1 says how many times as fast ours was; "limit" is what it must reach.

    \b
    Examples:
      omnitrain bench core
      omnitrain bench core --only "fixed cost" --rounds 9
      omnitrain bench ul2 --stored
    """
    file = save
    if file is None and (stored or write_readme or check_readme):
        file = _default_file(plugin)
    if stored or check_readme:
        assert file is not None
        content = _read(file, only)
        order = None
    else:
        content, order = _measure(plugin, only, rounds, quiet=as_json)
    if file is not None:
        _keep(plugin, content, file, order, write_readme, check_readme)
    if as_json:
        emit_json(content)
        return
    if order is None:
        for entry in content["benches"]:
            _show(entry)
    say(content["machine"])


def _default_file(plugin: str) -> Path:
    from omnitrain.cli.readme import results_file

    return results_file(plugin, "bench")


def _read(file: Path, only: tuple[str, ...]) -> dict[str, Any]:
    """Return what is stored of the chosen benches."""
    from omnitrain.evidence.stored import read_stored

    content = read_stored(file, "benches")
    return {**content, "benches": [b for b in content["benches"] if not only or any(text in b["name"] for text in only)]}


def _measure(plugin: str, only: tuple[str, ...], rounds: int | None, quiet: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the results of the chosen benches, and the names of all that there are."""
    from omnitrain.evidence.benching import benches_of, machine, measure

    found = benches_of(plugin, installed())
    names = [b.name for b in found]
    chosen = [b for b in found if not only or any(text in b.name for text in only)]
    if not chosen:
        raise UsageError(f"No bench of {plugin!r} is named so. {nearest(only[0] if only else '', names)}")
    rows: list[dict[str, Any]] = []
    for entry in chosen:
        note(f"{entry.name}: {entry.summary}")
        rows.append(readable({**measure(entry, rounds).json(), "machine": machine()}))
        if not quiet:
            _show(rows[-1])
    return {"plugin": plugin, "machine": machine(), "benches": rows}, names


def _keep(plugin: str, content: dict[str, Any], file: Path, order: list[str] | None, write: bool, check: bool) -> None:
    """Store fresh results (order: all benches) beside those of others, then write or check the README's table."""
    from omnitrain.evidence.stored import merged, read_stored, write_stored

    if order is None:
        kept = read_stored(file, "benches")
    else:
        kept = merged(file, content, "benches", "name", order)
        write_stored(file, kept)
    if write or check:
        from omnitrain.cli.readme import update_readme
        from omnitrain.report.markdown import bench_table

        command = f"omnitrain bench {plugin} --stored --write-readme"
        update_readme(plugin, "bench", bench_table(plugin, kept), command, check)


def _show(result: Mapping[str, Any]) -> None:
    rows = []
    for row in result["rows"]:
        spread = f"{number(row['low'])} to {number(row['high'])}"
        if row["speedup"] is None:
            ratio = "ours" if row["variant"] == result["ours"] else ""
        else:
            ratio = f"{row['speedup']:.2f} ({row['speedup_low']:.2f} to {row['speedup_high']:.2f})"
        limit = "" if row["bar"] is None else f"{row['bar']:.2f} {'met' if row['holds'] else 'NOT met'}"
        rows.append([row["variant"], number(row["median"]), spread, ratio, limit])
    table([f"{result['name']} ({result['unit']})", "median", "range", "ours is faster by", "limit"], rows)
    for name, text in result["notes"].items():
        say(f"{name}: {text}")
    for name in result["absent"]:
        note(f"not installed here: {name}")
    say()
