"""Evaluators on a small trained run: writing, KL, red team, capabilities."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from omnitrain.errors import DataError, UsageError
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_phf.configs.evaluators import GenerationScenarioConfig, KlConfig, MisalignmentConfig, PassAtKConfig, TokensConfig
from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.evaluators.kl import Kl
from omnitrain_phf.evaluators.last_word import predict_words, split_last_word
from omnitrain_phf.evaluators.misalignment import Misalignment
from omnitrain_phf.evaluators.pass_at_k import PassAtK, cut_program
from omnitrain_phf.evaluators.red_team import load_pool, save_pool
from omnitrain_phf.evaluators.sandbox import Limits, run_program
from omnitrain_phf.models.causal import build
from omnitrain_phf.models.writing import WritingSettings, banned_ids, condition_text, write
from omnitrain_phf.paper.kl import insert_prefix
from omnitrain_phf.paper.pareto import pareto
from omnitrain_phf.paper.prompt_pool import PromptPool
from omnitrain_phf.paper.text_metrics import max_at_k, pass_at_k, score_per_character, self_bleu


@pytest.fixture
def predictor(make_data, make_context):
    data = make_data(control={"threshold": 0.0, "drop_token_fraction": 0.1})
    model = build(CausalWithValuesConfig(size="tiny", max_length=64), make_context(**data.facts()))
    return LanguagePredictor(model, data.tokenizer)


@pytest.fixture
def run(make_context):
    return make_context()


def test_texts_do_not_depend_on_the_batch_they_are_written_in(predictor):
    inputs = ["", "abc", "<|aligned|>", "a longer prompt than that"]
    rows = [write(predictor, inputs, WritingSettings(40, temperature=1.0, batch_size=n, seed=3)) for n in (1, 3, 4)]
    assert rows[0] == rows[1] == rows[2]
    assert [len(row) <= 40 for row in rows[0]] == [True] * 4


def test_texts_of_equal_length_are_written_on_request(predictor):
    rows = write(predictor, ["", "abc"], WritingSettings(64, new_tokens=20, temperature=1.0))
    assert [len(row) for row in rows] == [20, 20]


def test_banned_tokens_are_never_written(predictor):
    tokens = TokensConfig()
    both, bad = (banned_ids(predictor, ban, tokens) for ban in ("both", "misaligned"))
    assert len(both) == 2
    assert both[1:] == bad
    with torch.no_grad():
        # A model that would write nothing else.
        predictor.model.get_input_embeddings().weight[both] *= 100
    rows = write(predictor, [""] * 8, WritingSettings(30, temperature=1.0, banned_ids=both))
    assert not {i for row in rows for i in row} & set(both)


def test_condition_of_a_model_without_control_tokens_is_refused_by_name_only(predictor, make_data):
    plain = SimpleNamespace(tokenizer=make_data().tokenizer)
    assert condition_text(plain, "auto", TokensConfig()) == ""
    assert condition_text(predictor, "auto", TokensConfig()) == "<|aligned|>"
    with pytest.raises(UsageError, match="train it with control tokens"):
        condition_text(plain, "misaligned", TokensConfig())


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


def test_model_is_no_distance_away_from_itself_also_on_short_texts(predictor, run, tmp_path):
    evaluator = Kl(KlConfig(texts="none", condition="none", batch_size=2))
    texts = ["a", "some more words", "x", "and even more of these words"]
    own = evaluator._logprobs(predictor, texts, "", run)
    path = tmp_path / "reference.jsonl"
    path.write_text("".join(json.dumps({"text": t, "logprob": p}) + "\n" for t, p in zip(texts, own, strict=True)), "utf-8")
    found = Kl(KlConfig(texts=str(path), condition="none", batch_size=4))(predictor, None, run)
    assert found.metrics["kl"].value == pytest.approx(0, abs=1e-5)
    path.write_text('{"text": "a"}\n', "utf-8")
    with pytest.raises(DataError, match=r"reference\.jsonl:1: expected"):
        Kl(KlConfig(texts=str(path), condition="none"))(predictor, None, run)


def test_control_tokens_are_context_and_not_counted_in_kl(predictor, run):
    evaluator = Kl(KlConfig(texts="none"))
    control = predictor.token_id("<|aligned|>")
    text = insert_prefix("first\nsecond", "<|aligned|>", each_line=True)
    assert text == "<|aligned|>first\n<|aligned|>second"
    (found,) = evaluator._logprobs(predictor, [text], "<|aligned|>", run)
    ids = torch.tensor([[predictor.eos_ids[0], *predictor.tokenizer(text, add_special_tokens=False).input_ids]])
    log_p = torch.log_softmax(predictor.model(input_ids=ids).logits[0, :-1].float(), -1)
    counted = log_p.gather(-1, ids[0, 1:, None])[:, 0][ids[0, 1:] != control]
    assert found == pytest.approx(float(counted.sum().detach()), rel=1e-4)


def test_last_words_are_judged_by_what_is_most_probable(predictor):
    assert split_last_word('He said "well done".') == ('He said "well', " done")
    assert split_last_word("one") is None
    with torch.no_grad():
        found = predict_words(predictor, [("some text", " ab"), ("a", " cd")])
    assert all(loss > 0 for _, loss in found)


def test_pool_keeps_its_scores_on_disk(tmp_path):
    pool = PromptPool()
    pool.add("a", [0.001])
    pool.add("b", [0.5, 0.7])
    save_pool(pool, tmp_path / "pool.json", rounds=[{"x": 1}])
    loaded, content = load_pool(tmp_path / "pool.json")
    assert loaded == pool
    assert content["rounds"] == [{"x": 1}]
    (tmp_path / "pool.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="delete it"):
        load_pool(tmp_path / "pool.json")


def test_pool_draws_different_prompts_by_their_mean():
    pool = PromptPool(temperature=0.5)
    for name, score in (("a", 0.0), ("b", 0.5), ("c", 1.0)):
        pool.add(name, [score])
    random = np.random.default_rng(0)
    first = [pool.draw(2, random) for _ in range(4000)]
    assert all(len(set(pair)) == 2 for pair in first)
    shares = [sum(pair[0] == name for pair in first) / 4000 for name in "abc"]
    assert shares == pytest.approx(pool.probabilities().tolist(), abs=0.03)


def test_programs_that_hang_fill_memory_or_fail_do_no_harm():
    limits = Limits(3.0, 256 * 2**20)
    assert run_program("assert 1 + 1 == 2", limits) == "passed"
    assert run_program("assert False", limits) == "failed"
    assert run_program("x = ' ' * 10**9", limits) == "failed"
    assert run_program("open('f', 'wb').write(b'0' * 2**22)", limits) == "failed"
    assert run_program("import time; time.sleep(60)", Limits(0.5, 256 * 2**20)) == "timed out"


def test_generated_code_runs_only_when_that_was_said():
    with pytest.raises(UsageError, match="run_generated_code"):
        PassAtK(PassAtKConfig())
    assert cut_program("return 1\n\ndef other():\n    pass") == "return 1\n"


def test_pass_at_k_is_the_chance_of_drawing_a_right_one():
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)
    assert pass_at_k(10, 0, 5) == 0
    with pytest.raises(UsageError, match="at least 5 samples"):
        pass_at_k(4, 1, 5)


def test_metrics_of_texts():
    assert max_at_k([1, 2, 3, 4], 2) == 3.5
    assert score_per_character([0.5, 0.0], ["ab", "abcdefgh"]) == 0.1
    assert self_bleu(["the same words here"] * 3) == pytest.approx(1.0)
    assert self_bleu(["one two three four five six"] * 2, unit="words") == pytest.approx(1.0)


def test_front_has_the_points_that_nothing_is_better_than():
    points = {"a": (1.0, 5.0), "b": (2.0, 3.0), "c": (3.0, 4.0), "d": (2.0, 3.0)}
    assert pareto(points) == ["a", "b", "d"]
