"""Stage `w2pgnn/finetune`: an encoder fine-tuned on each target, beside the frozen one."""

from __future__ import annotations

from omnitrain.api import Evaluation, Metric, Run, Table, mean_metric
from omnitrain_w2pgnn.configs.stages import FinetuneConfig
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.evaluators.downstream import Target
from omnitrain_w2pgnn.evaluators.frozen import positions_of


def finetune(config: FinetuneConfig, run: Run) -> None:
    """Fine-tune the encoder on each target, fold by fold, and measure it beside the frozen one."""
    encoder = run.open(config.model, device=config.device).model
    positions = positions_of(encoder)
    metrics: dict[str, Metric] = {}
    rows = []
    folds = config.finetune.folds
    with run.progress("fine-tuning", len(config.targets) * folds * config.finetune.epochs) as bar:
        for name, use in config.targets.items():
            network, _ = graphs_of(run.data(use)[0], f"targets.{name}")
            target = Target(name, network, config, positions, run)
            seeds = [run.seed(f"classifier {name}") + fold for fold in range(folds)]
            frozen = mean_metric(target.frozen_scores(encoder), "higher", n=len(target.labels))
            scores = target.finetuned_scores(encoder, config.finetune, seeds, bar.advance)
            tuned = mean_metric(scores, "higher", n=len(target.labels))
            metrics |= {f"{name}/frozen": frozen, f"{name}/fine-tuned": tuned}
            rows.append([name, frozen.value, tuned.value, len(target.labels)])
    table = Table(("target", "frozen", "fine-tuned", "rows"), rows, f"{config.metric}, mean over folds.")
    run.report("w2pgnn/finetune", Evaluation(metrics, {"downstream": table}))
