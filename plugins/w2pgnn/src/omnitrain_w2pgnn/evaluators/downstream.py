"""Downstream scores of an encoder: rows of a labelled target as subgraphs, frozen and fine-tuned cross-validation."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Run, numpy_generator
from omnitrain.engine import Engine, Guard, evaluating, isolated, to_device
from omnitrain.errors import DataError, NumericalError
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.stages import TuningConfig
from omnitrain_w2pgnn.graphs.egos import ego_networks
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints
from omnitrain_w2pgnn.graphs.tensors import structural, union
from omnitrain_w2pgnn.graphs.walks import walk_subgraphs

CHUNK = 256
RESTART = 0.8
INVERSE_PENALTY = 1000.0
"""C of the logistic regression in stages. Code: 1000."""
CLIP = 1.0
"""Largest absolute value of a gradient's entry in fine-tuning. Code: 1.0."""


class Target:
    """A labelled target that encoders are scored on; what does not depend on the encoder is computed once.

    name: of its random streams "rows NAME" and "folds NAME". network: its labelled nodes, or labelled graphs. positions:
    Laplacian eigenvectors of each node. labels: int64[rows], from 0.
    Raises DataError for a target without labels, or with a class that has fewer rows than there are folds.
    """

    def __init__(self, name: str, network: Graphs, config: DownstreamConfig, positions: int, run: Run) -> None:
        self.name, self.config = name, config
        self._positions, self._run = positions, run
        self._views, self.labels = cut_rows(name, network, config, numpy_generator(run.seed(f"rows {name}")))

    @property
    def largest_class(self) -> float:
        """The share of the most frequent class."""
        return float(np.bincount(self.labels).max() / len(self.labels))

    @cached_property
    def _batches(self) -> list[list[Batch]]:
        """The batches of each view, rows in order."""
        starts = range(0, len(self.labels), CHUNK)
        return [
            [structural(view.take(np.arange(a, min(a + CHUNK, len(view)))), self._positions) for a in starts]
            for view in self._views
        ]

    @cached_property
    def _single(self) -> list[list[Batch]]:
        """A batch of each row of each view."""
        return [[structural(view.take([row]), self._positions) for row in range(len(view))] for view in self._views]

    def frozen_scores(self, encoder: Any, inverse_penalty: float = INVERSE_PENALTY) -> list[float]:
        """Return each fold's score of a logistic regression on the encoder's embeddings, one class against the rest.

        Raises NumericalError for embeddings that are not finite.
        """
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped, unused-ignore]
        from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped, unused-ignore]

        features, scores = embeddings(encoder, self._batches), []
        for train, test in self._folds(self.config.folds):
            classifier = OneVsRestClassifier(LogisticRegression(C=inverse_penalty, solver="liblinear", max_iter=1000))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # separable classes do not converge with so weak a penalty; the score stands
                classifier.fit(features[train], self.labels[train])
            scores.append(fold_score(self.config.metric, self.labels[test], classifier.predict_proba(features[test])))
        return scores

    def finetuned_scores(
        self, encoder: Any, settings: TuningConfig, seeds: Sequence[int], tick: Callable[[], None]
    ) -> list[float]:
        """Return each fold's score after fine-tuning a copy of the encoder together with a linear classifier.

        seeds: of the classifier's first weights and of dropout, one a fold. tick: called after every epoch; may raise to stop.
        Raises NumericalError where an update or a prediction is not finite: a fold of fewer updates is no score.
        """
        found = []
        for number, (train, test) in enumerate(self._folds(settings.folds)):
            generator = numpy_generator(self._run.seed(f"folds {self.name}") + number)
            with isolated(seeds[number]):
                tuned = copy.deepcopy(encoder).train()
                classifier = nn.Linear(tuned.width, int(self.labels.max()) + 1).to(_device(tuned))
                self._tune(tuned, classifier, train, settings, generator, tick)
            found.append(fold_score(self.config.metric, self.labels[test], self._predicted(tuned, classifier, test)))
        return found

    def _tune(
        self,
        encoder: Any,
        classifier: nn.Module,
        train: Ints,
        settings: TuningConfig,
        generator: np.random.Generator,
        tick: Callable[[], None],
    ) -> None:
        engine, guard, step = Engine("float32", str(_device(encoder))), Guard(self._run, allowed=0), 0
        parameters = [p for p in [*encoder.parameters(), *classifier.parameters()] if p.requires_grad]
        optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate)
        for epoch in range(settings.epochs):
            order = generator.permutation(train)
            own = self._single[epoch % len(self._single)]
            for begin in range(0, len(order), settings.batch_size):
                rows = order[begin : begin + settings.batch_size]
                if len(rows) < 2:
                    continue  # batch normalisation needs two graphs
                logits = classifier(encoder.embed(to_device(union([own[r] for r in rows]), engine.device)))
                loss = nn.functional.cross_entropy(logits, torch.from_numpy(self.labels[rows]).to(engine.device))
                engine.backward(loss)
                step += 1
                update = engine.update(optimiser, loss=loss, parameters=parameters, clip_value=CLIP)
                guard.note(step, bool(update.applied), rows.tolist())
            tick()

    def _predicted(self, encoder: Any, classifier: nn.Module, rows: Ints) -> np.ndarray:
        """Return the mean over views of the classes' probabilities, float64[rows, classes]."""
        with evaluating(encoder):
            batches = [to_device(union([view[r] for r in rows]), _device(encoder)) for view in self._single]
            found = [torch.softmax(classifier(encoder.embed(batch)), dim=1) for batch in batches]
        return _finite(torch.stack(found).mean(dim=0), "predictions")

    def _folds(self, folds: int) -> Iterator[tuple[Ints, Ints]]:
        from sklearn.model_selection import StratifiedKFold  # type: ignore[import-untyped, unused-ignore]

        seed = self._run.seed(f"folds {self.name}") % 2**32
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(self.labels)), self.labels)


def cut_rows(
    name: str, network: Graphs, config: DownstreamConfig, generator: np.random.Generator
) -> tuple[tuple[Graphs, ...], Ints]:
    """Cut the labelled rows out of a target: subgraphs around its labelled nodes, or its labelled graphs.

    Returns one collection per view, a graph a row, and the labels int64[rows]. Raises DataError as `Target`.
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
        return (_with_seeds(network.take(rows)),), labels
    if config.view == "egos":
        return (ego_networks(network, rows, 2, None),), labels
    visits = np.full(len(rows), config.visits)
    return tuple(walk_subgraphs(network, rows, visits, RESTART, generator) for _ in range(config.views)), labels


def _with_seeds(graphs: Graphs) -> Graphs:
    """Give each whole graph a seed, its node of highest degree, as GCC does."""
    owner = graphs.graph_of_node()
    order = np.lexsort((-np.arange(graphs.nodes), graphs.degrees, owner))
    return replace(graphs, roots=order[graphs.offsets[1:] - 1])


def embeddings(encoder: Any, batches: list[list[Batch]]) -> np.ndarray:
    """Return the rows' embeddings, the mean over views, float64[rows, width]. batches: of each view, rows in order."""
    device = _device(encoder)
    with evaluating(encoder):
        found = [torch.cat([encoder.embed(to_device(b, device)) for b in view]).double().cpu() for view in batches]
    return _finite(torch.stack(found).mean(dim=0), "embeddings")


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


def _device(encoder: nn.Module) -> torch.device:
    return next(encoder.parameters()).device


def _finite(values: Tensor, what: str) -> np.ndarray:
    if not bool(torch.isfinite(values).all()):
        raise NumericalError(f"The encoder's {what} are NaN or infinite, so that nothing is scored; lower the learning rate.")
    return np.asarray(values.double().cpu().numpy())
