"""`omnitrain export`."""

from __future__ import annotations

from pathlib import Path

import click

from omnitrain.cli.output import emit_json, say
from omnitrain.plugins import installed


@click.command()
@click.argument("model", metavar="MODEL_DIR|RUN_DIR", type=click.Path(path_type=Path))
@click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(model: Path, target: Path, as_json: bool) -> None:
    """Write a saved model to the new folder TARGET in Hugging Face format, adapters merged; of a run, its last model.

    \b
    Example:
      omnitrain export runs/first exported
    """
    from omnitrain.engine.adhoc import find_model
    from omnitrain.engine.exporting import export_model

    directory = find_model(model)
    files = export_model(directory, target, installed())
    if as_json:
        emit_json({"model": str(directory), "target": str(target), "files": files})
    else:
        say(f"{target}: {', '.join(files)}")
