"""Stage `w2pgnn/transfer`: what pre-training on each selection really gains on each target."""

from __future__ import annotations

import copy
import json
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Metric, Table, numpy_generator
from omnitrain.engine import choose_device, seed_everything
from omnitrain_w2pgnn.configs.stages import TransferConfig
from omnitrain_w2pgnn.evaluators.downstream import (
    Target,
    embeddings,
    finetuned_scores,
    frozen_scores,
    make_target,
    prepared_batches,
)
from omnitrain_w2pgnn.graphs.structure import join
from omnitrain_w2pgnn.stages.pools import Pool, read_pool
from omnitrain_w2pgnn.stages.pretraining import Held, make_encoder, pretrain

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


class _Measurer:
    """Scores encoders on the targets; what does not depend on the encoder is computed once."""

    def __init__(self, config: TransferConfig, pool: Pool, run: Any) -> None:
        self.config, self.run = config, run
        self.device = choose_device(config.device)
        self.targets: dict[str, Target] = {}
        self._batches: dict[str, Any] = {}
        for name, network in pool.target_networks.items():
            generator = numpy_generator(run.seed(f"rows {name}"))
            self.targets[name] = make_target(name, network, config.downstream, generator)
            self._batches[name] = prepared_batches(self.targets[name], config.positions)

    def score(self, encoder: Any, name: str) -> dict[str, float]:
        """Return the frozen and, where asked for, the fine-tuned score on one target."""
        config, target = self.config, self.targets[name]
        encoder.to(self.device)
        features = embeddings(encoder, self._batches[name], self.device)
        folds = self.run.seed(f"folds {name}")
        found = {"frozen": float(np.mean(frozen_scores(features, target.labels, config.downstream, 1000.0, folds)))}
        if config.finetune.epochs:

            def fresh() -> Any:
                seed_everything(self.run.seed(f"classifier {name}"))
                return copy.deepcopy(encoder)

            scores = finetuned_scores(
                fresh,
                target,
                config.finetune,
                config.downstream.metric,
                config.positions,
                self.device,
                folds,
                self.run.stop_if_asked,
            )
            found["fine-tuned"] = float(np.mean(scores))
        return found


def transfer(config: TransferConfig, run: Any) -> None:
    """Pre-train and measure cell by cell; a stopped run goes on at the cell that it was in."""
    pool = read_pool(config, run)
    measurer = _Measurer(config, pool, run)
    chosen = selections_of(config, pool)
    work: list[tuple[Selection, str]] = [(c, strategy) for c in chosen for strategy in config.strategies]
    if config.untrained:
        work = [((), strategy) for strategy in config.strategies] + work
    cells = []
    folder = run.directory / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    with run.progress("selections", len(work)) as bar:
        for number, (selection, strategy) in enumerate(work):
            path = folder / f"{number:04d}.json"
            if path.exists():
                cells.append(json.loads(path.read_text("utf-8")))
            else:
                cells.append(_cell(selection, strategy, config, pool, measurer, run))
                _write(path, cells[-1])
            bar.advance()
    seconds = [cell["seconds"] for cell in cells if cell["selection"]]
    for step, value in enumerate(seconds):
        run.timing(step, {"pretraining_seconds": value})
    told = [{k: v for k, v in cell.items() if k != "seconds"} for cell in cells]
    run.report("w2pgnn/transfer", transfer_evaluation(told, config))
    with run.artifact("scores", "report") as path:
        path.mkdir(parents=True)
        (path / "scores.json").write_text(json.dumps({"cells": told}, indent=1), "utf-8")
    run.discard("cells")


def _write(path: Path, cell: dict[str, Any]) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(cell), "utf-8")
    temporary.replace(path)


def _cell(
    selection: Selection, strategy: str, config: TransferConfig, pool: Pool, measurer: _Measurer, run: Any
) -> dict[str, Any]:
    """Pre-train on one selection (on nothing, where it is empty) and measure on every target that it does not hold."""
    encoder = make_encoder(strategy, config.encoder, config.positions, run.seed(f"encoder {strategy}"))
    cell: dict[str, Any] = {"selection": list(selection), "strategy": strategy, "seconds": 0.0, "scores": {}}
    if selection:
        held = Held(
            (
                join([pool.networks[n] for n in selection], selection),
                join([pool.samples[n] for n in selection], selection),
            ),
            "",
        )
        started = time.perf_counter()

        def seed(name: str) -> int:
            return int(run.seed(f"{strategy} {'+'.join(selection)} {name}"))

        trained = pretrain(strategy, held, encoder, config.pretrain, config.positions, measurer.device, seed, run.stop_if_asked)
        cell |= {
            "seconds": time.perf_counter() - started,
            "first": trained.first,
            "last": trained.last,
            "chance": trained.chance,
        }
    for name in config.targets:
        if pool.allowed(selection, name):
            cell["scores"][name] = measurer.score(encoder, name)
    return cell


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
