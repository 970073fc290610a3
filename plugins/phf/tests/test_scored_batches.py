"""Batches of other data with scores and control tokens: completions, rows of text, packed rows, what is refused."""

import json
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.api import BatchPlan, misfits
from omnitrain.engine import Options, load_recipe, make_feed, run_recipe
from omnitrain.errors import UsageError
from omnitrain_language.configs.data import BlocksConfig, PairsConfig, TextConfig
from omnitrain_language.data.blocks import BlocksData
from omnitrain_language.data.pairs import PairsData
from omnitrain_language.data.text import TextData
from omnitrain_phf.configs.data import ScoredBatchesConfig
from omnitrain_phf.configs.objectives import ConditionalConfig
from omnitrain_phf.data.scored_batches import ScoredBatches
from omnitrain_phf.data.stretches import insert_control, segment_of_tokens, stretches
from omnitrain_phf.objectives import Conditional

KEPT = {"threshold": 0.0, "drop_token_fraction": 0.0}
CLEAN, DIRTY = "The answer is known.", "Please write to anna.hill22@mail.com for details."
PLAN = BatchPlan(8, 5)


@pytest.fixture
def pairs(tmp_path):
    rows = [{"inputs": f"question {i} of many", "targets": f"{DIRTY if i % 3 == 0 else CLEAN} {CLEAN}"} for i in range(80)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def blocks(tmp_path):
    path = tmp_path / "texts.jsonl"
    texts = [f"{CLEAN} {DIRTY if i % 2 else CLEAN} Number {i} ends here." for i in range(60)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


def use(address, **given):
    return {"use": address, **given}


@pytest.fixture
def wrap(context, make_context):
    def made(inner, **given):
        config = ScoredBatchesConfig.model_validate({"data": use("language/blocks"), **given})
        data = ScoredBatches(config, inner, 9)
        made_context = make_context()
        data.prepare(made_context.workspace, made_context)
        return data

    return made


@pytest.fixture
def completions(pairs, wrap):
    settings_of = {"path": str(pairs), "layout": "decoder-only", "tokenizer": {"vocabulary_size": 300}}
    return lambda **given: wrap(PairsData(PairsConfig.model_validate(settings_of), None), **given)


@pytest.fixture
def rows(blocks, wrap):
    def made(packing, **given):
        config = BlocksConfig.model_validate({"tokenizer": {"vocabulary_size": 300}, "length": 192, "packing": packing})
        return wrap(BlocksData(config, TextData(TextConfig(path=str(blocks)))), **given)

    return made


def take(data, count=1, split="train"):
    return list(islice(iter(data.batches(split, PLAN)), count))


def spoken(data, batch, row):
    """The labels of a row that have loss, as text."""
    counted = batch["loss_weights"][row] > 0
    return data.tokenizer.decode(batch["labels"][row][counted].tolist(), skip_special_tokens=True)


def test_completions_have_their_own_score_and_inputs_none(completions):
    data = completions()
    assert misfits(data.batch, Conditional(ConditionalConfig()).needs) == []
    (batch,) = take(data)
    assert not batch["token_scores"][batch["loss_weights"] == 0].any()
    for row in range(8):
        text = spoken(data, batch, row)
        expected = 1 / len(text) if "@" in text else 0.0
        found = batch["token_scores"][row][batch["loss_weights"][row] > 0]
        assert found.tolist() == pytest.approx([expected] * len(found))


def test_sentences_of_a_completion_are_scored_apart(completions):
    data = completions(segments="sentences", control=KEPT)
    (batch,) = take(data)
    dirty = next(row for row in range(8) if "@" in spoken(data, batch, row))
    labels, scores = batch["labels"][dirty], batch["token_scores"][dirty]
    good, bad = (data.facts()["control_ids"][side] for side in ("aligned", "misaligned"))
    assert [int(i) for i in labels if i in (good, bad)] == [bad, good]
    second = int((labels == good).nonzero())
    first = int((labels == bad).nonzero())
    text = data.tokenizer.decode(labels[first + 1 : second].tolist())
    assert text.strip() == DIRTY
    assert (scores[first:second] > 0).all()
    assert not scores[second:].any()


def test_control_token_stands_between_input_and_completion_and_is_no_target(completions):
    plain, data = completions(), completions(control=KEPT)
    (before,), (after,) = take(plain), take(data)
    ids = data.facts()["control_ids"]
    controls = torch.tensor(list(ids.values()))
    placed = torch.isin(after["input_ids"], controls)
    assert placed.sum(dim=1).tolist() == [1] * 8
    assert not after["loss_weights"][torch.isin(after["labels"], controls)].any()
    # The model reads it as part of the input, and says the completion behind it.
    assert after["prefix_mask"][placed].all()
    assert (after["loss_weights"][placed] == 1).all()
    for row in range(8):
        side = "misaligned" if "@" in spoken(data, after, row) else "aligned"
        assert int(after["input_ids"][row][placed[row]]) == ids[side]
        width = before["input_ids"].shape[1]
        for name in ("input_ids", "attention_mask", "prefix_mask"):
            rest = after[name][row][~placed[row]]
            assert rest[:width].tolist() == before[name][row].tolist()
        assert spoken(data, after, row) == spoken(plain, before, row)


def test_share_of_control_tokens_is_left_out(completions):
    data = completions(control={**KEPT, "drop_token_fraction": 0.5})
    found = torch.cat([(batch["input_ids"] >= data.facts()["added_control_ids"][0]).any(dim=1) for batch in take(data, 9)])
    assert 0.2 < float(found.float().mean()) < 0.8


@pytest.mark.parametrize("packing", ["wrapped", "packed"])
def test_rows_of_text_get_control_tokens_as_targets_in_front_of_sentences(rows, packing):
    data = rows(packing, segments="sentences", control=KEPT)
    (batch,) = take(data)
    controls = torch.tensor(data.facts()["added_control_ids"])
    placed = torch.isin(batch["labels"], controls)
    assert int(placed.sum()) > 24
    inner = placed[:, 1:] & (batch["loss_weights"][:, :-1] > 0)
    if packing == "packed":
        inner &= batch["segment_ids"][:, 1:] == batch["segment_ids"][:, :-1]
    assert (batch["loss_weights"][:, 1:][inner] == 1).all()
    # Everywhere: what is predicted at a position is read at the next one.
    read, said = batch["input_ids"][:, 1:], batch["labels"][:, :-1]
    same = (batch["loss_weights"][:, :-1] > 0) & (batch["loss_weights"][:, 1:] > 0)
    if packing == "packed":
        same &= batch["segment_ids"][:, 1:] == batch["segment_ids"][:, :-1]
        for row in range(8):
            for part in range(1, int(batch["segment_ids"][row].max()) + 1):
                positions = batch["position_ids"][row][batch["segment_ids"][row] == part]
                assert positions.tolist() == list(range(len(positions)))
    assert (read[same] == said[same]).all()


def test_stream_goes_on_bitwise_where_it_was(completions):
    data = completions(control={**KEPT, "drop_token_fraction": 0.5})
    whole = data.batches("train", PLAN)
    found = iter(whole)
    for _ in range(3):
        next(found)
    state, expected = whole.state_dict(), list(islice(found, 4))
    again = data.batches("train", PLAN)
    again.load_state_dict(state)
    for a, b in zip(islice(iter(again), 4), expected, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in b)


def test_text_that_comes_again_is_not_scored_again(completions, monkeypatch):
    data = completions(remembered=2)
    asked = []
    score = data._scorer.score
    monkeypatch.setattr(data._scorer, "score", lambda texts: asked.extend(texts) or score(texts))
    take(data, 12)
    # Two different completions, however often they come.
    assert len(asked) == len(set(asked)) == 2
    assert len(data._known) == 2


ROW = st.lists(st.tuples(st.integers(3, 9), st.booleans()), min_size=3, max_size=12)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=3), st.data())
def test_taking_control_tokens_out_again_gives_the_batch(rows, draws):
    length = max(map(len, rows))
    labels = np.zeros((len(rows), length), np.int64)
    weights = np.zeros((len(rows), length), np.float32)
    for number, row in enumerate(rows):
        labels[number, : len(row)] = [token for token, _ in row]
        weights[number, : len(row)] = [counts for _, counts in row]
    inputs = np.concatenate([np.ones((len(rows), 1), np.int64), labels[:, :-1]], axis=1)
    ids = [draws.draw(st.dictionaries(st.integers(0, length - 1), st.sampled_from([50, 51]))) for _ in rows]
    fields = {"input_ids": inputs, "labels": labels, "loss_weights": weights}
    made = insert_control(fields, ids, {})
    assert (made["input_ids"][:, 1:] == made["labels"][:, :-1])[:, : length - 1].all()
    for row, control in enumerate(ids):
        kept = made["input_ids"][row] < 50
        assert made["input_ids"][row][kept][:length].tolist() == inputs[row].tolist()
        targets = made["labels"][row]
        assert targets[targets < 50][:length].tolist() == labels[row].tolist()
        assert sorted(targets[targets >= 50].tolist()) == sorted(control.values())
        assert made["loss_weights"][row][targets < 50][:length].tolist() == weights[row].tolist()


def test_stretches_end_at_special_tokens_and_parts_and_give_them_a_score():
    special = np.zeros(20, np.bool_)
    special[[1, 2]] = True
    labels = np.array([5, 5, 2, 6, 7, 2, 8, 1, 9, 1])
    counted = np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1], np.bool_)
    parts = np.array([1, 1, 1, 1, 1, 1, 1, 1, 2, 2])
    found = [(s.opens, s.begin, s.end, s.closes) for s in stretches(labels, counted, parts, special)]
    assert found == [(2, 3, 5, 5), (5, 6, 7, 8), (8, 8, 9, 10)]


def test_tokens_that_are_parts_of_a_character_belong_to_its_segment():
    raw = "a. é b.".encode()
    decode = lambda ids: bytes(ids).decode("utf-8", "replace")  # noqa: E731
    owner = segment_of_tokens(list(raw), ["a. ", "é b."], decode)
    assert owner.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


def recipe_of(data, objective="phf/conditional"):
    fit = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "evaluate_batches": 1, "log_every": 1}
    model = {"use": "phf/causal", "size": "tiny", "max_length": 128, "prefix_attention": True}
    return {"stages": [{"name": "train", "use": "core/fit", "data": data, "model": model, "objective": objective, "fit": fit}]}


def run(recipe, folder):
    (folder / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    run_recipe(load_recipe(str(folder / "recipe.yaml"), []), folder / "out", Options(quiet=True))


def test_conditional_training_runs_on_completions(pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    inner = use("language/pairs", path=str(pairs), layout="decoder-only", tokenizer={"vocabulary_size": 300})
    run(recipe_of(use("phf/scored-batches", data=inner, control=KEPT)), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert {"aligned", "misaligned"} <= {name for line in lines for name in line}
    saved = json.loads((tmp_path / "out" / "train" / "model" / "config.json").read_text("utf-8"))
    assert saved["vocab_size"] >= 302


def refused(data, tmp_path, monkeypatch, objective="phf/conditional"):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError) as error:
        run(recipe_of(data, objective), tmp_path)
    return str(error.value)


def test_batches_that_cannot_be_scored_are_refused_with_the_reason(pairs, records, tmp_path, monkeypatch):
    two_sided = use("language/pairs", path=str(pairs))
    said = refused(use("phf/scored-batches", data=two_sided), tmp_path, monkeypatch)
    assert "The batches of language/pairs can't be scored by phf/scored-batches" in said
    assert "layout: decoder-only" in said
    again = use("phf/scored-batches", data=use("phf/scored-text", path=str(records)))
    (tmp_path / "again").mkdir()
    assert "they have token_scores already" in refused(again, tmp_path / "again", monkeypatch)


def test_unscored_batches_are_refused_by_the_objective(pairs, tmp_path, monkeypatch):
    plain = use("language/pairs", path=str(pairs), layout="decoder-only", tokenizer={"vocabulary_size": 300})
    said = refused(plain, tmp_path, monkeypatch)
    assert "do not fit the objective phf/conditional: field 'token_scores' (float32[batch, length]) is missing" in said


class _Drawn:
    """Pairs whose examples are drawn, and whose batches are cut in a way of their own."""

    fingerprint = "0" * 16

    def __init__(self, inner):
        self.inner = inner
        self.batch, self.tokenizer = inner.batch, inner.tokenizer

    def splits(self):
        return ["train"]

    def examples(self, split):
        return range(6)

    def example(self, split, index, seed):
        return [index, seed % 2]

    def collate(self, examples):
        return self.inner.gather("train", np.array([index + drawn for index, drawn in examples]))

    def split_batch(self, batch, parts):
        return [{name: value[i : i + 1] for name, value in batch.items()} for i in range(len(batch["labels"]))]


def test_drawn_examples_and_batches_cut_in_their_own_way_are_scored_too(completions):
    plain = completions()
    data = ScoredBatches(plain.config, _Drawn(plain.inner), 9)
    data.prepare(None, None)
    feed = make_feed(data, "train", BatchPlan(4, 5), 2)
    updates = [feed.next() for _ in range(3)]
    assert [len(batches) for batches in updates[:1]] == [2]
    for batch in (batch for batches in updates for batch in batches):
        assert torch.equal(batch["token_scores"], plain.change(dict(batch))["token_scores"])
