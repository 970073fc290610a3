"""Video as people have it: other rates, endings, sizes and clocks; lines that a recorder broke."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest
from helpers import LABELLING, Reading, cleaning, labelled, line, numbered_frames

from omnitrain.api import BatchPlan
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError
from omnitrain_control.video import probe_video, read_frames, write_video
from omnitrain_vpt.configs.data import RecordingsConfig
from omnitrain_vpt.data.recordings import build
from omnitrain_vpt.recordings.format import ReadingProblems, ReadingRules, find_segments, read_lines, read_track, write_lines
from omnitrain_vpt.recordings.frames import pointer
from omnitrain_vpt.recordings.rates import frames_at, step_frames
from omnitrain_vpt.recordings.work import WORK, finished_videos, leave_recordings, tell_problems
from omnitrain_vpt.stages.clean import Cleaner, Verdict, _cut, _report, embedding
from omnitrain_vpt.stages.label import label, label_video

COUNT = 56
VARIABLE = [0]
for _step in range(1, COUNT):
    VARIABLE.append(VARIABLE[-1] + (50 if _step <= 20 else 150 if _step <= 40 else 20))
PAUSE = [50 * number + (10_000 if number >= 30 else 0) for number in range(COUNT)]


def write_timed(path, times):
    """Write numbered frames that are shown at times in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv444p"
        stream.options = {"crf": "12", "g": "12", "bf": "3"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, picture in zip(times, numbered_frames(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def numbers(frames):
    return [round((float(frame.mean()) - 8) / 4) for frame in frames]


def recordings(folder, context, **settings):
    data = build(RecordingsConfig(path=str(folder), image_size=32, steps=8, valid_fraction=0.0, **settings), None)
    data.prepare(context.workspace, context)
    return data


@pytest.mark.parametrize("times", [VARIABLE, PAUSE], ids=["variable", "pause"])
@pytest.mark.parametrize("cache", [True, False], ids=["cached", "streamed"])
def test_actions_stand_beside_their_frames_whatever_the_clock(tmp_path, context, times, cache):
    write_timed(tmp_path / "a.mp4", times)
    write_lines(tmp_path / "a.jsonl", [line(["w"])] * COUNT)
    windows = recordings(tmp_path, context, layout="windows", cache=cache)
    for start in (0, 13, 30, 48):
        assert numbers(windows.window(0, start)["frames"].numpy()) == list(range(start, start + 8))


def test_a_stream_that_goes_on_gives_what_an_uninterrupted_one_gives_whatever_the_clock(tmp_path, context):
    write_timed(tmp_path / "a.mp4", VARIABLE)
    write_lines(tmp_path / "a.jsonl", [line(["w"])] * COUNT)
    plan = BatchPlan(1, 0, train=False)
    through = [
        numbers(batch["frames"].numpy()[0]) for batch in recordings(tmp_path, context, cache=False).batches("train", plan)
    ]
    assert through == [list(range(start, start + 8)) for start in range(0, COUNT, 8)]
    stopped = recordings(tmp_path, context, cache=False).batches("train", plan)
    batches = iter(stopped)
    for _ in range(4):
        next(batches)
    again = recordings(tmp_path, context, cache=False).batches("train", plan)
    again.load_state_dict(stopped.state_dict())
    assert [numbers(batch["frames"].numpy()[0]) for batch in again] == through[4:]


@pytest.mark.parametrize("times", [VARIABLE, PAUSE], ids=["variable", "pause"])
def test_a_stretch_that_is_cut_holds_the_frames_of_its_lines(tmp_path, times):
    write_timed(tmp_path / "a.mp4", times)
    write_lines(tmp_path / "a.jsonl", [line(tick=number) for number in range(COUNT)])
    text = (tmp_path / "a.jsonl").read_text("utf-8")
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8-sig")
    (segment,) = find_segments(tmp_path, None, ReadingProblems())
    out = tmp_path / "out"
    _cut(segment, 20.0, out / "a-20", 20, 40)
    assert numbers(read_frames(out / "a-20.mp4")) == list(range(20, 40))
    assert [found["tick"] for found in read_lines(out / "a-20.jsonl", ReadingProblems())] == list(range(20, 40))
    _cut(segment, 20.0, out / "a-00", 0, 10)
    assert (out / "a-00.jsonl").read_bytes()[:1] == b"{"


class AlwaysClean:
    def predict(self, features):
        return np.ones(len(features), np.int64)


def cleaned(run, folder, **settings):
    cleaner = Cleaner(cleaning(**settings), embedding("statistics"), run.ledger(WORK).folder)
    cleaner.classifier = AlwaysClean()
    segments = find_segments(folder, None, ReadingProblems())
    found = list(finished_videos(run, "cleaning", segments, cleaner.clean, cleaner.problems))
    fields = ("share", "runs", "frames", "rate")
    return _report([(s, Verdict(*(told[name] for name in fields))) for s, told in found], 1.0, cleaner.problems), cleaner


def test_hours_are_those_of_each_videos_own_rate(run, tmp_path):
    write_video(tmp_path / "fast.mp4", numbered_frames(60), rate=60)
    write_video(tmp_path / "slow.mp4", numbered_frames(60), rate=0.5)
    report, _ = cleaned(run, tmp_path, least_s=0.5)
    assert report.metrics["hours_seen"].value == pytest.approx((1 + 120) / 3600)
    assert report.metrics["hours_kept"].value == pytest.approx((1 + 120) / 3600)
    assert probe_video(run.ledger(WORK).folder / "slow-0000000.mp4").rate == pytest.approx(0.5)


def test_odd_sizes_are_cleaned_beside_others_and_what_can_not_be_read_is_left_out(run, tmp_path):
    write_video(tmp_path / "good.mp4", numbered_frames(40))
    write_video(tmp_path / "odd.mp4", np.concatenate([numbered_frames(40), np.zeros((40, 1, 32, 3), np.uint8)], 1)[..., :31, :])
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 500)
    report, cleaner = cleaned(run, tmp_path, least_s=0.5)
    assert [row[0] for row in report.tables["videos"].rows] == ["good", "odd"]
    assert "broken.mp4 can't be opened" in cleaner.problems.summary()
    assert probe_video(run.ledger(WORK).folder / "odd-0000000.mp4").height == 33


def test_video_of_every_ending_is_found_and_hidden_files_are_not(tmp_path):
    for name in ("a.MP4", "b.mkv", "c.webm", "d.mp4", "._d.mp4", ".trash/e.mp4", "__MACOSX/f.mp4", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for name in ("a.jsonl", "b.JSONL"):
        (tmp_path / name).write_text("{}\n")
    found = find_segments(tmp_path, None, ReadingProblems())
    assert [(segment.video.name, segment.lines is not None) for segment in found] == [
        ("a.MP4", True), ("b.mkv", True), ("c.webm", False), ("d.mp4", False),
    ]  # fmt: skip
    (tmp_path / "d.mkv").write_bytes(b"")
    with pytest.raises(DataError, match=r"d\.mkv and \S+d\.mp4 have one name.*rename one"):
        find_segments(tmp_path, None, ReadingProblems())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file that ends with \.mp4, \.mkv"):
        find_segments(tmp_path / "empty", None, ReadingProblems())


def test_labelled_video_keeps_its_ending(run, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_timed(tmp_path / "a.mkv", range(0, 600, 50))
    (tmp_path / "a.mkv").rename(source / "a.MKV")
    (told,) = labelled(run, find_segments(source, None, ReadingProblems()), ReadingProblems())
    assert told["frames"] == 12
    leave_recordings(run, ["a"])
    left, problems = run.directory / "data", ReadingProblems()
    for place in (left, left / "index.json"):
        (found,) = find_segments(place, None, problems)
        assert found.video == left / "a.mkv"
        assert found.video.read_bytes() == (source / "a.MKV").read_bytes()
        assert found.lines == left / "a.jsonl"
    assert not problems.counts


def test_frames_are_read_at_numbers(tmp_path):
    write_timed(tmp_path / "a.mp4", range(0, 600, 50))
    for wanted, given in (([], []), ([3, 3, 7], [3, 3, 7]), ([10, 11, 12], [10, 11])):
        assert numbers(frames_at(tmp_path / "a.mp4", np.array(wanted, np.int64))) == given


@pytest.mark.parametrize("place", [float("inf"), float("nan"), 1e300, -1e9])
@pytest.mark.parametrize("field", ["x", "dx"])
def test_a_mouse_at_no_place_makes_a_broken_line_and_the_others_stay(make_recordings, field, place):
    broken = line(["w"], isGuiOpen=True)
    broken["mouse"][field] = place
    folder, problems = make_recordings(a=(3, [line(["w"]), broken, line(["w"])])), ReadingProblems()
    (segment,) = find_segments(folder, None, problems)
    assert read_track(segment, ReadingRules(), problems).frames.tolist() == [0, 2]
    assert re.match(r"^1 malformed lines \(\S+a\.jsonl:2\)$", problems.summary())


def test_a_slot_at_infinity_makes_a_broken_line(make_recordings):
    folder, problems = make_recordings(a=(2, [line(["w"]), line(["w"], hotbar=float("inf"))])), ReadingProblems()
    (segment,) = find_segments(folder, None, problems)
    assert read_track(segment, ReadingRules(), problems).frames.tolist() == [0]
    assert problems.counts == {"malformed lines": 1}


def at_rate(run, folder, rule):
    config = LABELLING.model_copy(update={"other_rates": rule})
    problems, out = ReadingProblems(), run.ledger(WORK).folder

    def work(segment):
        return label_video(segment, out, Reading(), config, 16, pointer(None), 20.0)

    segments = find_segments(folder, None, problems)
    return [told for _, told in finished_videos(run, "labelling", segments, work, problems)], problems, out


def test_video_of_another_rate_than_the_models_steps_is_left_out_and_told(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_video(source / "fast.mp4", numbered_frames(45), rate=60)
    write_video(source / "good.mp4", numbered_frames(20))
    with scratch_run() as run:
        found, problems, _ = at_rate(run, source, "leave_out")
    assert [told["frames"] for told in found] == [20]
    words = r"^1 videos whose frames are not the model's steps \(\S+fast\.mp4: 60 frames a second\)$"
    assert re.match(words, problems.summary())


def test_video_of_another_rate_is_read_at_the_models_steps_where_that_is_asked_for(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_video(source / "fast.mp4", numbered_frames(45), rate=60)
    write_timed(source / "variable.mp4", [time // 4 for time in VARIABLE])
    write_video(source / "slow.mp4", numbered_frames(10), rate=5)
    with scratch_run() as run:
        found, problems, out = at_rate(run, source, "resample")
        assert [told["frames"] for told in found] == [15, len(step_frames(source / "variable.mp4", 20.0))]
        assert numbers(read_frames(out / "fast.mp4")) == list(range(0, 45, 3))
        assert probe_video(out / "fast.mp4").rate == 20
        segments = find_segments(out, None, problems)
        labels = read_track(segments[0], ReadingRules(), problems).buttons.argmax(-1)
        assert labels.tolist() == [number % 20 for number in range(0, 45, 3)]
    assert re.search(r"slow\.mp4: 5 frames a second, fewer than steps", problems.summary())


def test_every_frame_is_a_step_where_that_is_asked_for_and_the_rate_is_told(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_video(source / "fast.mp4", numbered_frames(45), rate=60)
    with scratch_run() as run:
        (told,), _, _ = at_rate(run, source, "take")
    assert (told["frames"], told["other_rate"]) == (45, "60 frames a second")


def test_recordings_tell_the_rate_that_most_have_and_which_have_another(tmp_path, context):
    for name, rate in (("a", 20), ("b", 20), ("c", 60)):
        write_video(tmp_path / f"{name}.mp4", numbered_frames(20), rate=rate)
        write_lines(tmp_path / f"{name}.jsonl", [line(["w"])] * 20)
    for cache in (True, False):
        facts = recordings(tmp_path, context, cache=cache).facts()
        assert facts["rate"] == 20
        assert "1 of 3 recordings don't have the 20 frames a second that most have (c)" in facts["left_out"]


def test_what_pictures_lose_is_told_and_breaks_no_recording(tmp_path, context):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuva420p"
        for picture in numbered_frames(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuva420p")))
        container.mux(stream.encode())
    write_lines(tmp_path / "a.jsonl", [line(["w"])] * 12)
    data = recordings(tmp_path, context, reading={"broken": "refuse"})
    assert re.search(r"1 videos whose pictures lose something \(\S+a\.mkv: transparency dropped\)", data.problems)


def test_a_dry_run_tells_the_rates_of_video_that_is_there(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    for name, rate in (("a", 20), ("b", 20), ("c", 60)):
        write_video(source / f"{name}.mp4", numbered_frames(6), rate=rate)
    (source / "d.mp4").write_bytes(b"no video")
    config = RecordingsConfig(path=str(source))
    with scratch_run(build=lambda use, facts: build(config, None)) as run:
        (line,) = label.plan(LABELLING, run)
        monkeypatch.setattr("omnitrain_vpt.stages.label.LOOKED_AT", 2)
        (first,) = label.plan(LABELLING, run)
    assert "20 in 2 videos, 60 in 1 videos, unreadable in 1 videos" in line
    assert line.endswith("leave_out")
    assert "the first" not in line
    assert "20 in 2 videos (the first 2 of 4);" in first


def test_what_is_left_out_is_told_beside_the_report():
    told, problems = [], ReadingProblems()
    problems.add("videos that can't be read", "a.mp4")

    class Telling:
        def event(self, name, **details):
            told.append((name, details))

    tell_problems(Telling(), problems)
    tell_problems(Telling(), ReadingProblems())
    assert told == [("left out", {"problems": "1 videos that can't be read (a.mp4)"})]
