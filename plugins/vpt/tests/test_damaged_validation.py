"""A held-out video that can't be read to its end: where broken recordings are refused, no validation is shortened by it."""

import pytest

from omnitrain.engine import in_order
from omnitrain.errors import DataError
from omnitrain_vpt.configs.data import RecordingsConfig
from omnitrain_vpt.data.recordings import build


@pytest.fixture
def folder(make_recordings, walking):
    return make_recordings(**{name: (40, walking(40)) for name in "abcdef"})


def prepared(folder, context):
    settings = {"layout": "streams", "cache": False, "reading": {"broken": "refuse"}, "valid_fraction": 0.5}
    data = build(RecordingsConfig(path=str(folder), image_size=16, steps=8, **settings), context)
    data.prepare(context.workspace, context)
    return data


def test_damaged_held_out_video_ends_the_validation_with_its_name(folder, context):
    sound = prepared(folder, context)
    held_out = sound.ready().names[sound.clip_numbers("valid")[0]]
    assert len(list(in_order(sound, "valid", 1))) == 5 * len(sound.clip_numbers("valid"))
    video = folder / f"{held_out}.mp4"
    content = bytearray(video.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = bytes(third)
    video.write_bytes(content)
    with pytest.raises(DataError, match=video.name):
        list(in_order(prepared(folder, context), "valid", 1))
