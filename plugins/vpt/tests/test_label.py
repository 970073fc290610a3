"""Labels written beside the video."""

import pytest
from helpers import Reading, labelling, line, numbered_frames

from omnitrain_vpt.models.labeller import label_frames
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.recordings.format import ReadingProblems, ReadingRules, find_segments, read_track


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_labels_belong_to_their_frames_whatever_the_length(count):
    buttons, camera = label_frames(Reading(), numbered_frames(count, 8), window=8, stride=4, batch_size=3)
    assert buttons.argmax(-1).tolist() == [n % 20 for n in range(count)]
    assert camera[:, 0].tolist() == [n % 11 for n in range(count)]


def test_labelled_video_is_read_back_identically_by_the_ordinary_reader(tmp_path, make_recordings):
    source = make_recordings(**{"8__a": (25, [line()] * 25)})
    (segment,) = find_segments(source, None, ReadingProblems())
    work = labelling(tmp_path / "out")
    assert work.label(segment) == "8/a"
    (labelled,) = find_segments(tmp_path / "out", None, ReadingProblems())
    problems = ReadingProblems()
    track = read_track(labelled, ReadingRules(), problems)
    assert not problems.counts
    assert track.buttons.argmax(-1).tolist() == [n % 20 for n in range(25)]
    assert CAMERA.encode(track.camera)[:, 0].tolist() == [n % 11 for n in range(25)]
    assert labelled.video.read_bytes() == segment.video.read_bytes()
    before = (tmp_path / "out/8/a.jsonl").stat().st_mtime_ns
    again = labelling(tmp_path / "out")
    again.label(segment)
    assert (tmp_path / "out/8/a.jsonl").stat().st_mtime_ns == before
    assert again.frames == 25


def test_videos_that_can_not_be_read_are_counted(tmp_path, make_recordings):
    source = make_recordings(a=(5, [line()] * 5))
    (source / "a.mp4").write_bytes(b"no video")
    (segment,) = find_segments(source, None, ReadingProblems())
    work = labelling(tmp_path / "out")
    assert work.label(segment) is None
    assert "a.mp4 can't be opened" in work.problems.summary()
