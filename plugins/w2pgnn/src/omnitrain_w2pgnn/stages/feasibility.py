"""Stages `w2pgnn/feasibility`, `w2pgnn/select` and `w2pgnn/finetune`."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Metric, Table, numpy_generator
from omnitrain.engine import choose_device, evaluating
from omnitrain_w2pgnn.configs.stages import FeasibilityConfig, FinetuneStageConfig, SelectConfig
from omnitrain_w2pgnn.data.graphs import graphs_of, save_graphs
from omnitrain_w2pgnn.evaluators.downstream import embeddings, finetuned_scores, frozen_scores, make_target, prepared_batches
from omnitrain_w2pgnn.evaluators.frozen import positions_of, spread_metric
from omnitrain_w2pgnn.graphs.structure import join
from omnitrain_w2pgnn.paper.selection import Ranked, choose
from omnitrain_w2pgnn.stages.pools import estimator_settings, graphon_of, make_fitter, read_pool
from omnitrain_w2pgnn.stages.reports import Judged, feasibility_evaluation, judge_target


def feasibility(config: FeasibilityConfig, run: Any) -> None:
    """Tell for each target how near a mixture of the candidates comes, which one, and how sure that is."""
    pool = read_pool(config, run)
    started = time.perf_counter()
    judged: dict[str, Judged] = {}
    with run.progress("fitting", len(pool.targets)) as bar:
        for name in pool.targets:
            judged[name] = judge_target(name, pool, config, run.seed("fit"))
            bar.advance()
    run.timing(0, {"seconds": time.perf_counter() - started})
    run.report("w2pgnn/feasibility", feasibility_evaluation(judged, config))
    with run.artifact("feasibility.json", "report") as path:
        path.write_text(json.dumps({name: found.plain() for name, found in judged.items()}, indent=1), "utf-8")


def select(config: SelectConfig, run: Any) -> None:
    """Rank the subsets of candidates, and leave the best one's graphs as the artifact `data`."""
    pool = read_pool(config, run)
    settings = estimator_settings(config.estimator, run.seed("estimator"))
    names = list(pool.samples)
    started = time.perf_counter()
    graphons = np.stack([graphon_of(pool.samples[name], settings, config.fit) for name in names])
    targets = {name: graphon_of(graphs, settings, config.fit) for name, graphs in pool.targets.items()}
    fitters = [make_fitter(config.fit, graphons, target, run.seed("fit")) for target in targets.values()]
    ranked = choose(fitters, config.budget, config.up_to, config.exact_limit, config.beam)
    run.timing(0, {"seconds": time.perf_counter() - started})
    best = [names[i] for i in ranked[0].members]
    weights = {
        target: dict(zip(best, fitter.fit(ranked[0].members).weights.tolist(), strict=True))
        for target, fitter in zip(targets, fitters, strict=True)
    }
    run.report("w2pgnn/select", _selection(ranked, names, list(targets), weights))
    with run.artifact("selection.json", "report", selected=best) as path:
        rows = [
            {"selection": [names[i] for i in r.members], "distances": r.distances.tolist(), "fitted": r.refined} for r in ranked
        ]
        path.write_text(json.dumps({"selected": best, "weights": weights, "ranking": rows}, indent=1), "utf-8")
    with run.artifact("data", "data", use="w2pgnn/saved", config={}) as path:
        path.mkdir(parents=True)
        save_graphs(join([pool.networks[n] for n in best], best), path / "network")
        save_graphs(join([pool.samples[n] for n in best], best), path / "samples")


def _selection(ranked: list[Ranked], names: list[str], targets: list[str], weights: dict[str, dict[str, float]]) -> Evaluation:
    rows: list[list[Any]] = []
    for number, found in enumerate(ranked[:50], 1):
        members = " + ".join(names[i] for i in found.members)
        rows.append([number, members, *found.distances.tolist(), "fitted" if found.refined else "bound"])
    columns = ("rank", "selection", *(f"distance to {t}" for t in targets), "how")
    caption = f"{len(ranked)} selections by mean feasibility (negative distance), best first."
    own = [[target, name, weight] for target, found in weights.items() for name, weight in found.items()]
    tables = {
        "selections": Table(columns, rows, caption),
        "weights": Table(("target", "candidate", "weight"), own, "Mixture of the selected candidates that comes nearest."),
    }
    best = ranked[0]
    metrics = {"selected/feasibility": Metric(best.score, len(ranked), "higher")}
    metrics |= {f"selected/{t}": Metric(-float(d), len(ranked), "higher") for t, d in zip(targets, best.distances, strict=True)}
    return Evaluation(metrics, tables)


def finetune(config: FinetuneStageConfig, run: Any) -> None:
    """Fine-tune the encoder on each target, fold by fold, and measure it beside the frozen one."""
    device = choose_device(config.device)
    encoder = run.build(config.model)
    positions = positions_of(encoder)
    metrics, rows = {}, []
    work = len(config.targets) * config.finetune.folds * config.finetune.epochs
    with run.progress("fine-tuning", work) as bar:
        for name, use in config.targets.items():
            network, _ = graphs_of(run.build(use), f"targets.{name}", run)
            target = make_target(name, network, config, numpy_generator(run.seed(f"rows {name}")))
            encoder.to(device)
            with evaluating(encoder):
                features = embeddings(encoder, prepared_batches(target, positions), device)
            frozen = frozen_scores(features, target.labels, config, 1000.0, run.seed(f"folds {name}"))
            seed = run.seed(f"folds {name}")
            make = _copies(encoder, run.seed(f"classifier {name}"))
            tuned = finetuned_scores(make, target, config.finetune, config.metric, positions, device, seed, bar.advance)
            metrics[f"{name}/frozen"] = spread_metric(frozen, len(target.labels))
            metrics[f"{name}/fine-tuned"] = spread_metric(tuned, len(target.labels))
            rows.append([name, metrics[f"{name}/frozen"].value, metrics[f"{name}/fine-tuned"].value, len(target.labels)])
    table = Table(("target", "frozen", "fine-tuned", "rows"), rows, f"{config.metric}, mean over folds.")
    run.report("w2pgnn/finetune", Evaluation(metrics, {"downstream": table}))


def _copies(encoder: Any, seed: int) -> Any:
    """Return a function that gives copies of an encoder; the global generator starts alike for each, as dropout draws on it."""
    import copy
    from itertools import count

    from omnitrain.engine import seed_everything

    numbers = count()

    def make() -> Any:
        seed_everything(seed + next(numbers))
        return copy.deepcopy(encoder)

    return make
