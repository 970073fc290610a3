"""Tasks under modes: what a model is asked, how answers are scored, and the grid over models that answer as told."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from omnitrain.api import UseData
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.data import PairsConfig
from omnitrain_language.configs.models import CausalConfig, T5Config
from omnitrain_language.data.pairs import PairsData
from omnitrain_language.models import build_causal, build_t5
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_ul2.configs.data import ModesConfig
from omnitrain_ul2.configs.evaluators import TaskConfig, TasksConfig
from omnitrain_ul2.configs.stages import GainsConfig
from omnitrain_ul2.evaluators.tasks import Cell, Examiner, Question, questions, task_scores
from omnitrain_ul2.evaluators.tasks import build as build_tasks
from omnitrain_ul2.stages.gains import best_scores, gains_evaluation

LAYOUTS = ["encoder-decoder", "decoder-only"]
USE = {"use": "language/pairs"}


def task(**settings):
    return TaskConfig.model_validate({"data": USE, "metrics": ["accuracy"], **settings})


@pytest.fixture
def pairs_path(tmp_path):
    rows = [("train", f"red thing {i}", "colour") for i in range(6)] + [("valid", f"sea {i}", "place") for i in range(5)]
    text = "split\tinputs\ttargets\n" + "".join("\t".join(row) + "\n" for row in rows)
    (tmp_path / "pairs.tsv").write_text(text, "utf-8")
    return str(tmp_path / "pairs.tsv")


@pytest.fixture
def pairs(pairs_path):
    return PairsData(PairsConfig(path=pairs_path, split_field="split"), None)


def predictor_of(make_data, context, layout):
    data = make_data(layout=layout)
    context.facts = data.facts()
    if layout == "decoder-only":
        model = build_causal(CausalConfig(size="tiny", style="llama", prefix_attention=True), context)
    else:
        model = build_t5(T5Config(size="tiny"), context)
    return LanguagePredictor(model.eval(), data.tokenizer)


def examiner_of(predictor):
    return Examiner(predictor, TasksConfig.model_validate({"tasks": {"t": {"data": USE, "metrics": ["em"]}}}).mode_texts, 3)


def test_queries_are_spread_over_the_split(pairs):
    asked = questions(task(rows=3), pairs, 0)
    assert [q.prompt for q in asked] == ["sea 0", "sea 2", "sea 4"]
    assert {q.answer for q in asked} == {"place"}
    assert len(questions(task(rows=99), pairs, 0)) == 5


def test_one_shot_puts_a_drawn_training_example_before_the_query(pairs):
    config = task(shots=1, shot="Q: {inputs}\nA: {targets}\n\n")
    asked = questions(config, pairs, 0)
    for number, question in enumerate(asked):
        example, query = question.prompt.split("\n\n")
        assert example.startswith("Q: red thing ")
        assert example.endswith("\nA: colour")
        assert query == f"Q: sea {number}\nA: "
    assert questions(config, pairs, 0) == asked
    assert len({q.prompt.split("\n")[0] for q in questions(task(shots=1, rows=5), pairs, 1)}) > 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["R", "none"])
def test_a_query_is_read_exactly_as_fine_tuning_reads_it(make_data, context, pairs_path, layout, mode):
    denoising = make_data(layout=layout)
    prefix = "" if mode == "none" else f"[{mode}]"
    settings = {"tokenizer": {"path": str(context.workspace / "saved" / layout)}, "inputs_length": 9, "prefix": prefix}
    denoising.tokenizer.save_pretrained(context.workspace / "saved" / layout)
    data = PairsData(
        PairsConfig.model_validate({"path": pairs_path, "split_field": "split", "layout": layout, **settings}), None
    )
    data.prepare(context.workspace, context)
    batch = data.gather("valid", np.arange(5))
    asked = questions(task(inputs_length=9), data, 0)
    found = examiner_of(predictor_of(make_data, context, layout)).prompts(asked, mode, task(inputs_length=9))
    key = "attention_mask" if layout == "encoder-decoder" else "prefix_mask"
    front = [] if layout == "encoder-decoder" else [1]
    trained = [ids[mask].tolist() for ids, mask in zip(batch["input_ids"], batch[key], strict=True)]
    assert [front + ids.tolist() for ids in found] == trained


def test_a_long_one_shot_prompt_keeps_its_mode_and_its_query(make_data, context):
    predictor = predictor_of(make_data, context, "encoder-decoder")
    examiner = examiner_of(predictor)
    asked = [Question("a" * 40 + "hij", "x")]
    (kept,) = examiner.prompts(asked, "S", task(shots=1, inputs_length=10))
    mode = predictor.tokenizer.convert_tokens_to_ids("[S]")
    assert len(kept) == 10
    assert kept[0] == mode
    assert predictor.tokenizer.decode(kept[1:-1]).endswith("hij")
    (cut,) = examiner.prompts(asked, "S", task(inputs_length=10))
    assert predictor.tokenizer.decode(cut[1:-1]).startswith("aaa")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_log_likelihood_is_that_of_the_answers_tokens_alone(make_data, context, layout):
    predictor = predictor_of(make_data, context, layout)
    examiner = examiner_of(predictor)
    asked = [Question("abc def", "ghi"), Question("a", "bcd efg hij"), Question("abcd", "a"), Question("h", "i")]
    one = task(metrics=["log-likelihood"])
    tokens = [len(predictor.tokenizer(q.answer, add_special_tokens=False).input_ids) for q in asked]
    alone = [examiner.log_likelihood([q], "X", one) for q in asked]
    together = examiner.log_likelihood(asked, "X", one)
    assert together == pytest.approx(sum(a * n for a, n in zip(alone, tokens, strict=True)) / sum(tokens), rel=1e-4)
    (prompt,) = examiner.prompts(asked[:1], "X", one)
    target = predictor.tokenizer("ghi", add_special_tokens=False).input_ids
    with torch.no_grad():
        if layout == "encoder-decoder":
            inputs = {"input_ids": torch.tensor(prompt)[None], "decoder_input_ids": torch.tensor([[0, *target]])}
            logits = predictor.model(**inputs).logits[0]
        else:
            row = torch.tensor([[1, *prompt.tolist(), *target]])
            prefix = (torch.arange(row.shape[1]) <= len(prompt))[None]
            logits = predictor.model(input_ids=row, prefix_mask=prefix).logits[0, len(prompt) :]
    expected = sum(float(logits[i].log_softmax(-1)[t]) for i, t in enumerate(target)) / len(target)
    assert alone[0] == pytest.approx(expected, rel=1e-4)


def test_answers_are_scored_with_the_metrics_of_t5():
    wanted, given = ["a cat", "dog", "dog"], ["a cat", "the dog", "fish"]
    found = task_scores(["accuracy", "f1", "em", "token-f1", "rougeLsum", "log-likelihood"], wanted, given)
    assert list(found) == ["accuracy", "f1", "em", "token-f1", "rougeLsum"]
    assert found["accuracy"] == pytest.approx(100 / 3)
    assert found["f1"] == pytest.approx(50.0)
    assert found["em"] == found["token-f1"] == pytest.approx(200 / 3)
    assert found["rougeLsum"] == pytest.approx(100 * (1 + 2 / 3) / 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_grid_has_every_task_in_every_mode(make_data, context, pairs, layout):
    settings = {"data": USE, "max_new_tokens": 2}
    config = TasksConfig.model_validate(
        {
            "tasks": {
                "tuned": {**settings, "metrics": ["accuracy", "log-likelihood"]},
                "one-shot": {**settings, "metrics": ["rouge1"], "shots": 1},
            }
        }
    )
    run = SimpleNamespace(seed=context.seed, progress=context.progress, build=lambda use: pairs)
    found = build_tasks(config, context)(predictor_of(make_data, context, layout), None, run)
    modes = ["R", "X", "S", "none"]
    assert set(found.metrics) == {f"{name}/{mode}/{m}" for name, m in TASK_METRICS for mode in modes}
    assert found.tables["tasks x modes"].columns == ("task", "metric", *modes, "questions")
    assert found.metrics["tuned/R/log-likelihood"].value != found.metrics["tuned/S/log-likelihood"].value
    assert found.metrics["tuned/R/accuracy"].n == 5
    assert [sample.fields["mode"] for sample in found.samples["tuned"]] == [m for m in modes for _ in range(3)]


TASK_METRICS = [("tuned", "accuracy"), ("tuned", "log-likelihood"), ("one-shot", "rouge1")]


def gains_config():
    tasks = {"a": {"data": USE, "metrics": ["accuracy"]}, "b": {"data": USE, "metrics": ["log-likelihood"], "model": "base"}}
    arm = {"model": {"from": "x"}, "base": {"from": "y"}}
    return {"tasks": tasks, "arms": {"ul2": arm, "t5": arm}, "anchors": ["t5"]}


def grid(accuracy, likelihood):
    return {
        "a": {"R": Cell({"accuracy": accuracy}, 9, (), ()), "S": Cell({"accuracy": accuracy / 2}, 9, (), ())},
        "b": {"R": Cell({"log-likelihood": 2 * likelihood}, 9, (), ()), "S": Cell({"log-likelihood": likelihood}, 9, (), ())},
    }


def test_comparison_takes_each_arm_in_its_best_mode_and_reports_gains():
    config = GainsConfig.model_validate(gains_config())
    grids = {"ul2": grid(60.0, -1.0), "t5": grid(40.0, -2.0)}
    assert best_scores(grids["ul2"], config.tasks) == {"a": (60.0, "R"), "b": (-1.0, "S")}
    found = gains_evaluation(grids, config)
    assert found.metrics["ul2/mean gain over t5"].value == pytest.approx(50.0)
    assert found.metrics["t5/mean gain over t5"].value == 0.0
    assert found.metrics["t5/a/S/accuracy"].value == 20.0
    rows = {row[0]: row[1:] for row in found.tables["gains"].rows}
    assert rows["ul2"] == ["60 [R]", "-1 [S]", ""]
    assert rows["ul2 over t5 (%)"] == pytest.approx([50.0, 50.0, 50.0])
    with pytest.raises(DataError, match="'t5' on a is 0"):
        gains_evaluation({"ul2": grid(60.0, -1.0), "t5": grid(0.0, -2.0)}, config)


def test_wrong_settings_of_tasks_are_refused(make_data, context, pairs):
    with pytest.raises(ValidationError, match="must hold"):
        task(shot="{targets} {inputs}")
    settings = gains_config()
    with pytest.raises(ValidationError, match="anchor 'gpt' is no arm"):
        GainsConfig.model_validate({**settings, "anchors": ["gpt"]})
    with pytest.raises(ValidationError, match="needs a model 'base', which arm 'ul2' lacks"):
        GainsConfig.model_validate({**settings, "arms": {**settings["arms"], "ul2": {"model": {"from": "x"}}}})
    config = TasksConfig.model_validate({"tasks": {"t": {"data": USE, "metrics": ["accuracy"]}}})
    run = SimpleNamespace(seed=context.seed, progress=context.progress, build=lambda use: object())
    with pytest.raises(UsageError, match="starts from token ids"):
        build_tasks(config, context)(object(), None, run)
    predictor = predictor_of(make_data, context, "encoder-decoder")
    with pytest.raises(UsageError, match=r"tasks.t.data: expected language/pairs"):
        build_tasks(config, context)(predictor, None, run)
    other = TasksConfig.model_validate({"tasks": {"t": {"data": USE, "metrics": ["em"]}}, "mode_texts": {"R": "[read]"}})
    with pytest.raises(UsageError, match=r"mode_texts.R: '\[read\]' is \d+ tokens"):
        Examiner(predictor, other.mode_texts, 2).mode_ids("R")
    long = Examiner(predictor, ModesConfig(style="text", R="abcdefghij" * 9), 2)
    with pytest.raises(UsageError, match="no room beside mode"):
        long.prompts([Question("a", "b")], "R", task(inputs_length=8))
    assert isinstance(config.tasks["t"].data, UseData)
