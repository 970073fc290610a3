"""Stage `lae/continual`: what is learned from, what learns, and what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitrain.api import Data, Run
from omnitrain.engine import Engine, count_parameters, in_order, isolated, reads_data, seed_everything, to_device, write_json
from omnitrain.errors import UsageError
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.data.class_incremental import HasTasks
from omnitrain_lae.evaluators.answers import Answered, evaluation, write_answers
from omnitrain_lae.models.learned import backbone_facts, make_learner
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.stages.learning import Learning, check_engine


def _check(config: ContinualConfig, run: Run, fields: Mapping[str, Data]) -> None:
    check_engine(Engine(config.precision, config.device))
    if "data" in fields:
        tasks_of(fields["data"])


def tasks_of(data: Data) -> HasTasks:
    """Return data that come task by task. Raises UsageError for other data."""
    if not isinstance(data, HasTasks):
        raise UsageError("data: it has no tasks; wrap it: {use: lae/class-incremental, data: {...}}.")
    return data


@reads_data(check=_check)
def continual(config: ContinualConfig, run: Run) -> None:
    """Learn all tasks; leave the artifacts "model", "answers" (of every expert after every task) and "accuracy"."""
    engine = Engine(config.precision, config.device)
    check_engine(engine)
    engine.warn(run)
    data, facts = run.data(config.data)
    sizes = tasks_of(data).task_sizes()
    learner = build_learner(config, run, data, facts, engine)
    seed_everything(run.seed("training"))
    every, trained = count_parameters(learner)
    run.event("learning", tasks=len(sizes), parameters=every, trained_below_heads=trained, device=str(engine.device))
    learning = Learning(config, learner, data, sizes, run, engine)
    results = learning.run()
    run.report("lae/continual", evaluation(results), learning.losses.total)
    run.save_model(learner, _described(config, run, learner), data=config.data, facts=facts, assets=data)
    with run.artifact("answers", "predictions", folder=True) as path:
        write_answers(results, path)
    with run.artifact("accuracy", "accuracies", folder=True) as path:
        write_json(path / "accuracy.json", accuracies(results))


def build_learner(config: ContinualConfig, run: Run, data: Data, facts: Mapping[str, Any], engine: Engine) -> Learner:
    """Build backbone and method, and look at one example for the width of the features."""
    with isolated(run.seed("model")):
        model = run.build(config.model, backbone_facts(facts))
        pet = run.build(config.pet) if config.tune == "pet" else None
        learner = make_learner(model, pet, config.pooling, config.feature_module, config.tune == "backbone")
        engine.prepare(learner)
        for first in in_order(data, "train/1", 1, most=1):
            learner.measure(to_device(first, engine.device))
    return learner


def _described(config: ContinualConfig, run: Run, learner: Learner) -> dict[str, Any]:
    """Return the component that builds what was learned again, with the shape that it has now."""
    settings = {
        "backbone": _use(run.describe_model(config.model)),
        "pet": _use(run.describe_model(config.pet)) if config.tune == "pet" else None,
        "pooling": config.pooling,
        "feature_module": config.feature_module,
        "width": learner.width,
        "classes": [head.out_features for head in learner.heads],
        "offline": len(learner.offline_names()),
        "only_offline": config.only_offline,
        "classifier": config.classifier,
    }
    return {"use": "lae/learned", "config": settings}


def _use(described: dict[str, Any]) -> dict[str, Any]:
    return {"use": described["use"], **described["config"]}


def accuracies(results: list[Answered]) -> dict[str, Any]:
    """Return the accuracy matrix of every expert that answered, with the number of tests of each task."""
    matrices = {
        name: {result.after + 1: result.accuracies(name) for result in results if name in result.answers}
        for name in results[-1].answers
    }
    return {"tests": results[-1].counts(), "after task": matrices}
