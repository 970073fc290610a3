"""Labels written beside the video."""

import pytest
from helpers import LABELLING, Reading, labelled, line, numbered_frames

from omnitrain_vpt.models.labeller import label_frames
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.recordings.format import ReadingProblems, ReadingRules, find_segments, read_track
from omnitrain_vpt.recordings.frames import pointer
from omnitrain_vpt.recordings.work import WORK
from omnitrain_vpt.stages.label import label_video


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_labels_belong_to_their_frames_whatever_the_length(count):
    buttons, camera = label_frames(Reading(), numbered_frames(count, 8), window=8, stride=4, batch_size=3)
    assert buttons.argmax(-1).tolist() == [n % 20 for n in range(count)]
    assert camera[:, 0].tolist() == [n % 11 for n in range(count)]


def test_labelled_video_is_read_back_identically_by_the_ordinary_reader(run, make_recordings):
    source, problems = make_recordings(**{"8__a": (25, [line()] * 25)}), ReadingProblems()
    (segment,) = find_segments(source, None, problems)
    (told,) = labelled(run, [segment], problems)
    assert told["frames"] == 25
    folder = run.ledger(WORK).folder
    (found,) = find_segments(folder, None, problems)
    track = read_track(found, ReadingRules(), problems)
    assert not problems.counts
    assert track.buttons.argmax(-1).tolist() == [n % 20 for n in range(25)]
    assert CAMERA.encode(track.camera)[:, 0].tolist() == [n % 11 for n in range(25)]
    assert found.video.read_bytes() == segment.video.read_bytes()
    before = (folder / "8/a.jsonl").stat().st_mtime_ns
    assert labelled(run, [segment], problems) == [told]
    assert (folder / "8/a.jsonl").stat().st_mtime_ns == before


def test_a_video_whose_label_was_not_noted_is_written_anew_without_leftovers(run, make_recordings):
    (segment,) = find_segments(make_recordings(a=(5, [line()] * 5)), None, ReadingProblems())
    labelled(run, [segment], ReadingProblems())
    folder = run.ledger(WORK).folder
    before = sorted(path.name for path in folder.iterdir())
    label_video(segment, folder, Reading(), LABELLING, 16, pointer(None))
    assert sorted(path.name for path in folder.iterdir()) == before == ["a-options.json", "a.jsonl", "a.mp4"]


def test_videos_that_can_not_be_read_are_counted_each_time(run, make_recordings):
    source = make_recordings(a=(5, [line()] * 5))
    (source / "a.mp4").write_bytes(b"no video")
    segments = find_segments(source, None, ReadingProblems())
    for _ in range(2):
        problems = ReadingProblems()
        assert labelled(run, segments, problems) == []
        assert problems.counts == {"videos that can't be read": 1}
        assert "a.mp4 can't be opened" in problems.summary()
