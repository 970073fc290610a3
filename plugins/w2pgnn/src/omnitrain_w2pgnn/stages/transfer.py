"""Stage `w2pgnn/transfer`: what pre-training on each selection really gains on each target."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Metric, Run, Table
from omnitrain.engine import choose_device, reads_data, write_json
from omnitrain.errors import EnvironmentFault
from omnitrain_w2pgnn.configs.stages import TransferConfig
from omnitrain_w2pgnn.data.collection import Held
from omnitrain_w2pgnn.evaluators.downstream import Target
from omnitrain_w2pgnn.graphs.structure import join
from omnitrain_w2pgnn.models import GraphEncoder
from omnitrain_w2pgnn.stages.pools import Pool, read_pool
from omnitrain_w2pgnn.stages.pretraining import make_encoder, pretrain

SCORES = "scores.json"
UNTRAINED = "untrained"
Selection = tuple[str, ...]


def selections_of(config: TransferConfig, pool: Pool) -> list[Selection]:
    """Return the selections to pre-train on: those listed, else all up to the budget, and for each target all candidates that
    do not hold it. Selections that hold every target are left out, since nothing could be measured on them."""
    if config.selections is not None:
        found = [tuple(sorted(set(chosen))) for chosen in config.selections]
    else:
        names = sorted(config.candidates)
        found = [c for size in range(1, config.budget + 1) for c in combinations(names, size)]
        found += [tuple(sorted(c for c in names if (c, target) not in pool.shared)) for target in config.targets]
    useful = [c for c in found if c and any(pool.allowed(c, target) for target in config.targets)]
    return list(dict.fromkeys(useful))


@reads_data
def transfer(config: TransferConfig, run: Run) -> None:
    """Pre-train and measure cell by cell; a stopped run goes on at the cell that it was in."""
    pool, device = read_pool(config, run), choose_device(config.device)
    targets = {
        name: Target(name, network, config.downstream, config.positions, run) for name, network in pool.target_networks.items()
    }
    chosen: list[Selection] = [()] if config.untrained else []
    chosen += selections_of(config, pool)
    work = [(selection, strategy) for selection in chosen for strategy in config.strategies]

    def measured(item: tuple[Selection, str]) -> dict[str, Any]:
        """Pre-train on one selection (on nothing, where it is empty) and measure on every target that it does not hold."""
        selection, strategy = item
        encoder = make_encoder(strategy, config.encoder, config.positions, run.seed(f"encoder {strategy}")).to(device)
        cell: dict[str, Any] = {"selection": list(selection), "strategy": strategy, "seconds": 0.0}
        if selection:
            networks, samples = (join([own[n] for n in selection], selection) for own in (pool.networks, pool.samples))
            held, started = Held(config.positions, networks, samples), time.perf_counter()
            names = f"{strategy} {'+'.join(selection)}"
            trained = pretrain(strategy, held, encoder, config.pretrain, config.positions, run, names)
            cell |= {"seconds": time.perf_counter() - started, **asdict(trained)}
        allowed = [target for name, target in targets.items() if pool.allowed(selection, name)]
        return {**cell, "scores": {target.name: _scores(encoder, target, config, run) for target in allowed}}

    finished = run.ledger("cells").map(measured, work, key=lambda item: f"{'+'.join(item[0])}/{item[1]}", label="selections")
    cells = [cell for _, cell in finished]
    for step, cell in enumerate([cell for cell in cells if cell["selection"]]):
        run.timing(step, {"pretraining_seconds": cell["seconds"]})
    told = [{k: v for k, v in cell.items() if k != "seconds"} for cell in cells]
    run.report("w2pgnn/transfer", transfer_evaluation(told, config))
    with run.artifact("scores", "scores", folder=True) as path:
        write_json(path / SCORES, {"cells": told})


def _scores(encoder: GraphEncoder, target: Target, config: TransferConfig, run: Run) -> dict[str, float]:
    """Return the frozen and, where asked for, the fine-tuned score on one target."""
    found = {"frozen": float(np.mean(target.frozen_scores(encoder)))}
    if config.finetune.epochs:
        # Encoders are compared, so that each begins with the same classifier in every fold.
        seeds = [run.seed(f"classifier {target.name}")] * config.finetune.folds
        found["fine-tuned"] = float(np.mean(target.finetuned_scores(encoder, config.finetune, seeds, run.stop_if_asked)))
    return found


def read_cells(folder: Path) -> list[dict[str, Any]]:
    """Read the scores that a transfer left.

    Raises EnvironmentFault where they are damaged.
    """
    try:
        cells: list[dict[str, Any]] = json.loads((folder / SCORES).read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentFault(f"The scores in {folder} can't be read: {error}; run the stage that left them again.") from error
    return cells


def best_scores(cells: list[dict[str, Any]]) -> dict[str, dict[Selection, float]]:
    """Return target to selection to the best score over strategies, frozen and fine-tuned; the empty selection is untrained."""
    found: dict[str, dict[Selection, float]] = {}
    for cell in cells:
        for target, scores in cell["scores"].items():
            own = found.setdefault(target, {})
            key = tuple(cell["selection"])
            own[key] = max(own.get(key, -np.inf), *scores.values())
    return found


def label(selection: Selection) -> str:
    """Return a selection as text."""
    return " + ".join(selection) or UNTRAINED


def transfer_evaluation(cells: list[dict[str, Any]], config: TransferConfig) -> Evaluation:
    """Return metrics and tables of all cells, and the best score of each selection."""
    metrics: dict[str, Metric] = {}
    rows: list[list[Any]] = []
    for cell in cells:
        name = label(tuple(cell["selection"]))
        for target, scores in cell["scores"].items():
            for kind, value in scores.items():
                metrics[f"{target}/{name}/{cell['strategy']}/{kind}"] = Metric(value, config.downstream.folds, "higher")
            losses = [cell.get("first", ""), cell.get("last", ""), cell.get("chance") or ""]
            rows.append([target, name, cell["strategy"], scores["frozen"], scores.get("fine-tuned", ""), *losses])
    best = best_scores(cells)
    ranked = [[t, label(s), v] for t, own in best.items() for s, v in sorted(own.items(), key=lambda i: -i[1])]
    tables = {
        "scores": Table(
            ("target", "selection", "strategy", "frozen", "fine-tuned", "first loss", "last loss", "loss by chance"),
            rows,
            f"{config.downstream.metric} by cross-validation.",
        ),
        "best": Table(("target", "selection", "best score"), ranked, "Best over strategies, frozen and fine-tuned."),
    }
    return Evaluation(metrics, tables)
