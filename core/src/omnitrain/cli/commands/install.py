"""`omnitrain install`."""

from __future__ import annotations

from typing import Any

import click

from omnitrain.cli.output import emit_json, note, say, table
from omnitrain.errors import PluginError


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--editable", "-e", is_flag=True, help="Install folders so that edits of their code count at once.")
@click.option("--upgrade", "-U", is_flag=True, help="Take the newest versions of what is installed already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; the installer prints nothing.")
def install(specs: tuple[str, ...], editable: bool, upgrade: bool, as_json: bool) -> None:
    """Install plugins into this environment with pip (uv where there is no pip), and show what became available.

    SPEC is a plugin's name ("ul2" is the distribution omnitrain-ul2), a folder, a wheel or an address.

    \b
    Examples:
      omnitrain install ul2
      omnitrain install -e ./omnitrain-sums
    """
    from omnitrain.cli.installing import call, discover_afresh, installer, requirement

    wanted = [requirement(spec) for spec in specs]
    command = [*installer()[0], *(["--upgrade"] if upgrade else [])]
    before = discover_afresh()
    for text in wanted:
        command += ["--editable", text] if editable else [text]
    call(command, "Installing", as_json)
    added = [entry for key, entry in discover_afresh().items() if before.get(key) != entry]
    if as_json:
        emit_json({"installed": added})
    else:
        _show(added)
    broken = [entry for entry in added if entry["status"] not in ("ok", "disabled")]
    if broken:
        raise PluginError(f"Plugin {broken[0]['name']!r} is installed but {broken[0]['status']}: {broken[0]['reason']}.")


def _show(added: list[dict[str, Any]]) -> None:
    if not added:
        note("No plugin was added or changed.")
        return
    columns = ("name", "distribution", "version", "status")
    table(columns, [[entry[column] for column in columns] for entry in added])
    offered = [
        [address["address"], kind, address["summary"]]
        for entry in added
        for kind, found in (("recipe", entry["recipes"]), ("component", entry["components"]))
        for address in found
    ]
    if offered:
        say()
        table(["available now", "what", "summary"], offered)
