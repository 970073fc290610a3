"""`omnitrain new-plugin`."""

from __future__ import annotations

from pathlib import Path

import click

from omnitrain.api.descriptors import KINDS


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="objective", show_default=True, help="The part that you begin with.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Folder to write. Default: omnitrain-NAME."
)
def new_plugin(name: str, kind: str, folder: Path | None) -> None:
    """Write a complete plugin to start from: components, recipes, a claim, golden vectors, a bench, tests and README.

    It installs, runs and passes its tests as it is.

    \b
    Example:
      omnitrain new-plugin sums --kind data
    """
    from omnitrain.api.references import package_of
    from omnitrain.plugins import installed
    from omnitrain_testing.authoring.scaffolding import EDITED, check_name, write_plugin

    check_name(name, {state.name: state.distribution for state in installed().states})
    target = folder or Path(f"omnitrain-{name}")
    written = write_plugin(name, kind, target)
    print(f"{target}: {len(written)} files written.")
    print("Next:")
    print(f"  omnitrain install --editable {target if target.is_absolute() else f'./{target}'}")
    print(f"  omnitrain run {name}/tiny")
    print(f"  edit {target / 'src' / package_of(name) / EDITED[kind]}")
