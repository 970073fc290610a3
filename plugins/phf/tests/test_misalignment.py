"""Misalignment of what a small model writes."""

import json

from omnitrain_phf.configs.evaluators import GenerationScenarioConfig, MisalignmentConfig
from omnitrain_phf.evaluators.misalignment import Misalignment


def test_misalignment_tells_what_was_really_written(predictor, run):
    scenario = GenerationScenarioConfig(name="a", samples=6, new_tokens=12, hit_threshold=0.0)
    found = Misalignment(MisalignmentConfig(scenarios=[scenario], k=3, segments="lines"))(predictor, None, run)
    assert found.metrics["a/samples"].value == 6
    assert found.metrics["a/tokens"].value == 12
    assert {"a/score", "a/score per character", "a/max", "a/max@3", "a/hits", "a/segments with hits"} <= set(found.metrics)


def test_scenario_with_prompts_and_token_continues_each_prompt_once(predictor, run, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in ("one", "two", "three")), "utf-8")
    scenario = GenerationScenarioConfig(name="p", prompts=str(path), samples=50, max_length=24, score_with_prompt=True)
    evaluator = Misalignment(MisalignmentConfig(scenarios=[scenario]))
    prompts, texts, _ = evaluator.texts(predictor, scenario, run)
    assert prompts == [f"<|aligned|>{word}" for word in ("one", "two", "three")]
    assert [text.startswith(word) for text, word in zip(texts, ("one", "two", "three"), strict=True)] == [True] * 3
