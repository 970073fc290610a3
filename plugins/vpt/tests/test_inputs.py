"""The recordings that an index file names are told, so that a run notices when one changes."""

import json

import cv2
import numpy as np
from helpers import line

from omnitrain_vpt.configs.data import ReadingConfig, RecordingsConfig
from omnitrain_vpt.data.recordings import StreamedRecordings
from omnitrain_vpt.recordings.format import ReadingProblems, find_segments


def test_the_recordings_of_an_index_are_inputs(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "a.jsonl", "b.mp4", "unnamed.mp4"):
        (videos / name).touch()
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"basedir": "http://x", "relpaths": ["a", "b.mp4", "absent.mp4"]}))
    found = RecordingsConfig(path=str(index), base=str(videos)).inputs()
    assert sorted(path.name for path in found) == ["a.jsonl", "a.mp4", "b.mp4"]
    index.write_text("[]")
    assert RecordingsConfig(path=str(index)).inputs() == []
    assert RecordingsConfig(path=str(videos)).inputs() == []


def test_inputs_are_the_files_that_are_read(tmp_path):
    for name in ("clip.v1.mp4", "clip.v1.jsonl", "loud.MP4", "loud.JSONL", "unnamed.mp4"):
        (tmp_path / name).touch()
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"relpaths": ["clip.v1", "loud.MP4"]}))
    found = RecordingsConfig(path=str(index)).inputs()
    assert sorted(path.name for path in found) == ["clip.v1.jsonl", "clip.v1.mp4", "loud.JSONL", "loud.MP4"]
    read = find_segments(index, None, ReadingProblems())
    assert set(found) == {path for segment in read for path in (segment.video, segment.lines)}


def test_an_index_that_names_nothing_has_no_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"relpaths": ["", "."]}))
    assert RecordingsConfig(path="index.json", base=".").inputs() == []


def test_frames_that_are_kept_depend_on_the_picture_of_the_pointer(tmp_path, make_recordings, context):
    folder, picture = make_recordings(a=(4, [line() for _ in range(4)])), tmp_path / "pointer.png"
    fingerprints = set()
    for shade in (7, 200):
        cv2.imwrite(str(picture), np.full((20, 20, 4), shade, np.uint8))
        reading = ReadingConfig(cursor=str(picture))
        data = StreamedRecordings(RecordingsConfig(path=str(folder), steps=2, reading=reading, nulls="keep"))
        data.prepare(tmp_path / "workspace", context)
        fingerprints.add(data.fingerprint)
    assert len(fingerprints) == 2
    assert len(list((tmp_path / "workspace").glob("vpt-frames-*/complete.json"))) == 2
