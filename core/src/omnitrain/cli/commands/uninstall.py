"""`omnitrain uninstall`."""

from __future__ import annotations

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, note


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=plugin_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; the installer prints nothing.")
def uninstall(names: tuple[str, ...], as_json: bool) -> None:
    """Remove plugins from this environment. What they brought along stays, and so do all runs.

    \b
    Example:
      omnitrain uninstall ul2
    """
    from omnitrain.cli.installing import call, discover_afresh, installer, removable

    chosen = removable(names)
    before = discover_afresh()
    call([*installer()[1], *chosen], "Removing", as_json)
    after = discover_afresh()
    gone = [entry["name"] for key, entry in before.items() if key not in after]
    if as_json:
        emit_json({"removed": gone, "distributions": chosen})
    else:
        note(f"removed: {', '.join(gone) or 'nothing'}")
