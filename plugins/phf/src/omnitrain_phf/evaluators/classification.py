"""Evaluator `phf/classification`: what fine-tuning a copy of the model reaches (GLUE)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.api import Context, Evaluation, Metric, Run, mean_metric, numpy_generator
from omnitrain.engine import Engine, Guard, evaluating
from omnitrain.errors import DataError, NumericalError, UsageError
from omnitrain_language.data.builtin.pairs import BUILTIN, kinds_of, library_objects
from omnitrain_language.folders import find_files, tell_files
from omnitrain_language.records import RECORDS, Problems, read_fields
from omnitrain_phf.configs.evaluators import ClassificationConfig
from omnitrain_phf.models.writing import Writes, condition_text, context_length, encode, writer
from omnitrain_phf.scorers.contacts import contact_pairs


class _Tuned(nn.Module):
    """A copy of the language model with a linear layer over the hidden state of the last real token."""

    def __init__(self, model: nn.Module, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        source: Any = model
        width = source.get_output_embeddings().weight.shape[1]
        self.head = nn.Linear(width, classes)
        with torch.no_grad():
            self.head.weight.copy_(0.02 * torch.randn(classes, width, generator=generator))
            self.head.bias.zero_()

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        out = self.model(input_ids=ids, attention_mask=mask.long(), use_cache=False, output_hidden_states=True)
        last = out.hidden_states[-1][torch.arange(len(ids), device=ids.device), lengths - 1]
        logits: Tensor = self.head(last.to(self.head.weight.dtype))
        return logits


class Classification:
    """Fine-tunes a copy of the model on a classification task and measures it, several times."""

    def __init__(self, config: ClassificationConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: its examples are read."""
        self._pairs(run)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the test accuracy, mean over restarts, beside the share of the commonest class.

        Raises UsageError for a model that is no causal language model, DataError for a task with one class,
        NumericalError where fine-tuning diverges.
        """
        config, model = self.config, writer(predictor, "phf/classification")
        pairs = self._pairs(run)
        names = sorted({target for _, target in pairs})
        prefix = condition_text(model, config.condition, config)
        longest = min(config.length, context_length(model) or config.length)
        ids = [encode(model, prefix + text)[:longest] for text, _ in pairs]
        labels = [names.index(target) for _, target in pairs]
        accuracies = []
        with run.progress("fine-tune", config.restarts) as progress:
            for restart in range(config.restarts):
                accuracies.append(self._tune(model, ids, labels, run, run.seed(f"restart {restart}")))
                progress.advance(1, accuracy=accuracies[-1])
        commonest = max(labels.count(i) for i in range(len(names))) / len(labels)
        metrics = {"accuracy": mean_metric(accuracies, "higher"), "commonest class": Metric(commonest, len(labels))}
        return Evaluation(metrics)

    def _pairs(self, run: Run) -> list[tuple[str, str]]:
        config = self.config
        if config.path == f"{BUILTIN}kinds":
            found = [(pair.inputs, pair.targets) for pair in kinds_of(library_objects())]
        elif config.path == f"{BUILTIN}contacts":
            found = contact_pairs(config.max_examples)
        else:
            tell_files(config.path, RECORDS, run)
            fields = [config.inputs_field, config.targets_field]
            problems = Problems(refuse=True)
            found = [
                (record[fields[0]], record[fields[1]])
                for file in find_files(config.path, RECORDS)
                for _, record in read_fields(file, fields, problems)
            ]
        order = numpy_generator(0).permutation(len(found))[: config.max_examples]
        pairs = [found[i] for i in order]
        classes = len({target for _, target in pairs})
        if classes < 2 or len(pairs) < 20:
            raise DataError(f"{config.path}: {len(pairs)} examples of {classes} classes; needs 20 of at least 2")
        return pairs

    def _tune(self, model: Writes, ids: list[list[int]], labels: list[int], run: Run, seed: int) -> float:
        """Return the test accuracy at the epoch of best validation accuracy."""
        config = self.config
        device = next(model.model.parameters()).device
        generator = torch.Generator().manual_seed(seed % 2**63)
        held = max(1, len(ids) // 10)
        parts = {"valid": np.arange(held), "test": np.arange(held, 2 * held), "train": np.arange(2 * held, len(ids))}
        tuned = _Tuned(model.model, max(labels) + 1, generator).to(device).train()
        optimiser = torch.optim.AdamW(tuned.parameters(), lr=config.learning_rate, weight_decay=0.01)
        engine, guard, step = Engine(device=str(device)), Guard(run, allowed=0), 0
        best, result, waited = -1.0, 0.0, 0
        shuffle = numpy_generator(seed)
        for _ in range(config.epochs):
            order = shuffle.permutation(parts["train"])
            for first in range(0, len(order), config.batch_size):
                chosen = order[first : first + config.batch_size]
                inputs, lengths, targets = _padded(chosen, ids, labels, model.eos_ids[0], device)
                # Evaluators are called without gradients.
                with torch.enable_grad():
                    loss = functional.cross_entropy(tuned(inputs, lengths), targets)
                    engine.backward(loss)
                torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
                step += 1
                guard.note(step, bool(engine.update(optimiser, loss=loss).applied), [int(row) for row in chosen])
            valid = self._accuracy(tuned, parts["valid"], ids, labels, model.eos_ids[0], device)
            if valid > best:
                best, waited = valid, 0
                result = self._accuracy(tuned, parts["test"], ids, labels, model.eos_ids[0], device)
            else:
                waited += 1
                if waited >= config.patience:
                    break
        return result

    def _accuracy(self, tuned: _Tuned, rows: Any, ids: Any, labels: Any, pad: int, device: Any) -> float:
        hits = 0
        with evaluating(tuned):
            for first in range(0, len(rows), self.config.batch_size):
                inputs, lengths, targets = _padded(rows[first : first + self.config.batch_size], ids, labels, pad, device)
                logits = tuned(inputs, lengths)
                if not bool(logits.isfinite().all()):
                    raise NumericalError(
                        "phf/classification: fine-tuning made the logits NaN or infinite; lower learning_rate."
                    )
                hits += int((logits.argmax(dim=-1) == targets).sum())
        return hits / len(rows)


def _padded(rows: Any, ids: list[list[int]], labels: list[int], pad: int, device: Any) -> tuple[Tensor, Tensor, Tensor]:
    chosen = [ids[i] for i in rows]
    width = max(map(len, chosen))
    inputs = torch.tensor([row + [pad] * (width - len(row)) for row in chosen], device=device)
    lengths = torch.tensor([len(row) for row in chosen], device=device)
    return inputs, lengths, torch.tensor([labels[i] for i in rows], device=device)


def build(config: ClassificationConfig, context: Context) -> Classification:
    """Make the evaluator `phf/classification`.

    Raises UsageError for an unknown built-in task.
    """
    if config.path.startswith(BUILTIN) and config.path not in (f"{BUILTIN}kinds", f"{BUILTIN}contacts"):
        raise UsageError(f"path {config.path!r}: the built-in classification tasks are {BUILTIN}kinds and {BUILTIN}contacts")
    return Classification(config)
