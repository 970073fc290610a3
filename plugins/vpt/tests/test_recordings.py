"""Reading and writing the contractor format."""

import json
import re

import numpy as np
import pytest
from helpers import INDEX_IN_FRONT, INDEX_IN_PIECES, line, numbered_frames, write_broken_video
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_control.video import write_video
from omnitrain_vpt.paper.actions import CAMERA, to_factored, to_joint
from omnitrain_vpt.paper.minecraft import BUTTONS, SequenceRules, action_of_line
from omnitrain_vpt.recordings.clips import CachedClips, Reader, StreamedClips, build_cache
from omnitrain_vpt.recordings.cursor import arrow, paint_cursor, read_cursor
from omnitrain_vpt.recordings.format import (
    ReadingProblems,
    ReadingRules,
    find_segments,
    kept_lines,
    read_lines,
    read_track,
    write_lines,
)
from omnitrain_vpt.recordings.frames import pointer, prepare, resize, track_frames
from omnitrain_vpt.stages.label import lines_of

RULES = ReadingRules()


def only(folder, problems=None):
    (segment,) = find_segments(folder, None, problems or ReadingProblems())
    return segment


def track_of(folder, rules=RULES, problems=None):
    return read_track(only(folder), rules, problems or ReadingProblems())


def test_a_small_movement_of_the_mouse_is_kept_unless_the_official_truncation_is_asked_for():
    moved = line(dx=1.0)
    assert action_of_line(moved).camera == pytest.approx((0.0, 0.15))
    assert action_of_line(moved, legacy_int_camera=True).camera == (0.0, 0.0)
    assert not action_of_line(moved, legacy_int_camera=True).null


def test_unknown_keys_are_no_activity():
    found = action_of_line(line(["f3", "left.alt"], buttons=[4]))
    assert found.null
    assert not found.pressed


def test_unknown_keys_are_told_once_each_and_break_no_recording(make_recordings):
    lines = [line(["w"]), line(["w", "f3"], buttons=[0, 4]), line(["f3", "left.alt"])]
    folder, problems = make_recordings(a=(3, lines)), ReadingProblems()
    track = reader(strict=True).track(only(folder), problems)
    assert track.buttons[:, BUTTONS.index("forward")].tolist() == [1, 1, 0]
    assert problems.counts == {"unknown keys": 3}
    for place in ("a.jsonl:2 key.keyboard.f3", "a.jsonl:2 mouse button 4", "a.jsonl:3 key.keyboard.left.alt"):
        assert place in problems.summary()


@pytest.mark.parametrize(("as_paper", "expected"), [(True, {"inventory"}), (False, {"ESC"})])
def test_escape_in_a_gui_becomes_inventory_as_in_the_paper_or_stays(as_paper, expected):
    rules = SequenceRules(escape_closes_inventory=as_paper)
    assert rules(line(["escape"], isGuiOpen=True)).pressed == expected
    assert rules(line(["escape"])).pressed == {"ESC"}


@pytest.mark.parametrize(("factors", "expected"), [(True, 3.0), (False, 1.5)])
def test_mouse_factor_of_the_recorder_version_counts_while_a_gui_is_open(make_recordings, factors, expected):
    lines = [line(dx=10.0), line(dx=10.0, isGuiOpen=True)]
    folder = make_recordings(**{"6__x": (2, lines)})
    (folder / "6").rename(folder / "6.8")
    track = track_of(folder, ReadingRules(gui_factors=factors))
    assert track.camera[:, 1] == pytest.approx([1.5, expected])


def test_basalt_lines_with_few_fields_are_read(make_recordings):
    lines = [{k: v for k, v in line(["w"]).items() if k in ("mouse", "keyboard", "isGuiOpen", "hotbar")} for _ in range(4)]
    assert track_of(make_recordings(a=(4, lines))).buttons[:, BUTTONS.index("forward")].tolist() == [1, 1, 1, 1]


def test_broken_and_empty_lines_are_counted_and_their_frames_left_out(make_recordings, walking):
    folder = make_recordings(a=(6, walking(6)))
    lines = (folder / "a.jsonl").read_text().splitlines()
    lines[1], lines[3], lines[4] = "{not json", "", '{"mouse": 3}'
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n\n")
    problems = ReadingProblems()
    track = track_of(folder, problems=problems)
    assert track.frames.tolist() == [0, 2, 5]
    assert problems.counts == {"lines that are no JSON": 1, "empty lines": 1, "malformed lines": 1}
    assert "a.jsonl:2" in problems.summary()


def test_a_line_with_wrong_types_inside_is_counted(make_recordings):
    lines = [line(["w"]), {**line(["w"]), "hotbar": "two"}, {**line(["w"]), "mouse": {**line()["mouse"], "dx": "far"}}]
    problems = ReadingProblems()
    assert track_of(make_recordings(a=(3, lines)), problems=problems).frames.tolist() == [0]
    assert problems.counts["malformed lines"] == 2


def test_lines_beyond_the_video_are_dropped_and_the_mismatch_is_told(make_recordings, walking):
    problems = ReadingProblems()
    track = track_of(make_recordings(a=(4, walking(7))), problems=problems)
    assert track.frames.tolist() == [0, 1, 2, 3]
    assert "a.mp4: 4, 7" in problems.summary()


def test_frames_beyond_the_lines_are_left_out_and_the_mismatch_is_told(make_recordings, walking):
    problems = ReadingProblems()
    track = track_of(make_recordings(a=(7, walking(4))), problems=problems)
    assert track.frames.tolist() == [0, 1, 2, 3]
    assert "1 recordings with another number of frames than of lines" in problems.summary()
    assert "a.mp4: 7, 4" in problems.summary()


def test_frames_of_kept_lines_are_the_videos_frames_of_those_numbers(make_recordings):
    lines = [line(["w"]) if number % 3 == 0 else line() for number in range(20)]
    folder = make_recordings(a=(20, lines))
    track = track_of(folder).without_null("quantised")
    assert track.frames.tolist() == list(range(0, 20, 3))
    frames = list(track_frames(only(folder).video, track, 16, pointer(None)))
    assert [round((int(f.mean()) - 8) / 4) for f in frames] == track.frames.tolist()


def test_null_filters_differ_in_movements_that_quantise_to_rest(make_recordings):
    lines = [line(), line(dx=1.0), line(dx=40.0), line(["w"])]
    track = track_of(make_recordings(a=(4, lines)))
    assert [len(track.without_null(rule)) for rule in ("keep", "raw", "quantised")] == [4, 3, 2]


def test_the_pointer_is_painted_before_the_frame_is_made_smaller():
    image = np.zeros((360, 640, 3), np.uint8)
    picture, alpha = arrow()
    found = prepare(image, np.array([300.0, 100.0], np.float32), 128, (picture, alpha))
    by_hand = resize(paint_cursor(image, picture, alpha, 150, 50), 128)[..., ::-1]
    assert np.array_equal(found, by_hand)
    assert found.max() > 0
    assert prepare(image, np.array([-1.0, -1.0], np.float32), 128, (picture, alpha)).max() == 0


def test_an_official_pointer_file_is_read_and_another_one_refused(tmp_path):
    import cv2

    path = tmp_path / "pointer.png"
    cv2.imwrite(str(path), np.full((20, 20, 4), 7, np.uint8))
    picture, alpha = read_cursor(path)
    assert picture.shape == (16, 16, 3)
    assert alpha.shape == (16, 16, 1)
    cv2.imwrite(str(path), np.full((20, 20, 3), 7, np.uint8))
    with pytest.raises(DataError, match=r"pointer\.png is no picture with an alpha channel"):
        read_cursor(path)


def test_index_files_name_recordings_and_may_not_leave_their_folder(make_recordings, walking, tmp_path):
    folder = make_recordings(**{"8__a": (3, walking(3)), "8__b": (3, walking(3))})
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"basedir": "https://example.invalid/", "relpaths": ["8/a.mp4", "8/b", "8/gone"]}))
    problems = ReadingProblems()
    assert [s.name for s in find_segments(index, folder, problems)] == ["8/a", "8/b"]
    assert problems.counts == {"missing videos": 1}
    index.write_text(json.dumps({"relpaths": ["../../etc/a"]}))
    with pytest.raises(DataError, match="lies outside"):
        find_segments(index, folder, ReadingProblems())
    index.write_text("[]")
    with pytest.raises(DataError, match="can't be read as an index file"):
        find_segments(index, folder, ReadingProblems())
    with pytest.raises(DataError, match="is missing"):
        find_segments(tmp_path / "nowhere", None, ReadingProblems())


def reader(strict=False):
    return Reader(RULES, "keep", 16, pointer(None), None, strict)


def test_broken_recordings_are_counted_and_the_others_used(make_recordings, walking, tmp_path):
    count = 12
    folder = make_recordings(good=(count, walking(count)), cut=(count, walking(count)), empty=(count, walking(count)))
    write_video(folder / "unlabelled.mp4", numbered_frames(3))
    (folder / "cut.mp4").write_bytes((folder / "cut.mp4").read_bytes()[:300])
    (folder / "empty.jsonl").write_text("")
    problems = ReadingProblems()
    segments = find_segments(folder, None, problems)
    made = build_cache(tmp_path / "cache", segments, reader(), 2, problems, lambda: None)
    details = json.loads((made / "details.json").read_text())
    assert details["names"] == ["good"]
    for word in ("cut.mp4 can't be opened", "empty.jsonl is empty", "videos without .jsonl"):
        assert word in details["problems"]
    reasons = {
        "cut": r"cut\.mp4 can't be opened as a video \(.*\); it may be cut short",
        "empty": r"empty\.jsonl is empty; expected one JSON object per frame",
        "unlabelled": r"unlabelled\.mp4 has no \.jsonl beside it",
    }
    for segment in segments:
        if segment.name in reasons:
            with pytest.raises(DataError, match=reasons[segment.name]):
                build_cache(tmp_path / "strict", [segment], reader(strict=True), 1, ReadingProblems(), lambda: None)


def test_a_broken_line_and_another_length_are_refused_where_that_is_asked_for(make_recordings, walking):
    folder = make_recordings(a=(6, walking(6)), b=(4, walking(6)))
    lines = (folder / "a.jsonl").read_text().splitlines()
    (folder / "a.jsonl").write_text("\n".join([*lines[:5], "{not json"]))
    segments = find_segments(folder, None, ReadingProblems())
    for segment, reason in zip(segments, ("lines that are no JSON .*a.jsonl:6", "number of frames than of lines"), strict=True):
        with pytest.raises(DataError, match=f"{reason}.* or set reading.broken to skip"):
            reader(strict=True).track(segment, ReadingProblems())


def both_ways(folder, tmp_path):
    """Recordings decoded once and kept, and decoded on the way."""
    segments = find_segments(folder, None, ReadingProblems())
    kept = build_cache(tmp_path / "cache", segments, reader(), 1, ReadingProblems(), lambda: None)
    return CachedClips(kept), StreamedClips(segments, reader(), ReadingProblems())


def numbers(frames):
    """The numbers that frames tell by their brightness."""
    return [round((int(frame.mean()) - 8) / 4) for frame in frames]


@pytest.mark.parametrize("index", [INDEX_IN_FRONT, INDEX_IN_PIECES])
def test_a_video_that_is_cut_in_its_middle_is_counted_and_used_up_to_there(make_recordings, walking, tmp_path, index):
    folder = make_recordings(cut=(40, walking(40)), good=(40, walking(40)))
    write_broken_video(folder / "cut.mp4", 40, index)
    for clips in both_ways(folder, tmp_path):
        assert clips.names == ["cut", "good"]
        found, whole = (len(track) for track in clips.tracks)
        assert 8 < found < 30
        assert whole == 40
        assert numbers(clips.frames(0, 0, found)) == clips.tracks[0].frames.tolist() == list(range(found))
        assert re.search(rf"1 videos that are cut short \(\S+cut\.mp4: {found} of \d+ frames\)", clips.problems)
        assert numbers(clips.frames(1, 0, 40)) == list(range(40))
    with pytest.raises(DataError, match=r"videos that are cut short .*cut\.mp4"):
        StreamedClips(find_segments(folder, None, ReadingProblems()), reader(strict=True), ReadingProblems())


def test_a_video_that_is_damaged_in_its_middle_ends_there(make_recordings, walking, tmp_path, caplog):
    folder = make_recordings(damaged=(40, walking(40)), good=(40, walking(40)))
    write_broken_video(folder / "damaged.mp4", 40, INDEX_IN_FRONT, cut=False)
    kept, streamed = both_ways(folder, tmp_path)
    found = len(kept.tracks[0])
    assert 8 < found < 30
    assert f"damaged.mp4: {found} of 40 frames" in kept.problems
    # All of its bytes are there, so that only decoding tells.
    assert streamed.problems == ""
    for start in (0, 20):
        streamed.frames(0, start, start + 20)
    # The frame in which the damage begins is what the decoder makes of it.
    again = numbers(streamed.frames(0, 0, 40))
    assert again[: found - 1] == list(range(found - 1))
    assert set(again[found - 1 :]) == {again[found - 1]}
    assert [record.getMessage().count("damaged.mp4") for record in caplog.records] == [1]
    (segment, _) = find_segments(folder, None, ReadingProblems())
    with pytest.raises(DataError, match=rf"damaged\.mp4 ends after {found} of 40 frames"):
        reader(strict=True).decode(segment, read_track(segment, RULES, ReadingProblems()), ReadingProblems())


@given(st.lists(st.tuples(st.integers(0, 8640), st.integers(0, 120)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_written_labels_are_read_back_as_the_same_buttons_and_bins(joint):
    buttons, camera = to_factored(*np.array(joint).T)
    lines = lines_of(buttons, camera)
    again = [action for _, action in kept_lines(json.loads(json.dumps(lines)), SequenceRules())]
    assert np.array_equal(np.stack([action.buttons() for action in again]), buttons)
    assert np.array_equal(CAMERA.encode(np.array([action.camera for action in again])), camera)


@given(st.integers(0, 8640), st.integers(0, 120))
@settings(max_examples=100, deadline=None)
def test_joint_actions_survive_the_way_through_factored_ones(button, camera):
    buttons, bins = to_factored(np.array([button]), np.array([camera]))
    again, camera_again = to_joint(buttons, bins)
    # The meta action "camera on" with a resting camera is the only one that is written differently.
    expected, _ = to_joint(*to_factored(again, camera_again))
    assert np.array_equal(again, expected)


def test_lines_are_written_one_object_each(tmp_path):
    write_lines(tmp_path / "a.jsonl", [line(["w"]), line()])
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2
    assert read_lines(tmp_path / "a.jsonl", ReadingProblems())[0] == line(["w"])
    (tmp_path / "mark.jsonl").write_text((tmp_path / "a.jsonl").read_text(), encoding="utf-8-sig")
    problems = ReadingProblems()
    assert read_lines(tmp_path / "mark.jsonl", problems)[0] == line(["w"])
    assert not problems.counts
    (tmp_path / "b.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"b\.jsonl is empty"):
        read_lines(tmp_path / "b.jsonl", ReadingProblems())


def test_a_video_without_frames_is_refused(tmp_path):
    write_video(tmp_path / "a.mp4", numbered_frames(2))
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.mp4"):
        label_frames_of(tmp_path)


def label_frames_of(folder):
    from omnitrain_vpt.recordings.format import video_track

    (segment,) = find_segments(folder, None, ReadingProblems())
    return video_track(segment)
