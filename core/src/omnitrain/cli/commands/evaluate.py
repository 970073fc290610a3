"""`omnitrain evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnitrain.cli.names import data_names, evaluator_names
from omnitrain.cli.output import emit_json, number, say, table
from omnitrain.plugins import installed

if TYPE_CHECKING:
    from omnitrain.api import Evaluation

SHOWN_SAMPLES = 3


@click.command()
@click.argument("model", metavar="MODEL_DIR|RUN_DIR", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--with", "evaluator", required=True, metavar="PLUGIN/EVALUATOR", shell_complete=evaluator_names, help="What is measured."
)
@click.option("--data", metavar="PLUGIN/DATA", shell_complete=data_names, help="Data. Default: what the model was trained on.")
@click.option("--data-set", multiple=True, metavar="KEY=VALUE", help="A setting of the data. Repeatable.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    model: Path,
    settings: tuple[str, ...],
    evaluator: str,
    data: str | None,
    data_set: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Measure a saved model. KEY=VALUE are settings of the evaluator.

    \b
    Example:
      omnitrain evaluate runs/first/pretrain/model --with language/nll
    """
    from omnitrain.engine.adhoc import evaluate_saved, find_model, parse_settings
    from omnitrain.runs.evaluations import plain_evaluation

    directory = find_model(model)
    found = evaluate_saved(directory, installed(), evaluator, parse_settings(settings), data, parse_settings(data_set), seed)
    if as_json:
        emit_json({"model": str(directory), "evaluator": evaluator, **plain_evaluation(found)})
    else:
        _show(found)


def _show(evaluation: Evaluation) -> None:
    rows = [[name, m.value, _interval(m.interval), m.n, m.unit] for name, m in evaluation.metrics.items()]
    table(["metric", "value", "95 % interval", "n", "unit"], rows)
    for name, found in evaluation.tables.items():
        say()
        table(list(found.columns), [list(row) for row in found.rows], found.caption or name)
    if evaluation.figures:
        say(f"\nfigures: {', '.join(evaluation.figures)} (drawn in the report of a run that has this evaluator)")
    for name, samples in evaluation.samples.items():
        for i, sample in enumerate(samples[:SHOWN_SAMPLES]):
            say(f"\n{name} {i + 1} of {len(samples)}")
            for key, text in sample.fields.items():
                say(f"  {key}: {text}")


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{number(interval[0])} to {number(interval[1])}"
