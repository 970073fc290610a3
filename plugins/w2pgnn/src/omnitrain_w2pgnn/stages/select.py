"""Stage `w2pgnn/select`: which candidates to pre-train on under a budget."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Metric, Run, Table
from omnitrain.engine import reads_data, write_json
from omnitrain_w2pgnn.configs.stages import SelectConfig
from omnitrain_w2pgnn.data.saved import save_graphs
from omnitrain_w2pgnn.graphs.structure import join
from omnitrain_w2pgnn.paper.selection import Ranked, choose
from omnitrain_w2pgnn.stages.pools import estimator_settings, graphons_of, make_fitter, read_pool


@reads_data
def select(config: SelectConfig, run: Run) -> None:
    """Rank the subsets of candidates, and leave the best one's graphs as the artifact `data`."""
    pool = read_pool(config, run)
    settings = estimator_settings(config.estimator, run.seed("estimator"))
    names = list(pool.samples)
    started = time.perf_counter()
    graphons = np.stack(list(graphons_of(pool.samples, settings, config.fit).values()))
    targets = graphons_of(pool.targets, settings, config.fit)
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
        write_json(path, {"selected": best, "weights": weights, "ranking": rows})
    with run.artifact("data", "data", folder=True, use="w2pgnn/saved", config={}) as path:
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
