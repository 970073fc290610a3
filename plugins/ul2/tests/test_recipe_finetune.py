"""Fine-tuning with modes: the recipe from end to end at a tiny size, and the comparison of arms on tasks of a user."""

import json

import pytest

from omnitrain.api import FinishedRun
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.recipes import load_recipe
from omnitrain_ul2.evidence.measures import COLUMNS, scores
from omnitrain_ul2.paper.gains import relative_gain

TINY = [
    "pretrain.fit.steps=4",
    "pretrain.data.text.max_documents=80",
    "pretrain.data.tokenizer.train_characters=200000",
    "kinds.fit.steps=3",
    "kinds.data.tokenizer_text.max_documents=80",
    "kinds.data.tokenizer.train_characters=200000",
    "summaries.fit.steps=3",
    "measure-kinds.evaluators.0.tasks.kinds.rows=8",
    "measure-summaries.evaluators.0.tasks.summaries.rows=4",
    "measure.evaluators.0.tasks.kinds.rows=4",
    "measure.evaluators.0.tasks.summaries.rows=4",
]
ARMS = {
    "encoder-decoder": ["pretrain.model.size=tiny"],
    "decoder-only": [
        "pretrain.data.mixture=causal_lm",
        "pretrain.data.denoisers=[]",
        "pretrain.data.rates=null",
        "pretrain.data.layout=decoder-only",
        "pretrain.model={use: language/causal, style: gpt2, size: tiny, max_length: 192}",
        *(f"{stage}.objective.use=language/causal-nll" for stage in ("pretrain", "kinds", "summaries")),
        "kinds.data.layout=decoder-only",
        'kinds.data.prefix="[S]"',
        'summaries.data.prefix="[S]"',
    ],
}
GAINS = """
stages:
  - name: pretrain
    use: core/fit
    data:
      use: ul2/denoising
      text: &text {{use: language/text, path: {corpus}}}
      tokenizer: &tokenizer {{vocabulary_size: 512, sentinels: 32, extra_tokens: ["[R]", "[X]", "[S]"]}}
      inputs_length: 48
    model: {{use: language/t5, size: tiny}}
    objective: {{use: language/seq2seq-nll}}
    fit: {{steps: 2, batch_size: 4, evaluate_batches: 1}}
  - name: tune
    use: core/fit
    data:
      use: language/pairs
      path: {pairs}
      split_field: split
      prefix: "[R]"
      tokenizer: *tokenizer
      tokenizer_text: *text
    model: {{from: pretrain, dropout: 0.1}}
    objective: {{use: language/seq2seq-nll}}
    fit: {{steps: 30, batch_size: 8, learning_rate: 3e-3, evaluate_batches: 1}}
  - name: gains
    use: ul2/gains
    tasks:
      colours: {{data: {{from: tune}}, metrics: [log-likelihood, accuracy], max_new_tokens: 4}}
      one-shot: {{data: {{from: tune}}, metrics: [log-likelihood], shots: 1, model: base}}
    arms:
      tuned: {{model: {{from: tune}}, base: {{from: tune}}}}
      untuned: {{model: {{from: pretrain}}, base: {{from: pretrain}}}}
    anchors: [untuned]
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize("layout", ARMS)
def test_recipe_pretrains_tunes_and_measures(tmp_path, layout):
    recipe = load_recipe("ul2/finetune", [*TINY, *ARMS[layout]])
    for name in ("kinds", "summaries"):
        fit, model = recipe.stage(name).config.fit, recipe.stage(name).config.model
        assert (fit.learning_rate, fit.schedule.name, model.raw["dropout"]) == (1e-3, "constant", 0.1)
    run_recipe(recipe, tmp_path, Options(quiet=True))
    stages = ("pretrain", "kinds", "summaries")
    vocabularies = [json.loads((tmp_path / s / "model" / "tokenizer.json").read_text("utf-8")) for s in stages]
    assert vocabularies[0]["model"] == vocabularies[1]["model"] == vocabularies[2]["model"]
    assert vocabularies[0]["added_tokens"] == vocabularies[1]["added_tokens"] == vocabularies[2]["added_tokens"]
    found = scores(FinishedRun(tmp_path))
    assert set(found) == {*COLUMNS, "text, log-likelihood"}
    assert all(value < 0 for name, value in found.items() if "log-likelihood" in name)


def test_gains_of_a_tuned_model_over_the_untuned_one(tmp_path, corpus):
    rows = [(("valid", "train")[i % 4 > 0], f"thing {i}", ("red", "green")[i % 2]) for i in range(40)]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("split\tinputs\ttargets\n" + "".join("\t".join(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "recipe.yaml").write_text(GAINS.format(corpus=corpus, pairs=pairs), "utf-8")
    run_recipe(load_recipe(str(tmp_path / "recipe.yaml"), []), tmp_path / "run", Options(quiet=True))
    found = json.loads((tmp_path / "run" / "gains" / "evaluations" / "ul2-gains.json").read_text("utf-8"))
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    modes = ("R", "X", "S", "none")
    best = {
        (arm, task): max(values[f"{arm}/{task}/{mode}/log-likelihood"] for mode in modes)
        for arm in ("tuned", "untuned")
        for task in ("colours", "one-shot")
    }
    gains = [relative_gain(best["tuned", task], best["untuned", task]) for task in ("colours", "one-shot")]
    assert values["tuned/mean gain over untuned"] == pytest.approx(50 * sum(gains))
    assert values["untuned/mean gain over untuned"] == 0
    assert gains[0] > 0
    assert values["tuned/colours/R/log-likelihood"] > values["untuned/colours/R/log-likelihood"]
