"""Data: streams that go on row by row, windows, both ways of decoding."""

import numpy as np
import pytest
import torch
from helpers import line, small_policy

from omnitrain.api import BatchPlan
from omnitrain.errors import DataError, Unreachable
from omnitrain_vpt.configs.data import AugmentConfig, RecordingsConfig
from omnitrain_vpt.data.augment import augmented
from omnitrain_vpt.data.recordings import build, held_out
from omnitrain_vpt.models.network.policy import JOINT_HEADS
from omnitrain_vpt.objectives import Cloning


def prepared(folder, context, **settings):
    config = {"path": str(folder), "image_size": 16, "steps": 8, "valid_fraction": 0.0, **settings}
    data = build(RecordingsConfig(**config), context)
    data.prepare(context.workspace, context)
    return data


def number_of(frames):
    """The numbers that frames tell by their brightness."""
    return ((frames.float().mean((-3, -2, -1)) - 8) / 4).round().int()


@pytest.fixture
def three(make_recordings, walking):
    return make_recordings(**{name: (count, walking(count)) for name, count in (("a", 5), ("b", 20), ("c", 33))})


@pytest.mark.parametrize("cache", [True, False])
def test_every_frame_of_every_clip_comes_once_and_rows_stay_with_their_clip(three, context, cache):
    data = prepared(three, context, cache=cache)
    seen, current = {}, {}
    for batch in data.batches("train", BatchPlan(2, 0, train=False)):
        for row, clip in enumerate(batch["example_ids"].tolist()):
            if clip < 0:
                assert not batch["loss_weights"][row].any()
                continue
            assert batch["first"][row] == (clip not in seen)
            assert batch["first"][row] or current[row] == clip
            current[row] = clip
            weighted = batch["loss_weights"][row] > 0
            seen.setdefault(clip, []).extend(number_of(batch["frames"][row][weighted]).tolist())
    assert seen == {0: list(range(5)), 1: list(range(20)), 2: list(range(33))}


def test_chunks_of_some_clips_go_through_those_alone_and_processes_share_them(three, context):
    data = prepared(three, context)

    def clips(numbers, **place):
        found = data.chunks(numbers, BatchPlan(1, 0, train=False, **place))
        return sorted({int(clip) for batch in found for clip in batch["example_ids"]})

    assert clips([0, 2]) == [0, 2]
    assert [clips([0, 1, 2], rank=rank, world=2) for rank in (0, 1)] == [[0, 2], [1]]
    assert clips([1], rank=1, world=2) == [1]


def test_training_streams_are_endless_shuffled_by_epoch_and_the_same_for_the_same_seed(three, context):
    data = prepared(three, context)

    def clips(seed):
        stream = iter(data.batches("train", BatchPlan(2, seed)))
        return [next(stream)["example_ids"].tolist() for _ in range(40)]

    assert clips(0) == clips(0)
    assert clips(0) != clips(1)
    assert {clip for ids in clips(0) for clip in ids} == {0, 1, 2}


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_stream_goes_on_from_its_state(three, context, taken):
    data = prepared(three, context)
    stream, other = (data.batches("train", BatchPlan(2, 3)) for _ in range(2))
    batches = iter(stream)
    for _ in range(taken):
        next(batches)
    other.load_state_dict(stream.state_dict())
    for one, two in zip((next(batches) for _ in range(6)), iter(other), strict=False):
        assert all(np.array_equal(np.asarray(one[name]), np.asarray(two[name])) for name in one)


def test_decoding_on_the_way_gives_the_same_batches_as_the_cache(three, context):
    streams = [prepared(three, context, cache=cache).batches("train", BatchPlan(2, 0)) for cache in (True, False)]
    for _, one, two in zip(range(12), *streams, strict=False):
        assert torch.equal(one["frames"], two["frames"])
        assert torch.equal(one["joint_buttons"], two["joint_buttons"])


def test_streams_drop_null_actions_and_windows_keep_them(make_recordings, context):
    lines = [line(["w"]) if number % 2 else line() for number in range(20)]
    folder = make_recordings(a=(20, lines))
    assert len(prepared(folder, context).ready().tracks[0]) == 10
    windows = prepared(folder, context, layout="windows")
    assert len(windows.ready().tracks[0]) == 20
    assert windows.collate([windows.example("train", 0, 0)])["buttons"].shape == (1, 8, 20)


def test_a_clip_shorter_than_a_window_repeats_its_last_frame_without_weight(make_recordings, walking, context):
    data = prepared(make_recordings(a=(3, walking(3))), context, layout="windows")
    window = data.window(0, 0)
    assert number_of(window["frames"]).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert window["loss_weights"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


def test_recordings_are_held_out_by_name_and_limited_without_changing_the_held_out(three, context):
    names = [f"clip-{n}" for n in range(200)]
    found = held_out(names, 0.2)
    assert 20 < len(found) < 60
    assert {names[n] for n in held_out(names[:100], 0.2)} <= {names[n] for n in found}
    assert held_out(["x", "y"], 0.01) in ([0], [1])
    whole = prepared(three, context, valid_fraction=0.3)
    fewer = prepared(three, context, valid_fraction=0.3, max_clips=1)
    assert whole.clip_numbers("valid") == fewer.clip_numbers("valid")
    assert len(fewer.clip_numbers("train")) == 1
    with pytest.raises(DataError, match="no split 'test'"):
        whole.clip_numbers("test")


def test_only_the_start_of_every_clip_is_used_where_asked(three, context):
    assert [len(t) for t in prepared(three, context, max_frames=10).ready().tracks] == [5, 10, 10]


def test_recordings_on_another_machine_are_told_apart_from_missing_ones(context, tmp_path):
    for elsewhere, kind in ((True, Unreachable), (False, DataError)):
        data = build(RecordingsConfig(path=str(tmp_path / "none"), elsewhere=elsewhere), context)
        with pytest.raises(kind, match="none is"):
            data.prepare(context.workspace, context)


def test_augmentation_is_one_draw_for_a_whole_window_and_follows_the_generator():
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8).repeat(4, 0)
    one, two = (augmented(frames, AugmentConfig(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)
    assert all(np.array_equal(one[0], frame) for frame in one)
    assert not np.array_equal(one, frames)
    nothing = AugmentConfig(hue=0, saturation=0, brightness=0, contrast=0, rotation=0, scale=0, shear=0, shift=0)
    assert np.abs(augmented(frames, nothing, np.random.default_rng(5)).astype(int) - frames).max() <= 1


@torch.no_grad()
def test_state_carried_over_chunks_gives_the_same_loss_as_one_long_pass(three, context):
    policy, objective = small_policy(32, 8, JOINT_HEADS), Cloning()
    short, long = (prepared(three, context, image_size=8, steps=steps) for steps in (8, 40))
    totals = []
    for data in (short, long):
        state, total = policy.initial_state(1), 0.0
        for batch in data.batches("train", BatchPlan(1, 0, train=False)):
            loss, state = objective.step(policy, batch, state)
            total += float(loss.total)
        totals.append(total)
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
