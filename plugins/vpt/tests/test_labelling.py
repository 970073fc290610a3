"""Labelling windows, cleaning, augmentation of nothing but what is asked."""

import json
import re

import numpy as np
import pytest
import torch
from vpt_helpers import INDEX_IN_FRONT, line, numbered_frames, write_broken_video

from omnitrain.errors import DataError
from omnitrain_control.video import read_frames, write_video
from omnitrain_vpt.configs.stages import CleanConfig, LabelConfig
from omnitrain_vpt.evaluators.actions import action_metrics, action_nll, key_scores
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.paper.windows import plan_windows
from omnitrain_vpt.recordings.format import Problems, ReadingRules, find_segments, read_track
from omnitrain_vpt.recordings.frames import pointer
from omnitrain_vpt.stages.clean import (
    _Cleaning,
    _report,
    clean_runs,
    embedding,
    frame_statistics,
    judge,
    median_filter,
    with_artefacts,
)
from omnitrain_vpt.stages.label import _Labelling, label_frames


@pytest.mark.parametrize("frames", [1, 127, 128, 129, 192, 500])
def test_every_frame_is_labelled_once_with_context_on_both_sides(frames):
    plan = plan_windows(frames)
    begin = plan.starts[plan.owner]
    places = np.arange(frames)
    assert ((places >= begin) & (places < begin + 128)).all()
    before, behind = places - begin, begin + 127 - places
    inner = (places >= 32) & (places < frames - 32)
    assert (before[inner] >= 32).all()
    assert (behind[inner] >= 32).all()
    assert plan.starts[-1] == max(0, frames - 128)


def test_whole_strides_give_the_middle_of_each_window_as_in_the_paper():
    plan = plan_windows(256)
    assert plan.starts.tolist() == [0, 64, 128]
    assert np.flatnonzero(plan.owner == 0).tolist() == list(range(96))
    assert np.flatnonzero(plan.owner == 1).tolist() == list(range(96, 160))
    with pytest.raises(ValueError, match="0 frames"):
        plan_windows(0)


class Reading:
    """Labels a frame with what its brightness says."""

    def log_probs(self, frames):
        number = ((frames.float().mean((-3, -2, -1)) - 8) / 4).round().long()
        pressed = torch.nn.functional.one_hot(number % 20, 20)
        bins = torch.stack([number % 11, (number + 3) % 11], -1)
        chosen = (torch.nn.functional.one_hot(pressed, 2), torch.nn.functional.one_hot(bins, 11))
        return tuple(torch.where(choice == 1, -0.5, -2.0).numpy() for choice in chosen)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_labels_belong_to_their_frames_whatever_the_length(count):
    buttons, camera = label_frames(Reading(), numbered_frames(count, 8), window=8, stride=4, batch_size=3)
    assert buttons.argmax(-1).tolist() == [n % 20 for n in range(count)]
    assert camera[:, 0].tolist() == [n % 11 for n in range(count)]


def labelling(folder, make_recordings):
    config = LabelConfig(data={"use": "vpt/recordings"}, model={"use": "vpt/idm"}, window=8, stride=4)
    return _Labelling(config, Reading(), folder, 16, pointer(None))


def test_labelled_video_is_read_back_identically_by_the_ordinary_reader(tmp_path, make_recordings):
    source = make_recordings(**{"8__a": (25, [line()] * 25)})
    (segment,) = find_segments(source, None, Problems())
    work = labelling(tmp_path / "out", make_recordings)
    assert work.label(segment) == "8/a"
    (labelled,) = find_segments(tmp_path / "out", None, Problems())
    problems = Problems()
    track = read_track(labelled, ReadingRules(), problems)
    assert not problems.counts
    assert track.buttons.argmax(-1).tolist() == [n % 20 for n in range(25)]
    assert CAMERA.encode(track.camera)[:, 0].tolist() == [n % 11 for n in range(25)]
    assert labelled.video.read_bytes() == segment.video.read_bytes()
    before = (tmp_path / "out/8/a.jsonl").stat().st_mtime_ns
    again = labelling(tmp_path / "out", make_recordings)
    again.label(segment)
    assert (tmp_path / "out/8/a.jsonl").stat().st_mtime_ns == before
    assert again.frames == 25


def test_videos_that_can_not_be_read_are_counted(tmp_path, make_recordings):
    source = make_recordings(a=(5, [line()] * 5))
    (source / "a.mp4").write_bytes(b"no video")
    (segment,) = find_segments(source, None, Problems())
    work = labelling(tmp_path / "out", make_recordings)
    assert work.label(segment) is None
    assert "a.mp4 can't be opened" in work.problems.summary()


def test_videos_that_are_cut_are_labelled_and_cleaned_up_to_there_and_counted_each_time(tmp_path, make_recordings):
    source = make_recordings(a=(40, [line()] * 40))
    write_broken_video(source / "a.mp4", 40, INDEX_IN_FRONT)
    (segment,) = find_segments(source, None, Problems())
    found = len(list(read_frames(segment.video)))
    told = rf"^1 videos that are cut short \(\S+a\.mp4: {found} of 40 frames\)$"
    for _ in range(2):
        work = labelling(tmp_path / "labelled", make_recordings)
        assert work.label(segment) == "a"
        assert work.frames == found
        assert re.match(told, work.problems.summary())
        scenes = _Cleaning(cleaning(least_s=0.3, frames_per_s=20.0), embedding("statistics"), tmp_path / "clean")
        scenes.classifier = AlwaysClean()
        verdict = scenes.clean(segment)
        assert verdict.frames == found
        assert [tuple(run) for run in verdict.runs] == [(0, found)]
        assert re.match(told, scenes.problems.summary())
    assert len((tmp_path / "labelled/a.jsonl").read_text().splitlines()) == found


class AlwaysClean:
    """A classifier that finds nothing wrong."""

    def predict(self, features):
        return np.ones(len(features), np.int64)


def test_median_filter_removes_single_frames_and_keeps_edges():
    labels = [1] * 10 + [0] + [1] * 10 + [0] * 10 + [1, 0] * 2
    found = median_filter(np.array(labels), 7)
    assert found[:20].all()
    assert not found[22:31].any()


def test_runs_are_those_of_the_asked_length():
    assert clean_runs(np.array([1, 1, 0, 1, 1, 1, 0, 1]), 2) == [(0, 2), (3, 6)]
    assert clean_runs(np.zeros(3), 1) == []


def cleaning(**settings):
    use = {"use": "vpt/recordings"}
    return CleanConfig(data=use, clean=use, **settings)


def test_videos_below_the_share_are_dropped_and_long_runs_kept():
    config = cleaning(least_s=5.0)
    labels = np.array([1] * 30 + [0] * 5)
    verdict = judge(labels, 7, 35 * 7, 20.0, config)
    assert verdict.share == pytest.approx(30 / 35)
    assert verdict.runs == [(0, 210)]
    assert judge(np.array([1] * 7 + [0] * 3), 7, 70, 20.0, config).runs == []
    assert judge(labels[:10], 7, 70, 20.0, config).runs == []
    with pytest.raises(ValueError, match="must be odd"):
        cleaning(median=4)


def test_videos_with_overlays_are_left_out_and_clean_stretches_are_cut_with_their_lines(tmp_path):
    draw = np.random.default_rng(0)

    def scene(count):
        return draw.integers(60, 120, (count, 36, 36, 3)).astype(np.uint8)

    def overlaid(frames):
        return np.stack([with_artefacts(frame, draw) for frame in frames])

    folder = tmp_path / "web"
    folder.mkdir()
    write_video(folder / "clean.mp4", scene(140))
    write_video(folder / "mostly.mp4", np.concatenate([scene(140), overlaid(scene(28))]))
    write_video(folder / "stream.mp4", overlaid(scene(140)))
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "clean.jsonl").write_text("".join(f"{number}\n" for number in range(140)))
    work = _Cleaning(cleaning(least_s=5.0), embedding("statistics"), tmp_path / "out")
    examples = list(scene(60))
    assert work.train(examples, [with_artefacts(frame, draw) for frame in examples]) > 0.9
    verdicts = {s.name: work.clean(s) for s in find_segments(folder, None, Problems())}
    assert verdicts["broken"] is None
    assert "broken.mp4 can't be opened" in work.problems.summary()
    assert verdicts["stream"].runs == []
    assert verdicts["clean"].runs == [(0, 140)]
    ((begin, end),) = verdicts["mostly"].runs
    assert begin == 0
    assert 120 <= end <= 150
    assert [s.name for s in find_segments(tmp_path / "out", None, Problems())] == ["clean-0000000", "mostly-0000000"]
    assert (tmp_path / "out/clean-0000000.jsonl").read_text().splitlines() == [str(number) for number in range(140)]
    assert len(list(read_frames(tmp_path / "out/mostly-0000000.mp4"))) == end
    report = _report(
        [(s, verdicts[s.name]) for s in find_segments(folder, None, Problems()) if verdicts[s.name]], 1.0, work.problems
    )
    assert report.metrics["hours_kept"].value == pytest.approx((140 + end) / 20 / 3600)
    assert report.metrics["left_out"].value == 1


def test_artefacts_change_the_statistics_of_a_frame():
    generator = np.random.default_rng(0)
    frame = generator.integers(0, 256, (36, 36, 3)).astype(np.uint8)
    plain = frame_statistics(frame)
    assert plain.shape == (168,)
    for _ in range(6):
        changed = with_artefacts(frame, generator)
        assert changed.shape == frame.shape
        assert np.abs(frame_statistics(changed) - plain).max() > 0.05


def test_scores_stand_beside_always_null():
    buttons = np.zeros((10, 20), np.uint8)
    buttons[:4, 0] = 1
    guessed = np.zeros_like(buttons)
    guessed[:2, 0] = 1
    guessed[5, 0] = 1
    scores = key_scores(buttons, guessed)["attack"]
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == 0.5
    assert scores["f1"] == pytest.approx(4 / 7)
    camera = np.full((10, 2), 5)
    camera[3] = [6, 8]
    found = action_metrics((buttons, camera), CAMERA.decode(camera), (guessed, camera)).metrics
    assert found["camera_r2"].value == pytest.approx(1.0)
    assert found["always_null_accuracy"].value == pytest.approx(1 - 4 / 200)
    assert found["keypress_accuracy"].value == pytest.approx(1 - 3 / 200)
    assert found["active_accuracy"].value == 0.5
    json.dumps({name: metric.value for name, metric in found.items()})


def test_likelihood_is_that_of_every_button_and_axis():
    buttons, bins = np.zeros((3, 20), np.uint8), np.full((3, 2), 5)
    buttons[1, 0] = 1
    even = (np.full((3, 20, 2), np.log(0.5)), np.full((3, 2, 11), np.log(1 / 11)))
    assert action_nll(even, (buttons, bins)) == pytest.approx(3 * (20 * np.log(2) + 2 * np.log(11)))
    even[0][1, 0] = np.log([0.9, 0.1])
    assert action_nll(even, (buttons, bins)) == pytest.approx(3 * (20 * np.log(2) + 2 * np.log(11)) + np.log(5))


def test_a_video_without_frames_is_refused(tmp_path):
    write_video(tmp_path / "a.mp4", numbered_frames(2))
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.mp4"):
        label_frames_of(tmp_path)


def label_frames_of(folder):
    from omnitrain_vpt.recordings.format import video_track

    (segment,) = find_segments(folder, None, Problems())
    return video_track(segment)
