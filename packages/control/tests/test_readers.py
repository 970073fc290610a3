"""Users' trajectories: every layout is read, broken ones are named, nothing that a file names is run."""

import json
import os
import pickle
from collections import OrderedDict

import h5py
import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_control.readers.importing import import_arrays, import_trajectories
from omnitrain_control.readers.pickles import read_pickle
from omnitrain_control.readers.rules import ReadingRules
from omnitrain_control.trajectories import Trajectories, open_stores


def flat(lengths=(3, 2), width=2, following=True, **marks):
    """Flat arrays whose observations count up through each trajectory."""
    starts = 100.0 * np.arange(len(lengths))
    observed = np.concatenate([start + np.arange(length) for start, length in zip(starts, lengths, strict=True)])
    ends = np.zeros(len(observed), bool)
    ends[np.cumsum(lengths) - 1] = True
    arrays = {
        "observations": np.repeat(observed[:, None], width, 1).astype(np.float32),
        "actions": np.linspace(-1, 1, len(observed), dtype=np.float32)[:, None],
        "rewards": np.ones(len(observed), np.float32),
        "dones": ends,
    }
    if following:
        arrays["next_observations"] = arrays["observations"] + 1
    return {**arrays, **marks}


def imported(path, target, **rules):
    problems = import_trajectories(str(path), target, ReadingRules(**rules))
    return Trajectories(open_stores(target)), problems


def saved(path, arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_flat_arrays_are_cut_at_their_ends_and_next_observations_become_rows(tmp_path):
    found, problems = imported(saved(tmp_path / "reach.npz", flat()), tmp_path / "out")
    assert not problems.counts
    assert found.lengths.tolist() == [3, 2]
    assert found.keeps_final
    assert "next_observations" not in found.shapes
    assert found.stores[0].episode(1)["observations"][:, 0].tolist() == [100, 101, 102]
    assert found.labels == [{"source": "reach"}] * 2
    assert "terminals" not in found.shapes
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00", "left-out.txt"]


def test_large_arrays_of_an_archive_are_mapped_from_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("omnitrain_control.readers.files.MAPPED", 1)
    found, _ = imported(saved(tmp_path / "a.npz", flat(dones=np.array([0, 0, 1, 0, 1]))), tmp_path / "out", dones="terminal")
    assert found.transitions(np.arange(5))["next_observations"][:, 1].tolist() == [1, 2, 3, 101, 102]
    assert found.gather("terminals", *found.place(np.arange(5))).tolist() == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("marks", "rules", "terminal"),
    [
        ({"terminals": [0, 0, 1, 0, 0], "timeouts": [0, 0, 0, 0, 1]}, {}, [0, 0, 1, 0, 0]),  # D4RL
        ({"dones": [0, 0, 1, 0, 1], "timeouts": [0, 0, 0, 0, 1]}, {}, [0, 0, 1, 0, 0]),  # Stable-Baselines3
        ({"terminated": [0, 0, 1, 0, 0], "truncated": [0, 0, 0, 0, 1]}, {}, [0, 0, 1, 0, 0]),  # gymnasium
        ({"dones": [0, 0, 1, 0, 1]}, {"dones": "timeout"}, [0, 0, 0, 0, 0]),
        ({"trj_id": [4, 4, 4, 9, 9]}, {}, None),
        ({"terminals": [0, 0, 0, 0, 0]}, {"horizon": 3}, [0, 0, 0, 0, 0]),
    ],
)
def test_ends_and_terminal_steps_are_told_apart(tmp_path, marks, rules, terminal):
    arrays = {name: values for name, values in flat().items() if name != "dones"}
    found, _ = imported(saved(tmp_path / "a.npz", {**arrays, **marks}), tmp_path / "out", **rules)
    assert found.lengths.tolist() == [3, 2]
    if terminal is None:
        assert "terminals" not in found.shapes
    else:
        assert found.gather("terminals", *found.place(np.arange(5))).tolist() == [bool(t) for t in terminal]


def test_a_buffer_of_several_environments_is_read_by_environment_from_its_oldest_row(tmp_path):
    numbers = np.arange(8, dtype=np.float32).reshape(4, 2)
    arrays = {
        "observations": numbers[..., None],
        "next_observations": numbers[..., None] + 2,
        "actions": numbers[..., None],
        "rewards": numbers,
        "dones": np.array([[0, 0], [1, 0], [0, 1], [0, 0]]),
        "timeouts": np.zeros((4, 2)),
    }
    half, problems = imported(saved(tmp_path / "a.npz", {**arrays, "pos": 3, "full": False}), tmp_path / "half")
    assert half.lengths.tolist() == [2, 1, 3]
    assert half.gather("actions", np.array([1, 2]), np.array([[0], [0]]))[:, 0, 0].tolist() == [4, 1]
    assert problems.counts == {"flat files whose last trajectory has no end": 1}
    wrapped = {**arrays, "next_observations": np.roll(np.roll(numbers, -1, 0), 0, 0)[..., None]}
    full, problems = imported(saved(tmp_path / "b.npz", {**wrapped, "pos": 2, "full": True}), tmp_path / "full")
    # From row 2 on: environment 0 has 2 3 0 1(end), whose beginning is gone; 1 has 2(end), gone, and 3 0 1.
    assert full.lengths.tolist() == [3]
    assert full.stores[0].episode(0)["observations"][:3, 0].tolist() == [7, 1, 3]
    assert problems.counts["trajectories whose beginning was overwritten in a full buffer"] == 2
    with pytest.raises(DataError, match=r"not its pos and full"):
        imported(saved(tmp_path / "c.npz", arrays), tmp_path / "c")


@pytest.mark.parametrize("where", ["", "data/"])
def test_hdf5_is_read_flat_and_by_groups(tmp_path, where):
    path = tmp_path / "a.hdf5"
    arrays = flat(terminals=np.array([0, 0, 1, 0, 0]), timeouts=np.array([0, 0, 0, 0, 1]))
    with h5py.File(path, "w") as file:
        if where:
            for number in (10, 2):
                group = file.create_group(f"{where}demo_{number}")
                group.attrs["task"] = "open"
                for name in ("observations", "actions", "rewards"):
                    group[name] = arrays[name][: number // 2]
        else:
            for name, values in arrays.items():
                file[name] = values
            file["metadata/version"] = 3
    found, _ = imported(path, tmp_path / "out")
    assert found.lengths.tolist() == ([1, 5] if where else [3, 2])
    if where:
        assert found.labels[0] == {"task": "open", "source": "a"}


@pytest.mark.filterwarnings("ignore:`eval_env` is set to None", "ignore:env_spec is None", "ignore:.*will be set to None")
def test_minari_datasets_are_read_with_their_last_observations(tmp_path):
    import gymnasium
    import minari
    from minari.data_collector import EpisodeBuffer

    space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    episodes = [
        EpisodeBuffer(
            id=number, observations=list(np.full((3 + number, 2), number, np.float32)),
            actions=list(np.zeros((2 + number, 1), np.float32)), rewards=[1.0] * (2 + number),
            terminations=[False] * (1 + number) + [True], truncations=[False] * (2 + number), infos={},
        )
        for number in range(2)
    ]  # fmt: skip
    os.environ["MINARI_DATASETS_PATH"] = str(tmp_path)
    try:
        minari.create_dataset_from_buffers(
            "own/walk-v0", episodes, action_space=gymnasium.spaces.Box(-1, 1, (1,), np.float32), observation_space=space,
            author="a", author_email="a@b.c", code_permalink="c", algorithm_name="d", description="e",
        )  # fmt: skip
    finally:
        del os.environ["MINARI_DATASETS_PATH"]
    found, _ = imported(tmp_path / "own/walk-v0", tmp_path / "out")
    assert found.lengths.tolist() == [2, 3]
    assert found.keeps_final
    assert found.transitions(np.arange(5))["terminals"].tolist() == [False, True, False, False, True]
    saved(tmp_path / "own/reach.npz", flat((1,), dones=np.ones(1), timeouts=np.zeros(1)))
    both, _ = imported(tmp_path / "own", tmp_path / "both")
    assert [label["source"] for label in both.labels] == ["reach", "walk-v0", "walk-v0"]


def test_a_folder_with_a_table_of_lengths_holds_one_trajectory_a_file(tmp_path):
    for number, length in ((10, 3), (9, 2)):
        arrays = {**flat((length,), following=False), "task": "put the lid on"}
        arrays["states"] = arrays.pop("observations")
        saved(tmp_path / f"{number}.npz", arrays)
    (tmp_path / "episode_lengths.json").write_text(json.dumps({"10": 3, "9": 2}))
    found, _ = imported(tmp_path, tmp_path / "out")
    assert found.lengths.tolist() == [2, 3]
    assert found.labels[0] == {"task": "put the lid on", "source": "9"}
    (tmp_path / "episode_lengths.json").write_text(json.dumps({"10": 3, "9": 5}))
    with pytest.raises(DataError, match=r"9\.npz is one of the trajectories of other lengths .*2, not 5"):
        imported(tmp_path, tmp_path / "other")


def test_pickles_of_arrays_are_read_without_unpickling_them(tmp_path):
    path = tmp_path / "task.pkl"
    episode = {name: values[:3] for name, values in flat().items()}
    fortran = {**episode, "observations": np.asfortranarray(episode["observations"]), "trj_id": 3, "rewards": [1.0, 2.0, 3.0]}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps([OrderedDict(episode), fortran], protocol))
        found, _ = imported(path, tmp_path / f"out{protocol}")
        assert found.lengths.tolist() == [3, 3]
        assert np.array_equal(found.stores[0].episode(0)["observations"], found.stores[0].episode(1)["observations"])
    values = {"a": np.array([1, 2], ">i2"), "b": np.float64(2.5), "c": (True, None, "text", b"bytes"), 4: np.zeros((2, 0))}
    path.write_bytes(pickle.dumps(values))
    read = read_pickle(path)
    assert (read["a"].tolist(), float(read["b"]), read["4"].shape) == ([1, 2], 2.5, (2, 0))
    assert read["c"] == [True, None, "text", b"bytes"]


class Runs:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_a_pickle_that_names_code_is_refused_by_that_name_and_runs_nothing(tmp_path):
    path, target = tmp_path / "a.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"observations": Runs(target)}))
    with pytest.raises(DataError, match=r"a\.pkl holds \w+\.system, which would run code"):
        imported(path, tmp_path / "out")
    assert not target.exists()
    for content, words in (
        (np.random.default_rng(0), "numpy.random"),
        ({"a": np.array([Runs(target)], object)}, r"\.system"),
        ({"a": np.array([None, {}], object)}, "array"),
        ({1, 2}, "set"),
        (np.zeros(2, [("x", "f4")]), "fields"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match=words):
            read_pickle(path)
    looped = []
    looped.append(looped)
    for bad in (pickle.dumps(looped), pickle.dumps(flat())[:-9], b"", b"\x80\x04cos\nsystem\n."):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.pkl"):
            read_pickle(path)
    assert not target.exists()


BROKEN = {
    "numbers that are not finite": lambda a: a["observations"].__setitem__((1, 0), np.nan),
    r"actions outside \[-1, 1\] \(step 2": lambda a: a["actions"].__setitem__(2, 1.5),
    r"next observation is not the next row: an end is not marked": lambda a: a["dones"].__setitem__(2, False),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_trajectory_is_named_or_left_out_with_a_count(tmp_path, words):
    arrays = flat((3, 2, 4))
    BROKEN[words](arrays)
    path = saved(tmp_path / "a.npz", arrays)
    with pytest.raises(DataError, match=rf"a\.npz:0 is one of the trajectories .*{words}.*broken: skip"):
        imported(path, tmp_path / "refused", action_range=(-1.0, 1.0))
    found, problems = imported(path, tmp_path / "out", action_range=(-1.0, 1.0), broken="skip")
    assert found.lengths.tolist()[-1] == 4
    assert sum(problems.counts.values()) == 1
    assert (tmp_path / "out/left-out.txt").read_text() == problems.summary()


def test_short_and_uneven_trajectories_and_those_of_other_fields_are_counted(tmp_path):
    good = {name: values[:3] for name, values in flat().items()}
    parts = [good, {**good, "actions": good["actions"][:1]}, {n: v for n, v in good.items() if n != "rewards"}]
    parts.append({name: values[3:] for name, values in flat().items()})
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(parts))
    found, problems = imported(tmp_path / "a.pkl", tmp_path / "out", broken="skip", min_steps=3)
    assert found.lengths.tolist() == [3]
    assert problems.counts == {
        "trajectories whose arrays have different lengths": 1,
        "trajectories with other fields than the first": 1,
        "trajectories shorter than min_steps": 1,
    }
    with pytest.raises(DataError, match=r"None of 4 trajectories can be used: .*shorter than min_steps"):
        imported(tmp_path / "a.pkl", tmp_path / "none", broken="skip", min_steps=4)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({**flat(), "dones": np.zeros(5, bool)}, "does not tell where a trajectory ends: its dones mark none; set horizon"),
        ({n: v for n, v in flat().items() if n != "dones"}, "it has none of terminals, timeouts, dones and trj_id"),
        ({**flat(), "actions": np.zeros((4, 1))}, "arrays of different lengths .*actions 4"),
        ({**flat(), "obs": np.zeros((5, 1))}, None),
        ({n.replace("observations", "obs"): v for n, v in flat().items()} | {"states": np.zeros(5)}, r"fields: \{observations"),
        ({n: v for n, v in flat().items() if n != "actions"}, "has no actions; it has dones"),
        ({**flat(), "observations": np.array([None] * 5)}, "can't be read"),
    ],
)
def test_arrays_that_can_be_understood_in_two_ways_or_none_are_refused(tmp_path, arrays, words):
    path = saved(tmp_path / "a.npz", arrays)
    if words is None:
        imported(path, tmp_path / "out")
        return
    with pytest.raises(DataError, match=words):
        imported(path, tmp_path / "out")


def test_arrays_in_memory_are_read_as_those_of_files(tmp_path):
    assert not import_arrays(flat(), tmp_path / "flat", ReadingRules()).counts
    assert Trajectories(open_stores(tmp_path / "flat")).lengths.tolist() == [3, 2]
    with pytest.raises(DataError, match="walks holds a int; expected a list of trajectories or a dictionary of arrays"):
        import_arrays(3, tmp_path / "no", ReadingRules(), "walks")


def test_next_observations_of_another_shape_than_the_joined_ones_are_refused(tmp_path):
    arrays = {**flat(), "pose": np.zeros((5, 7))}
    with pytest.raises(DataError, match=r"observations of the shape \[7\] a step and next_observations of \[2\]"):
        imported(saved(tmp_path / "a.npz", arrays), tmp_path / "out", fields={"observations": "pose"})


def test_arrays_of_other_names_are_joined_as_fields_says(tmp_path):
    arrays = flat(following=False)
    arrays |= {"pose": arrays["observations"], "grip": arrays["observations"][:, 0]}
    del arrays["observations"]
    found, _ = imported(saved(tmp_path / "a.npz", arrays), tmp_path / "out", fields={"observations": ["pose", "grip"]})
    assert found.shapes["observations"] == (3,)
    with pytest.raises(DataError, match="has no array 'gripper', which fields names for observations"):
        imported(tmp_path / "a.npz", tmp_path / "no", fields={"observations": "gripper"})


def test_damaged_and_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none holds no trajectories; expected \.npz"):
        imported(tmp_path / "none", tmp_path / "out")
    content = saved(tmp_path / "a.npz", flat()).read_bytes()
    for cut in (10, len(content) // 2, len(content) - 30):
        (tmp_path / "a.npz").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"a\.npz"):
            imported(tmp_path / "a.npz", tmp_path / "out")
    (tmp_path / "b.hdf5").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=r"b\.hdf5"):
        imported(tmp_path / "b.hdf5", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("observations", np.ones((5, 2), complex), "observations holds values of the type complex128"),
        ("observations", np.full((5, 2), "x"), "observations holds values of the type <U1"),
        ("dones", np.array([0, 0, 0.5, 0, 1]), "dones holds 0.5; expected marks of 0 and 1"),
        ("dones", np.array([0, 0, 2, 0, 1]), "dones holds 2; expected marks of 0 and 1"),
        ("dones", np.array([0, 0, np.nan, 0, 1]), "dones holds nan; expected marks of 0 and 1"),
    ],
)
@pytest.mark.parametrize("layout", ["flat", "episodes"])
def test_values_that_would_become_others_are_refused(tmp_path, name, values, words, layout):
    path = saved(tmp_path / "a.npz", flat(following=False, **{name: values}))
    with pytest.raises(DataError, match=words):
        imported(path, tmp_path / "out", layout=layout)
