"""Downstream scores of an encoder: rows of a labelled target as subgraphs, frozen and fine-tuned cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import Batch, numpy_generator
from omnitrain.engine import evaluating
from omnitrain.errors import DataError
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.stages import TuningConfig
from omnitrain_w2pgnn.graphs.egos import ego_networks
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints
from omnitrain_w2pgnn.graphs.tensors import structural
from omnitrain_w2pgnn.graphs.walks import walk_subgraphs

CHUNK = 256
RESTART = 0.8


@dataclass(frozen=True)
class Target:
    """A labelled target's rows. views: one collection of graphs per view, a graph a row. labels: int64[rows], from 0."""

    name: str
    views: tuple[Graphs, ...]
    labels: Ints

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1


def make_target(name: str, network: Graphs, config: DownstreamConfig, generator: np.random.Generator) -> Target:
    """Cut the labelled rows out of a target: subgraphs around its labelled nodes, or its labelled graphs.

    Raises DataError for a target without labels, or with a class that has fewer rows than there are folds.
    """
    if network.labels is None:
        raise DataError(f"The target {name!r} has no labels, so nothing can be measured on it; set labels.")
    rows = np.flatnonzero(network.labels >= 0)
    if config.max_rows is not None and len(rows) > config.max_rows:
        rows = np.sort(generator.choice(rows, config.max_rows, replace=False))
    labels = np.unique(network.labels[rows], return_inverse=True)[1]
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() < config.folds:
        raise DataError(
            f"The target {name!r} has classes of {', '.join(map(str, counts))} rows; cross-validation with {config.folds} "
            "folds needs two classes or more with at least that many each; lower folds."
        )
    if not network.node_labels:
        return Target(name, (_with_seeds(network.take(rows)),), labels)
    if config.view == "egos":
        return Target(name, (ego_networks(network, rows, 2, None),), labels)
    visits = np.full(len(rows), config.visits)
    walks = tuple(walk_subgraphs(network, rows, visits, RESTART, generator) for _ in range(config.views))
    return Target(name, walks, labels)


def _with_seeds(graphs: Graphs) -> Graphs:
    """Give each whole graph a seed, its node of highest degree, as GCC does."""
    from dataclasses import replace

    owner = graphs.graph_of_node()
    order = np.lexsort((-np.arange(graphs.nodes), graphs.degrees, owner))
    return replace(graphs, roots=order[graphs.offsets[1:] - 1])


def prepared_batches(target: Target, positions: int, size: int = CHUNK) -> list[list[Batch]]:
    """Return the batches of each view, rows in order: positional features are computed once."""
    return [
        [structural(view.take(np.arange(a, min(a + size, len(view)))), positions) for a in range(0, len(view), size)]
        for view in target.views
    ]


def _moved(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in batch.items()}


def embeddings(encoder: Any, batches: list[list[Batch]], device: torch.device) -> np.ndarray:
    """Return the rows' embeddings, the mean over views, float64[rows, width]."""
    with evaluating(encoder):
        found = [torch.cat([encoder.embed(_moved(b, device)) for b in view]).double().cpu() for view in batches]
    return np.asarray(torch.stack(found).mean(dim=0).numpy())


def fold_score(metric: str, truth: Ints, probabilities: np.ndarray) -> float:
    """Return the score of a fold. probabilities: float[rows, classes]. ROC-AUC is the mean over classes present, one against
    the rest; for one class alone it is 0.5."""
    if metric == "micro-f1":
        return float((probabilities.argmax(axis=1) == truth).mean())
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped, unused-ignore]

    present = [c for c in range(probabilities.shape[1]) if 0 < (truth == c).sum() < len(truth)]
    if probabilities.shape[1] == 2:
        present = present[-1:]
    values = [float(roc_auc_score(truth == c, probabilities[:, c])) for c in present]
    return float(np.mean(values)) if values else 0.5


def _folds(labels: Ints, folds: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    from sklearn.model_selection import StratifiedKFold  # type: ignore[import-untyped, unused-ignore]

    yield from StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32).split(np.zeros(len(labels)), labels)


def frozen_scores(
    features: np.ndarray, labels: Ints, config: DownstreamConfig, inverse_penalty: float, seed: int
) -> list[float]:
    """Return each fold's score of a logistic regression, one class against the rest."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped, unused-ignore]
    from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped, unused-ignore]

    scores = []
    for train, test in _folds(labels, config.folds, seed):
        classifier = OneVsRestClassifier(LogisticRegression(C=inverse_penalty, solver="liblinear", max_iter=1000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # separable classes do not converge with so weak a penalty; the score stands
            classifier.fit(features[train], labels[train])
        scores.append(fold_score(config.metric, labels[test], classifier.predict_proba(features[test])))
    return scores


def finetuned_scores(
    make_encoder: Callable[[], Any],
    target: Target,
    settings: TuningConfig,
    metric: str,
    positions: int,
    device: torch.device,
    seed: int,
    tick: Callable[[], None],
) -> list[float]:
    """Return each fold's score after fine-tuning encoder and classifier. make_encoder: gives a fresh copy of the encoder.

    tick: called after every epoch; may raise to stop.
    """
    views = [[view.take([row]) for row in range(len(view))] for view in target.views]
    cached = [[structural(graph, positions) for graph in view] for view in views]
    found = []
    for number, (train, test) in enumerate(_folds(target.labels, settings.folds, seed)):
        generator = numpy_generator(seed + number)
        encoder = make_encoder().to(device).train()
        classifier = nn.Linear(encoder.width, target.classes).to(device)
        parameters = [p for p in [*encoder.parameters(), *classifier.parameters()] if p.requires_grad]
        optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate)
        for epoch in range(settings.epochs):
            order = generator.permutation(train)
            own = cached[epoch % len(cached)]
            for begin in range(0, len(order), settings.batch_size):
                rows = order[begin : begin + settings.batch_size]
                if len(rows) < 2:
                    continue  # batch normalisation needs two graphs
                logits = classifier(encoder.embed(_moved(union([own[r] for r in rows]), device)))
                loss = nn.functional.cross_entropy(logits, torch.from_numpy(target.labels[rows]).to(device))
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_value_(parameters, 1.0)
                optimiser.step()
            tick()
        found.append(fold_score(metric, target.labels[test], _predicted(encoder, classifier, cached, test, device)))
    return found


def _predicted(encoder: Any, classifier: nn.Module, cached: list[list[Batch]], rows: Ints, device: torch.device) -> np.ndarray:
    with evaluating(encoder):
        sums: Tensor | None = None
        for view in cached:
            batch = _moved(union([view[r] for r in rows]), device)
            own = torch.softmax(classifier(encoder.embed(batch)), dim=1)
            sums = own if sums is None else sums + own
    assert sums is not None
    return np.asarray((sums / len(cached)).double().cpu().numpy())


def union(batches: list[Batch]) -> Batch:
    """Put single-view batches into one."""
    nodes = np.concatenate([[0], np.cumsum([len(b["degrees"]) for b in batches])]).tolist()
    rows = np.concatenate([[0], np.cumsum([len(b["sizes"]) for b in batches])]).tolist()
    pairs = list(zip(batches, nodes, rows, strict=False))
    return {
        "edge_index": torch.cat([b["edge_index"] + n for b, n, _ in pairs], dim=1),
        "node_graph": torch.cat([b["node_graph"] + r for b, _, r in pairs]),
        **{
            name: torch.cat([b[name] for b in batches])
            for name in ("positional", "degrees", "is_seed", "hidden", "sizes", "arcs")
        },
    }
