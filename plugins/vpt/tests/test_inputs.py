"""The recordings that an index file names are told, so that a run notices when one changes."""

import json

from omnitrain_vpt.configs.data import RecordingsConfig


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
