"""`omnitrain reproduce`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, note, readable, table
from omnitrain.errors import EvidenceError, UsageError
from omnitrain.plugins import installed

MOST_SEEDS = 1000


def read_seeds(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Read "0,2,5-7" as whole numbers, each once."""
    if text is None:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        if not first.isdecimal() or (separator and not last.isdecimal()):
            raise click.BadParameter(f"{part.strip()!r} is not a seed; write numbers and ranges such as 0,2,5-7.")
        low, high = int(first), int(last or first)
        if not low <= high < low + MOST_SEEDS:
            raise click.BadParameter(f"{part.strip()!r} is no range of 1 to {MOST_SEEDS} seeds.")
        seeds += range(low, high + 1)
    return tuple(dict.fromkeys(seeds))


@click.command()
@click.argument("plugin", shell_complete=plugin_names)
@click.option("--claim", "ids", multiple=True, metavar="ID", help="Measure only this claim; may be repeated.")
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), metavar="N", help="Seeds 0 to N-1. Default: each claim's own.")
@click.option("--seed", "chosen", callback=read_seeds, metavar="LIST", help="These seeds, such as 100-102.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Runs at a time. Default: 2 on two processors or more.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Default: runs/reproduce/PLUGIN.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also store the results as JSON.")
@click.option("--stored", is_flag=True, help="Run nothing: show the results stored in --save or in the plugin's sources.")
@click.option("--write-readme", is_flag=True, help="Store the results in the plugin's sources and write its README's table.")
@click.option("--check-readme", is_flag=True, help="Run nothing: exit code 6 unless the README's table fits what is stored.")
@click.option("--strict", is_flag=True, help="Exit code 6 when a claim is not shown.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def reproduce(
    ctx: click.Context,
    plugin: str,
    ids: tuple[str, ...],
    seeds: int | None,
    chosen: tuple[int, ...] | None,
    jobs: int | None,
    out: Path | None,
    save: Path | None,
    stored: bool,
    write_readme: bool,
    check_readme: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure the claims of a plugin's paper again in miniature, over seeds. A claim that does not show is a result.

    Finished runs are used again and stopped ones gone on with. A claim is shown when the mean difference has its direction
    and the 95 % interval of the mean excludes zero.

    \b
    Examples:
      omnitrain reproduce ul2
      omnitrain reproduce ul2 --claim C1 --seeds 5 --jobs 2
      omnitrain reproduce ul2 --stored
    """
    from omnitrain.evidence.reproducing import chosen_claims

    if seeds is not None and chosen is not None:
        raise UsageError("--seeds and --seed exclude each other; --seeds 3 is --seed 0-2.")
    claims = chosen_claims(plugin, ids, installed())
    file = save
    if file is None and (write_readme or check_readme or stored):
        file = _default_file(plugin)
    if stored or check_readme:
        assert file is not None
        content = _read(file, [claim.id for claim in claims])
    else:
        which = tuple(range(seeds)) if seeds is not None else chosen
        content = _measure(plugin, claims, which, out or Path("runs") / "reproduce" / plugin, jobs, quiet)
    if write_readme or check_readme or (save is not None and not stored):
        assert file is not None
        _keep(plugin, content, file, write_readme, check_readme, fresh=not (stored or check_readme))
    emit_json(content) if as_json else _show(content)
    if strict and not all(claim["holds"] for claim in content["claims"]):
        ctx.exit(EvidenceError.exit_code)


def _default_file(plugin: str) -> Path:
    from omnitrain.cli.readme import results_file

    return results_file(plugin, "claims")


def _read(file: Path, ids: list[str]) -> dict[str, Any]:
    """Return what is stored of the chosen claims."""
    from omnitrain.evidence.claims import read_stored

    content = read_stored(file, "claims")
    return {**content, "claims": [claim for claim in content["claims"] if claim.get("id") in ids]}


def _measure(
    plugin: str, claims: list[Any], seeds: tuple[int, ...] | None, out: Path, jobs: int | None, quiet: bool
) -> dict[str, Any]:
    from omnitrain.evidence.reproducing import reproduce as measured
    from omnitrain.evidence.reproducing import results_json
    from omnitrain.report.claims import CLAIMS_PAGE, write_claims_page

    results = measured(plugin, claims, seeds, out, installed(), jobs, quiet)
    content: dict[str, Any] = readable(results_json(plugin, results))
    write_claims_page(out / CLAIMS_PAGE, content)
    if not quiet:
        note(f"report: {out / CLAIMS_PAGE}")
    return content


def _keep(plugin: str, content: Mapping[str, Any], file: Path, write: bool, check: bool, fresh: bool) -> None:
    """Store fresh results beside those of other claims, then write or check the README's table."""
    from omnitrain.cli.readme import update_readme
    from omnitrain.evidence.claims import read_stored, store

    every = [claim.id for claim in installed().claims(plugin)]
    kept = store(file, content, "claims", "id", every) if fresh else read_stored(file, "claims")
    if write or check:
        from omnitrain.report.markdown import claims_table

        command = f"omnitrain reproduce {plugin} --stored --write-readme"
        update_readme(plugin, "claims", claims_table(plugin, every, kept), command, check)


def _show(content: Mapping[str, Any]) -> None:
    from omnitrain.report.claims import claim_texts

    rows: list[list[Any]] = []
    for claim in content["claims"]:
        texts = claim_texts(claim)
        measured = [texts["metric_text"], texts["baseline_text"], texts["difference_text"]]
        rows.append([claim["id"], texts["published"], *measured, claim["seeds"], claim["seconds"], claim["status"]])
    table(["claim", "paper", "measured", "compared with", "difference (95 %)", "seeds", "seconds", "result"], rows)
    for claim in content["claims"]:
        print(f"{claim['id']}: {claim['statement']}{' ' + claim['note'] if claim['note'] else ''}")
