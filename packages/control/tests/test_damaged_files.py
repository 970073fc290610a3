"""Files that are damaged anywhere are read as far as they go or refused by name: nothing else is raised."""

import json
import pickle
import random

import h5py
import numpy as np
import pytest
from helpers import encode
from test_readers import flat

from omnitrain.errors import DataError
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.readers.importing import import_trajectories
from omnitrain_control.readers.rules import ReadingRules
from omnitrain_control.video import probe_video, read_frames, shown_times, steady_rate


def damaged(content, seed):
    """Cut a file, overwrite some of its bytes, or take some out."""
    draw, found = random.Random(seed), bytearray(content)
    place = draw.randrange(len(found))
    if seed % 4 == 0:
        return bytes(found[:place])
    if seed % 4 == 1:
        for _ in range(draw.choice([1, 10, 100])):
            found[draw.randrange(len(found))] = draw.randrange(256)
    elif seed % 4 == 2:
        for _ in range(draw.choice([1, 3, 10])):
            found[draw.randrange(min(len(found), 1000))] = draw.randrange(256)
    else:
        del found[place : place + draw.randrange(1, 300)]
    return bytes(found)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_damaged_video_is_read_as_far_as_it_goes_or_refused_by_name(tmp_path, ending):
    content = encode(tmp_path / f"a.{ending}").read_bytes()
    path, refused = tmp_path / f"damaged.{ending}", []
    for seed in range(40):
        path.write_bytes(damaged(content, seed))
        for read in (
            probe_video,
            steady_rate,
            shown_times,
            lambda p: list(read_frames(p)),
            lambda p: list(read_frames(p, start=30)),
        ):
            try:
                read(path)
            except DataError as error:
                refused.append(str(error))
    assert refused or ending == "ts"
    assert all(str(path) in words for words in refused)


@pytest.mark.parametrize("ending", ["npz", "pkl", "hdf5"])
def test_damaged_trajectories_are_refused_by_name_or_read(tmp_path, ending):
    path, refused = tmp_path / f"a.{ending}", []
    if ending == "npz":
        np.savez(path, **flat())
    elif ending == "pkl":
        path.write_bytes(pickle.dumps(flat(), 2))
    else:
        with h5py.File(path, "w") as file:
            file.update(flat())
    content = path.read_bytes()
    for seed in range(120):
        path.write_bytes(damaged(content, seed))
        try:
            import_trajectories(str(path), tmp_path / str(seed), ReadingRules(broken="skip"))
        except DataError as error:
            refused.append(str(error))
    assert refused
    assert all(str(path) in words for words in refused)


INDICES = [
    None,
    [],
    "x",
    {"lengths": 3},
    {"lengths": [1]},
    {"lengths": [-1], "fields": {}},
    {"lengths": [1.5], "fields": {}},
    {"lengths": [True], "fields": {}},
    {"lengths": [2**70], "fields": {}},
    {"lengths": [1], "fields": []},
    {"lengths": [1], "fields": {}, "about": 3},
    {"lengths": [1], "fields": {"a": None}},
    {"lengths": [1], "fields": {"a": {"shape": [], "dtype": "x"}}},
    {"lengths": [1], "fields": {"a": {"shape": 2, "dtype": "<f8"}}},
    {"lengths": [1], "fields": {"a": {"shape": ["b"], "dtype": "<f8"}}},
    {"lengths": [1], "fields": {"a": {"shape": []}}},
    {"lengths": [1], "fields": {"a": {"shape": [-1], "dtype": "<f8"}}},
    {"lengths": [1], "fields": {"a": {"shape": [], "dtype": [1]}}},
    {"lengths": [1], "fields": {"a": {"shape": [], "dtype": "<f8", "final": 1}}},
    {"lengths": [1], "fields": {"a": {"shape": [], "dtype": "<f8"}}, "labels": [{}, {}]},
    {"lengths": [1], "fields": {"a": {"shape": [], "dtype": "<f8"}}, "labels": [3]},
]


@pytest.mark.parametrize("index", INDICES, ids=range(len(INDICES)))
def test_a_damaged_index_is_refused(tmp_path, index):
    with EpisodeWriter(tmp_path) as writer:
        writer.add({"a": np.zeros(1)})
    (tmp_path / "episodes.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"episodes\.json is missing or damaged"):
        EpisodeStore(tmp_path)
