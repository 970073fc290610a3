"""Stage `w2pgnn/finetune`: an encoder fine-tuned on each target, beside the frozen one."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Evaluation, Table, numpy_generator
from omnitrain.engine import choose_device, evaluating
from omnitrain_w2pgnn.configs.stages import FinetuneConfig
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.evaluators.downstream import embeddings, finetuned_scores, frozen_scores, make_target, prepared_batches
from omnitrain_w2pgnn.evaluators.frozen import positions_of, spread_metric


def finetune(config: FinetuneConfig, run: Any) -> None:
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
