"""Which stretches of video are clean, and what is cut."""

import re

import numpy as np
import pytest
from helpers import INDEX_IN_FRONT, cleaning, labelled, line, write_broken_video

from omnitrain.engine import scratch_run
from omnitrain_control.video import read_frames, write_video
from omnitrain_vpt.paper.cleaning import clean_runs, median_filter
from omnitrain_vpt.recordings.format import ReadingProblems, find_segments
from omnitrain_vpt.recordings.work import WORK, finished_videos
from omnitrain_vpt.stages.clean import Cleaner, Verdict, _report, embedding, frame_statistics, judge, with_artefacts


def test_videos_that_are_cut_are_labelled_and_cleaned_up_to_there_and_counted_each_time(make_recordings):
    source = make_recordings(a=(40, [line()] * 40))
    write_broken_video(source / "a.mp4", 40, INDEX_IN_FRONT)
    segments = find_segments(source, None, ReadingProblems())
    found = len(list(read_frames(segments[0].video)))
    told = rf"^1 videos that are cut short \(\S+a\.mp4: {found} of 40 frames\)$"
    with scratch_run(name="label") as labels, scratch_run(name="clean") as scenes:
        for _ in range(2):
            problems = ReadingProblems()
            assert [video["frames"] for video in labelled(labels, segments, problems)] == [found]
            assert re.match(told, problems.summary())
            config = cleaning(least_s=0.3, frames_per_s=20.0)
            cleaner = Cleaner(config, embedding("statistics"), scenes.ledger(WORK).folder)
            cleaner.classifier = AlwaysClean()
            ((_, video),) = finished_videos(scenes, "cleaning", segments, cleaner.clean, cleaner.problems)
            assert video["frames"] == found
            assert video["runs"] == [[0, found]]
            assert re.match(told, cleaner.problems.summary())
        assert len((labels.ledger(WORK).folder / "a.jsonl").read_text().splitlines()) == found


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


def test_videos_with_overlays_are_left_out_and_clean_stretches_are_cut_with_their_lines(run, tmp_path):
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
    out = run.ledger(WORK).folder
    work = Cleaner(cleaning(least_s=5.0), embedding("statistics"), out)
    examples = list(scene(60))
    assert work.train(examples, [with_artefacts(frame, draw) for frame in examples]) > 0.9
    found = list(finished_videos(run, "cleaning", find_segments(folder, None, ReadingProblems()), work.clean, work.problems))
    runs = {segment.name: told["runs"] for segment, told in found}
    assert set(runs) == {"clean", "mostly", "stream"}
    assert "broken.mp4 can't be opened" in work.problems.summary()
    assert runs["stream"] == []
    assert runs["clean"] == [[0, 140]]
    ((begin, end),) = runs["mostly"]
    assert begin == 0
    assert 120 <= end <= 150
    assert [s.name for s in find_segments(out, None, ReadingProblems())] == ["clean-0000000", "mostly-0000000"]
    assert (out / "clean-0000000.jsonl").read_text().splitlines() == [str(number) for number in range(140)]
    assert len(list(read_frames(out / "mostly-0000000.mp4"))) == end
    verdicts = [(segment, Verdict(told["share"], told["runs"], told["frames"])) for segment, told in found]
    report = _report(verdicts, 1.0, work.problems)
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
