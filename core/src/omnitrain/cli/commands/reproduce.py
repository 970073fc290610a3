"""`omnitrain reproduce`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from omnitrain.api.claims import Claim
from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, note, number, readable, say, table
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
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    metavar="N",
    help="The first N seeds. Default: the first look's.",
)
@click.option("--seed", "chosen", callback=read_seeds, metavar="LIST", help="These seeds, such as 100-102.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Runs at a time. Default: 2 on two processors or more.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Runs and the page of results. Default: runs/reproduce/PLUGIN.",
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also store the results as JSON.")
@click.option("--stored", is_flag=True, help="Run nothing: show the results stored in --save or in the plugin's sources.")
@click.option("--write-readme", is_flag=True, help="Store the results in the plugin's sources and write its README's table.")
@click.option("--check-readme", is_flag=True, help="Run nothing: exit code 6 unless the README's table fits what is stored.")
@click.option("--beyond", is_flag=True, help="Store a look that was not declared; the result says so.")
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
    beyond: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure the claims of a plugin's paper again in miniature, over seeds. A claim that does not show is a result.

    Finished runs are used again and stopped ones gone on with. A claim declares what is compared, by how much it has to
    differ, its seeds and how often they are looked at; it is shown when each comparison is, also after adjusting for the
    plugin's number of claims. Other seeds than declared are measured, but stored only with --beyond.

    \b
    Examples:
      omnitrain reproduce ul2
      omnitrain reproduce ul2 --claim C1 --seed 100-105
      omnitrain reproduce ul2 --stored
    """
    from omnitrain.evidence.reproducing import chosen_claims

    if seeds is not None and chosen is not None:
        raise UsageError("--seeds and --seed exclude each other; --seeds 3 is --seed 0-2 where seeds begin at 0.")
    claims = chosen_claims(plugin, ids, installed())
    file = save
    if file is None and (write_readme or check_readme or stored):
        file = _default_file(plugin)
    keeps = file is not None and not (stored or check_readme)
    if stored or check_readme:
        assert file is not None
        content = _read(file, [claim.id for claim in claims])
    else:
        place = out or Path("runs") / "reproduce" / plugin
        content = _measure(plugin, claims, seeds or chosen, place, jobs, quiet, file if keeps else None, beyond)
    if file is not None and (keeps or write_readme or check_readme):
        content = _keep(plugin, content, file, write_readme, check_readme, fresh=keeps)
    content = {**content, "claims": _with_changes(plugin, content["claims"])}
    if out is not None or not (stored or check_readme):
        _write_page(content, out or Path("runs") / "reproduce" / plugin, quiet)
    emit_json(content) if as_json else _show(content)
    if strict and not all(claim["holds"] for claim in content["claims"]):
        ctx.exit(EvidenceError.exit_code)


def _default_file(plugin: str) -> Path:
    from omnitrain.cli.readme import results_file

    return results_file(plugin, "claims")


def _read(file: Path, ids: list[str]) -> dict[str, Any]:
    """Return what is stored of the chosen claims."""
    from omnitrain.evidence.stored import read_stored

    content = read_stored(file, "claims")
    return {**content, "claims": [claim for claim in content["claims"] if claim.get("id") in ids]}


def _measure(
    plugin: str,
    claims: list[Claim],
    seeds: int | tuple[int, ...] | None,
    out: Path,
    jobs: int | None,
    quiet: bool,
    file: Path | None,
    beyond: bool,
) -> dict[str, Any]:
    """Measure claims. file: where the results will be stored; its earlier looks count, and undeclared ones are refused."""
    from omnitrain.evidence.looks import refuse_undeclared
    from omnitrain.evidence.reproducing import reproduce as measured
    from omnitrain.evidence.reproducing import results_json
    from omnitrain.evidence.stored import read_stored

    earlier = read_stored(file, "claims")["claims"] if file is not None and file.exists() else []
    made = {row["id"]: row["looks"] for row in earlier}

    def allow(claim: Claim, look: Mapping[str, Any]) -> None:
        if file is not None:
            refuse_undeclared(claim, look, beyond)

    rows = measured(plugin, claims, seeds, out, installed(), jobs, quiet, made, allow)
    content: dict[str, Any] = readable(results_json(plugin, rows, installed()))
    return content


def _write_page(content: Mapping[str, Any], out: Path, quiet: bool) -> None:
    from omnitrain.report.claims import CLAIMS_PAGE, write_claims_page

    out.mkdir(parents=True, exist_ok=True)
    write_claims_page(out / CLAIMS_PAGE, content)
    if not quiet:
        note(f"report: {out / CLAIMS_PAGE}")


def _keep(plugin: str, content: Mapping[str, Any], file: Path, write: bool, check: bool, fresh: bool) -> dict[str, Any]:
    """Store fresh results beside those of other claims, then write or check the README's table; return the results with
    what the others change in them.
    """
    from omnitrain.cli.readme import update_readme
    from omnitrain.evidence.reproducing import results_json
    from omnitrain.evidence.stored import merged, read_stored, write_stored

    every = [claim.id for claim in installed().claims(plugin)]
    if fresh:
        kept = merged(file, content, "claims", "id", every)
        kept = readable(results_json(plugin, kept["claims"], installed()))  # p values of the others change with each
        write_stored(file, kept)
    else:
        kept = read_stored(file, "claims")
    if write or check:
        from omnitrain.report.markdown import claims_table

        command = f"omnitrain reproduce {plugin} --stored --write-readme"
        update_readme(plugin, "claims", claims_table(plugin, every, kept), command, check)
    chosen = [row["id"] for row in content["claims"]]
    return {**content, "claims": [row for row in kept["claims"] if row["id"] in chosen]}


def _with_changes(plugin: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add to measured claims whether the installed code is that of the numbers: {"equal", "changes"}."""
    from omnitrain.evidence.origin import changes_since

    known = {claim.id: claim for claim in installed().claims(plugin)}
    found = []
    for row in rows:
        changes = changes_since(plugin, known[row["id"]], row, installed())
        told = {"equal": None if changes is None else not changes, "changes": changes or []}
        found.append({**row, "installed": told})
    return found


def _show(content: Mapping[str, Any]) -> None:
    from omnitrain.report.claims import compared_texts, installed_text, looks_text, origin_text, published
    from omnitrain.report.numbers import p_text

    for claim in content["claims"]:
        say(f"{claim['id']}: {claim['statement']}")
        say(f"  paper: {published(claim)}")
        texts = compared_texts(claim)
        rows = [[row["compared"], row["gain"], row["p"], row["result"], row["resolution"]] for row in texts]
        table(["  compared", "ahead by", "p", "result", "power"], [[f"  {row[0]}", *row[1:]] for row in rows])
        for found in claim["contrasts"]:
            say(f"  per seed, against {found['opponent']}: {', '.join(number(float(v)) for v in found['gain']['per_seed'])}")
        p = ""
        if claim["adjusted_p"] is not None:
            p = f"; p {p_text(claim['p'])}, among {claim['family']} claims {p_text(claim['adjusted_p'])}"
        say(f"  result: {claim['status']}{p}")
        say(f"  {looks_text(claim)}; {claim['seconds']} s")
        later = [count for count in claim["declared"]["at"] if count > claim["seeds"]]
        if later and not claim["holds"] and not claim["beyond"]:
            say(f"  the next declared look: --seeds {later[0]}")
        say(f"  {origin_text(claim)}")
        say(f"  {installed_text(claim['installed'])}")
        for text in (claim["pilot"], claim["note"]):
            if text:
                say(f"  {text}")
        say()
