"""Data ul2/denoising: mixed batches, streams that resume, splits, settings and errors."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from omnitrain.api import BatchPlan
from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.configs.data import DenoisingConfig

# Chi-square limits at p = 0.001 by degrees of freedom.
LIMITS = {3: 16.3, 6: 22.5}


def take(stream, count):
    batches = iter(stream)
    return [next(batches) for _ in range(count)]


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "settings",
    [{"mixture": "uniform"}, {}, {"mixture": "ul2r"}, {"rates": [3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]}],
    ids=["uniform", "balanced", "ul2r", "user"],
)
def test_one_batch_of_512_mixes_all_denoisers_by_the_rates(make_data, settings):
    data = make_data(**settings)
    batch = take(data.batches("train", BatchPlan(512, 0)), 1)[0]
    counts = np.bincount(batch["task_ids"], minlength=len(data.mixture.denoisers))
    expected = 512 * np.array(data.mixture.probabilities)
    assert ((counts - expected) ** 2 / expected).sum() < LIMITS[len(counts) - 1]
    modes = data.vocabulary.mode_ids
    kinds = [data.mixture.denoisers[task].kind for task in batch["task_ids"].tolist()]
    assert batch["input_ids"][:, 0].tolist() == [modes[kind][0] for kind in kinds]


@pytest.mark.parametrize("layout", ["encoder-decoder", "decoder-only"])
@pytest.mark.parametrize("pack", [False, True])
def test_stream_resumes_in_mid_epoch_to_the_bit(make_data, layout, pack):
    data = make_data(layout=layout, pack=pack)
    plan = BatchPlan(16, 5)
    expected = take(data.batches("train", plan), 7)
    stream = data.batches("train", plan)
    take(stream, 3)
    state = stream.state_dict()
    take(stream, 2)
    resumed = data.batches("train", plan)
    resumed.load_state_dict(state)
    assert all(same(a, b) for a, b in zip(take(resumed, 4), expected[3:], strict=True))
    assert resumed.seen.by_task[:, 0].sum() == sum(len(b["task_ids"]) if not pack else _examples(b) for b in expected)


def _examples(batch):
    segments = batch["target_segment_ids" if "target_segment_ids" in batch else "segment_ids"]
    return int(segments.max(dim=1).values.sum())


def test_iterating_a_stream_again_goes_on_where_it_stood(make_data):
    data = make_data()
    expected = take(data.batches("train", BatchPlan(8, 0)), 4)
    stream = data.batches("train", BatchPlan(8, 0))
    assert all(same(a, b) for a, b in zip(take(stream, 2) + take(stream, 2), expected, strict=True))


def test_state_of_another_mixture_is_refused(make_data):
    state = make_data().batches("train", BatchPlan(8, 0)).state_dict()
    with pytest.raises(DataError, match="resume with the mixture"):
        make_data(mixture="ul2r").batches("train", BatchPlan(8, 0)).load_state_dict(state)


@pytest.mark.parametrize("pack", [False, True])
def test_processes_see_different_segments_and_different_draws(make_data, pack):
    data = make_data(mixture="span_corruption", pack=pack)
    starts = [
        {int(s) for b in take(data.batches("train", BatchPlan(8, 3, rank, 2)), 5) for s in b["example_ids"]} for rank in (0, 1)
    ]
    assert starts[0]
    assert not starts[0] & starts[1]
    tasks = [make_data().batches("train", BatchPlan(64, 3, rank, 2)) for rank in (0, 1)]
    assert not torch.equal(*(take(stream, 1)[0]["task_ids"] for stream in tasks))


def test_every_segment_is_seen_once_per_epoch(make_data):
    data = make_data(mixture="span_corruption")
    size = len(data.corrupter.table("train", data.corrupter.plan(data.mixture.denoisers), 0))
    batches = take(data.batches("train", BatchPlan(size, 0)), 2)
    seen = [sorted(b["example_ids"].tolist()) for b in batches]
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == size
    assert batches[0]["example_ids"].tolist() != batches[1]["example_ids"].tolist()


def test_packing_loses_no_segment_and_repeats_none(make_data):
    data = make_data(mixture="span_corruption", pack=True, packed_inputs_length=256)
    stream = data.batches("train", BatchPlan(4, 0))
    take(stream, 20)
    drawn = stream.state_dict()["source"]["sampler"]["counts"][0]
    assert stream.seen.by_task[0, 0] + len(stream.state_dict()["waiting"]["tasks"]) == drawn


@pytest.mark.parametrize("pack", [False, True])
def test_valid_split_ends_and_is_the_same_again(make_data, pack):
    data = make_data(pack=pack)
    plan = BatchPlan(8, 1, train=False)
    first, second = list(data.batches("valid", plan)), list(data.batches("valid", plan))
    assert len(first) > 1
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    segments = data.corrupter.plan(data.mixture.denoisers)
    sizes = [len(data.corrupter.table("valid", segments, i)) for i in range(7)]
    rows = sum(_examples(b) if pack else len(b["task_ids"]) for b in first)
    assert rows == int(np.ceil(np.dot(sizes, data.mixture.probabilities)))


def test_validation_gives_every_process_the_same_number_of_batches(make_data):
    data = make_data()
    counts = [len(list(data.batches("valid", BatchPlan(8, 1, rank, 3, train=False)))) for rank in range(3)]
    assert len(set(counts)) == 1


def test_sharded_denoisers_train_on_documents_of_their_own(make_data):
    data = make_data(mixture="custom", denoisers=[{"kind": "R", "mean_span": 3.0, "rate": 0.15}, {"kind": "S", "rate": 0.25}],
                     shard_documents=True, join_documents=8)  # fmt: skip
    batch = take(data.batches("train", BatchPlan(400, 0)), 1)[0]
    documents = data.corrupter.documents["train"]
    blocks = (np.searchsorted(documents.starts, batch["example_ids"], side="right") - 1) // 8
    assert (blocks % 2 == batch["task_ids"].numpy()).all()


def test_unsharded_denoisers_share_all_documents(make_data):
    data = make_data(mixture="sclm", join_documents=8)
    batch = take(data.batches("train", BatchPlan(600, 0)), 1)[0]
    documents = data.corrupter.documents["train"]
    blocks = (np.searchsorted(documents.starts, batch["example_ids"], side="right") - 1) // 8
    tasks = batch["task_ids"].numpy()
    assert set(blocks[tasks == 0]) & set(blocks[tasks == 1])


@pytest.mark.parametrize(
    "change",
    [{"mixture": "uniform"}, {"inputs_length": 65}, {"rates": [1.0] * 7}, {"modes": {"style": "none"}}, {"join_documents": 3},
     {"layout": "decoder-only"}, {"pack": True}, {"shard_documents": True}, {"targets_length": 80}],
)  # fmt: skip
def test_fingerprint_follows_the_settings(make_data, change):
    base = make_data(prepare=False)
    assert make_data(prepare=False, **change).fingerprint != base.fingerprint
    assert make_data(prepare=False).fingerprint == base.fingerprint


def test_fingerprint_follows_the_text(make_data, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({"text": f"{n} another text"}) + "\n" for n in range(50)), "utf-8")
    assert make_data(prepare=False, text=other).fingerprint != make_data(prepare=False).fingerprint


def test_tokenizer_gets_as_many_sentinels_as_the_mixture_needs(make_data):
    data = make_data(inputs_length=128, tokenizer={"vocabulary_size": 700})
    assert data.vocabulary.sentinels == 32
    assert data.vocabulary.first_sentinel == len(data.tokenizer) - 1


def test_too_few_sentinels_are_refused_with_the_number_needed(make_data):
    with pytest.raises(UsageError, match="needs 128 sentinels"):
        make_data(inputs_length=512, modes={"style": "none"}, tokenizer={"vocabulary_size": 700, "sentinels": 100})


def test_targets_that_do_not_fit_are_refused_before_any_text_is_read(make_data, tmp_path):
    with pytest.raises(UsageError, match=r"X\(3,0.5\) needs targets of 512 tokens.*set targets_length to at least 512"):
        make_data(prepare=False, text=tmp_path / "absent", inputs_length=512, targets_length=511)


@pytest.mark.parametrize(
    ("denoiser", "message"),
    [
        ({"kind": "R", "mean_span": 3.0, "rate": 1.0}, "R denoiser rate is 1.0; expected at least 0 and below 1"),
        ({"kind": "S", "rate": 0.7}, "use 0 to 0.5 for a prefix LM, 1 for a causal LM"),
        ({"kind": "X", "rate": 0.5}, "X denoiser mean_span is None"),
        ({"kind": "S", "mean_span": 3.0, "rate": 0.25}, "S denoiser has no mean_span"),
    ],
)
def test_impossible_denoisers_are_refused(make_data, denoiser, message):
    with pytest.raises(UsageError, match=message):
        make_data(prepare=False, mixture="custom", denoisers=[denoiser])


def test_rate_of_zero_leaves_inputs_whole_and_targets_empty(make_data):
    data = make_data(mixture="custom", denoisers=[{"kind": "R", "mean_span": 3.0, "rate": 0.0}])
    batch = take(data.batches("train", BatchPlan(4, 0)), 1)[0]
    assert (batch["loss_weights"].sum(dim=1) == 2).all()


def test_span_longer_than_the_text_is_one_span(make_data):
    data = make_data(mixture="custom", denoisers=[{"kind": "X", "mean_span": 5000.0, "rate": 0.5}])
    batch = take(data.batches("train", BatchPlan(4, 0)), 1)[0]
    sentinel = data.vocabulary.first_sentinel
    assert ((batch["input_ids"] == sentinel).sum(dim=1) == 1).all()
    assert (batch["input_ids"] != sentinel - 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixture": "best"}, "mixture"),
        ({"mixture": "custom"}, "custom mixture needs it"),
        ({"denoisers": [{"kind": "S", "rate": 0.25}]}, "belongs to mixture: custom"),
        ({"modes": {"R": "[A]", "X": "[A]"}}, "three different texts"),
        ({"modes": {"S": ""}}, "can't be empty"),
        ({"rates": [-1.0, 2.0]}, "rates"),
        ({"packed_inputs_length": 2048}, "belong to pack: true"),
        ({"pack": True, "inputs_length": 64, "packed_inputs_length": 32}, "below inputs_length 64"),
        ({"span": 3}, "span"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        DenoisingConfig.model_validate(settings)


def test_wrong_number_of_rates_is_refused(make_data):
    with pytest.raises(UsageError, match="7 denoisers and 2 rates"):
        make_data(prepare=False, rates=[1.0, 2.0])


def test_packed_targets_that_hold_no_example_are_refused(make_data):
    with pytest.raises(UsageError, match="set it to at least 65"):
        make_data(pack=True, packed_targets_length=20)


def test_unknown_split_and_too_short_text_are_named(make_data, tmp_path):
    with pytest.raises(DataError, match="no split 'dev'; there are train, valid, test"):
        take(make_data().batches("dev", BatchPlan(2, 0)), 1)
    short = tmp_path / "short.jsonl"
    short.write_text("".join(json.dumps({"text": f"abc {n}"}) + "\n" for n in range(60)), "utf-8")
    with pytest.raises(DataError, match="too short for denoiser"):
        make_data(text=short, shortest_segment=50, mixture="prefix_lm")


def test_using_data_before_it_is_prepared_is_an_error(make_data):
    with pytest.raises(RuntimeError, match="not prepared"):
        make_data(prepare=False).facts()


def test_facts_name_the_denoisers(make_data):
    facts = make_data().facts()
    assert facts["group_names"]["task_ids"][0] == "R(3,0.15)"
    assert facts["pad_id"] == 0


@pytest.mark.parametrize("layout", ["encoder-decoder", "decoder-only"])
@pytest.mark.parametrize("pack", [False, True])
def test_single_examples_collate_to_the_declared_fields(make_data, layout, pack):
    data = make_data(layout=layout, pack=pack)
    examples = [row for row, _ in zip(data.examples("valid"), range(5), strict=False)]
    batch = data.collate(examples)
    assert set(batch) == set(data.batch)
    for name, spec in data.batch.items():
        dtype, _, dims = spec.partition("[")
        assert batch[name].dtype == getattr(torch, dtype)
        assert batch[name].ndim == dims.count(",") + 1
        for row, example in enumerate(examples):
            alone = example[name][0]
            assert torch.equal(batch[name][row][..., : len(alone)] if alone.ndim else batch[name][row], alone)
    wide = batch["loss_weights"].shape[1] - examples[0]["loss_weights"].shape[1]
    assert batch["loss_weights"][0, batch["loss_weights"].shape[1] - wide :].sum() == 0


@pytest.mark.parametrize("layout", ["encoder-decoder", "decoder-only"])
@pytest.mark.parametrize("pack", [False, True])
def test_a_row_is_explained_with_its_denoiser_mode_and_loss(make_data, layout, pack):
    data = make_data(layout=layout, pack=pack, packed_inputs_length=192 if pack else None)
    batch = take(data.batches("train", BatchPlan(2, 0)), 1)[0]
    shown = data.explain(batch, 0)
    names = {denoiser.name for denoiser in data.mixture.denoisers}
    assert set(shown["denoiser"][0].text.split(", ")) <= names
    assert any(mode in "".join(p.text for p in shown["inputs"]) for mode in ("[R]", "[X]", "[S]"))
    targets = shown["labels" if layout == "decoder-only" else "targets"]
    text = "".join(p.text for p in targets if p.role == "loss")
    kept = batch["labels"][0][batch["loss_weights"][0] > 0]
    assert text == data.tokenizer.decode(kept, skip_special_tokens=False)
