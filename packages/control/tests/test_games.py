"""Games of people's own: recorded, cloned and played with the right actions, or refused with a sentence before a step."""

import json
from functools import partial

import numpy as np
import pytest
import toy_games
from gymnasium import spaces

from omnitrain.api import numpy_generator
from omnitrain.errors import DataError, EnvironmentFault, OmnitrainError, Stopped, UsageError
from omnitrain_control.codecs import BinnedCodec, codec_of
from omnitrain_control.environments import make_environment, make_game
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.fleets import Fleet
from omnitrain_control.observations import flat, flat_size
from omnitrain_control.players import RandomActor
from omnitrain_control.rollouts import play_episodes
from omnitrain_testing.running import dry_run, run_recipe


def recorded(name, **settings):
    return {"name": "record", "use": "control/record", "environment": {"id": name, "count": 2, **settings}, "episodes": 4}


def cloned(data, **model):
    return {
        "name": "clone",
        "use": "core/fit",
        "data": data,
        "model": {"use": "control/mlp", "width": 4, "layers": 1, **model},
        "objective": {"use": "control/cloning"},
        "fit": {"steps": 2, "batch_size": 4, "learning_rate": 1e-2, "evaluate_batches": 0},
    }


def played(**settings):
    evaluator = {"use": "control/rollouts", "episodes": 4, **settings}
    return {"name": "play", "use": "core/evaluate", "model": {"from": "clone"}, "evaluators": [evaluator]}


def recipe(*stages):
    return {"summary": "a game of one's own", "seed": 0, "stages": list(stages)}


def whole(name):
    return recipe(recorded(name), cloned({"from": "record"}), played())


def events(run):
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("FromOne", {1, 2, 3}),
        ("FromMinusOne", {-1, 0, 1}),
        ("Several", {(5, -1), (5, 0), (6, -1), (6, 0), (7, -1), (7, 0)}),
    ],
)
def test_actions_are_those_of_the_space_wherever_it_starts(tmp_path, name, actions):
    toy_games.TAKEN.clear()
    run_recipe(whole(f"toy_games:{name}-v0"), tmp_path)
    taken = {tuple(action) if isinstance(action, list) else action for action in toy_games.TAKEN}
    assert taken <= actions
    assert len(taken) > 1
    store = EpisodeStore(tmp_path / "record/data")
    codec = codec_of(getattr(toy_games, name).action_space)
    choices, classes = codec.heads["action"]
    assert store.fields["actions"].shape[1] == choices
    assert store.fields["classes"][0] == classes
    assert (store.fields["actions"] >= 0).all()
    assert (store.fields["actions"].max(0) < codec.counts).all()


def test_classes_and_actions_of_several_numbers_are_each_others_inverse():
    codec = codec_of(toy_games.Several.action_space)
    assert codec.decode({"action": np.array([[0, 0], [2, 1]])}).tolist() == [[5, -1], [7, 0]]
    assert codec.encode([[5, -1], [7, 0]])["action"].tolist() == [[0, 0], [2, 1]]
    drawn = RandomActor(codec, numpy_generator(0)).act(None, np.ones(200, bool)).kept["actions"]
    assert drawn.max(0).tolist() == [2, 1]


def test_actions_have_the_type_of_their_space_and_a_number_that_a_head_can_choose_from():
    for space in (spaces.Discrete(3, start=2), spaces.MultiDiscrete([3, 2], dtype=np.int16)):
        codec = codec_of(space)
        (action,) = codec.decode({"action": (codec.counts - 1)[None]})
        assert action.dtype == space.dtype
        assert space.contains(action)
    with pytest.raises(UsageError, match="a policy's head chooses from"):
        codec_of(spaces.Discrete(2**40))


def test_continuous_actions_have_the_type_and_the_bounds_of_their_space(tmp_path):
    toy_games.TAKEN.clear()
    run_recipe(whole("toy_games:Continuous-v0"), tmp_path)
    assert np.abs(toy_games.TAKEN).max() <= 2
    whole_numbers = codec_of(spaces.Box(0, 5, (1,), np.int32), bins=6)
    assert isinstance(whole_numbers, BinnedCodec)
    assert whole_numbers.decode({"action": np.arange(6)[:, None]})[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "seen", "text"),
    [
        ("Named", [0.25, -0.5, 0, 0, 1], "Dict"),
        ("Pair", [0.25, -0.5, 0, 1], "Tuple"),
        ("Numbered", [0, 0, 1, 0], "Discrete"),
        ("Pictures", [0.2] * 48, "uint8"),
    ],
)
def test_observations_that_are_no_vector_are_read_as_one_and_that_is_said(tmp_path, name, seen, text):
    address = f"toy_games:{name}-v0"
    checked = dry_run(whole(address))
    assert checked.error is None
    assert any("vectors of" in note and text in note for note in checked.stages[0].notes)
    found = run_recipe(whole(address), tmp_path)
    assert EpisodeStore(tmp_path / "record/data").fields["observations"][0].tolist() == pytest.approx(seen)
    assert found.values("play", "control/rollouts")["length"] == 5
    told = [event for event in events(tmp_path) if event["event"] == "flattened"]
    assert [event["stage"] for event in told] == ["record", "play"]
    assert text in told[0]["note"]


def test_spaces_that_can_not_be_learned_are_refused_before_a_step(tmp_path):
    for name, words in (("Spoken", "Observations of Text.* can't be a vector"), ("Square", "no action codec for Box")):
        with pytest.raises(UsageError, match=words):
            run_recipe(whole(f"toy_games:{name}-v0"), tmp_path / name)
        assert isinstance(dry_run(whole(f"toy_games:{name}-v0")).error, UsageError)


def test_numbers_of_an_observation_are_in_the_order_of_the_space():
    space = toy_games.Named.observation_space
    assert flat_size(space) == 5
    assert flat(space, {"room": 1, "place": np.zeros(2)}).tolist() == [0, 0, 1, 0, 0]
    with pytest.raises(EnvironmentFault, match="none of its space"):
        flat(space["room"], 9)


def test_the_game_of_the_recordings_is_played_and_another_one_must_be_named(tmp_path):
    found = run_recipe(
        recipe(recorded("toy_games:Base-v0", settings={"length": 7}), cloned({"from": "record"}), played()), tmp_path
    )
    assert found.values("play", "control/rollouts")["length"] == 7
    named = recipe(
        recorded("toy_games:Base-v0"),
        cloned({"from": "record"}),
        played(environment={"id": "toy_games:Unseeded-v0", "count": 2}),
    )
    run_recipe(named, tmp_path / "named")
    told = {event["event"]: event for event in events(tmp_path / "named")}
    assert told["another game"]["played"] == "toy_games:Unseeded-v0"
    assert told["another game"]["recorded"] == "toy_games:Base-v0"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("toy_games:Wide-v0", "reads observations of 3 numbers, those of toy_games:Wide-v0 have 4"),
        ("toy_games:FromOne-v0", "made for toy_games:Base-v0 with the actions .*start 0; toy_games:FromOne-v0 has .*start 1"),
        ("toy_games:Several-v0", "made for toy_games:Base-v0"),
    ],
)
def test_a_game_with_other_observations_or_actions_is_refused_before_a_step(tmp_path, other, words):
    toy_games.TAKEN.clear()
    stages = (recorded("toy_games:Base-v0"), cloned({"from": "record"}), played(environment={"id": other}))
    with pytest.raises(UsageError, match=words):
        run_recipe(recipe(*stages), tmp_path)


def test_a_player_plays_its_own_game(tmp_path):
    again = {"name": "again", "use": "control/record", "episodes": 2, "player": {"from": "clone"}}
    run_recipe(recipe(recorded("toy_games:Base-v0", settings={"length": 7}), cloned({"from": "record"}), again), tmp_path)
    assert EpisodeStore(tmp_path / "again/data").lengths.tolist() == [7, 7]
    with pytest.raises(UsageError, match=r"No game is named and no player tells none|No game is named.*set environment\.id"):
        run_recipe(recipe({"name": "record", "use": "control/record", "episodes": 2}), tmp_path / "none")


def steps(folder, about=None, **fields):
    with EpisodeWriter(folder, about) as writer:
        count = len(next(iter(fields.values())))
        writer.add({"rewards": np.zeros(count, np.float32), "classes": np.full(count, 3), **fields})
    return {"use": "control/episodes", "path": str(folder), "valid_fraction": 0}


def test_sizes_come_from_the_data_and_wrong_ones_are_refused_before_training(tmp_path):
    data = steps(tmp_path / "data", observations=np.zeros((6, 3)), actions=np.arange(6)[:, None] % 3)
    run_recipe(recipe(cloned(data)), tmp_path / "run")
    for name in ("observation_size", "classes", "choices"):
        with pytest.raises(UsageError, match=rf"{name} is 2, but the data has [13]; leave it out"):
            run_recipe(recipe(cloned(data, **{name: 2})), tmp_path / name)


@pytest.mark.parametrize("measured", ["by a stage", "in training"])
def test_a_game_that_nobody_names_is_refused_before_training(tmp_path, measured):
    data = steps(tmp_path / "data", observations=np.zeros((6, 3)), actions=np.arange(6)[:, None] % 3)
    fit = cloned(data)
    stages = [fit, played()] if measured == "by a stage" else [{**fit, "evaluators": ["control/rollouts"]}]
    checked = dry_run(recipe(*stages))
    assert isinstance(checked.error, UsageError)
    with pytest.raises(UsageError, match=r"control/rollouts: No game is named.*set environment\.id"):
        run_recipe(recipe(*stages), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("checkpoints"))
    named = [{**fit, "evaluators": [{"use": "control/rollouts", "environment": {"id": "toy_games:Base-v0"}, "episodes": 1}]}]
    assert dry_run(recipe(*named)).error is None


def test_a_model_that_goes_on_with_other_data_is_refused(tmp_path):
    first = steps(tmp_path / "a", observations=np.zeros((6, 3)), actions=np.arange(6)[:, None] % 3)
    for name, fields, words in (
        ("wide", {"observations": np.zeros((6, 5)), "actions": np.zeros((6, 1), int)}, "reads observations of 3 numbers"),
        ("many", {"observations": np.zeros((6, 3)), "actions": np.zeros((6, 2), int)}, "the data needs"),
    ):
        second = {**cloned(steps(tmp_path / name, **fields)), "name": "again", "model": {"from": "clone"}}
        with pytest.raises(UsageError, match=words):
            run_recipe(recipe(cloned(first), second), tmp_path / f"run-{name}")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"observations": np.zeros(6), "actions": np.zeros((6, 1), int)}, "observations have the shape .* expected a vector"),
        ({"observations": np.zeros((6, 3)), "actions": np.zeros(6, int)}, "actions have the shape .* expected a vector"),
        ({"observations": np.zeros((6, 3)), "actions": np.arange(6)[:, None]}, "actions are 0 to 5, but there are 3 classes"),
        ({"observations": np.zeros((6, 3)), "actions": np.full((6, 1), -1)}, "actions are -1 to -1"),
    ],
)
def test_episodes_that_are_no_steps_are_refused(tmp_path, fields, words):
    with pytest.raises(DataError, match=words):
        run_recipe(recipe(cloned(steps(tmp_path / "data", **fields))), tmp_path / "run")


def test_a_change_of_the_game_in_the_index_is_another_recording(tmp_path):
    from omnitrain_control.configs.data import EpisodesConfig
    from omnitrain_control.data.episodes import EpisodesData

    found = set()
    for game in ("a", "b"):
        data = steps(tmp_path / game, {"game": {"id": game}}, observations=np.zeros((3, 2)), actions=np.zeros((3, 1), int))
        found.add(EpisodesData(EpisodesConfig(path=data["path"])).fingerprint)
    assert len(found) == 2


def test_a_request_to_stop_ends_an_episode_that_never_ends(tmp_path):
    with pytest.raises(Stopped):
        run_recipe(whole("toy_games:Asked-v0"), tmp_path)
    told = [event for event in events(tmp_path) if event["event"] == "no limit"]
    assert "environment.steps sets one" in told[0]["note"]


def test_a_limit_of_steps_ends_an_episode_that_never_ends(tmp_path):
    found = run_recipe(recipe(recorded("toy_games:Endless-v0", steps=9), cloned({"from": "record"}), played()), tmp_path)
    assert EpisodeStore(tmp_path / "record/data").lengths.tolist() == [9] * 4
    assert found.values("play", "control/rollouts")["length"] == 9
    assert not [event for event in events(tmp_path) if event["event"] == "no limit"]


FAULTS = {
    "Fails": (EnvironmentFault, r"Fails-v0 fails in step\(action\): RuntimeError: simulator crashed"),
    "FailsWhenMade": (EnvironmentFault, r"FailsWhenMade-v0' fails when it is made: OSError: no licence server"),
    "Lacks": (EnvironmentFault, r"Lacks-v0 fails in reset\(seed=\.\.\.\): DependencyNotInstalled: pygame is not installed"),
    "Old": (EnvironmentFault, r"gymnasium's interface: reset\(seed=\.\.\.\) gives ndarray, expected \(observation, info\)"),
    "OldSteps": (EnvironmentFault, r"step\(action\) gives 4 values, expected \(observation, reward, terminated"),
    "Seedless": (EnvironmentFault, r"fails in reset\(seed=\.\.\.\): TypeError: .*unexpected keyword argument 'seed'"),
    "Shapeless": (EnvironmentFault, r"observations of the shape \(2,\); their space is Box"),
    "Priceless": (EnvironmentFault, r"gives the reward None; expected a number"),
    "NanSeen": (EnvironmentFault, r"NanSeen-v0: observation array\(.*has NaN, in step 2 of episode 0; correct the environment"),
    "NanRewarded": (EnvironmentFault, r"NanRewarded-v0: reward .*nan.* has NaN, in step 1 of episode 0; correct the"),
    "Ragged": (EnvironmentFault, r"Ragged-v0: observation \[0\.0, \[0\.0, 0\.0\]\] is no array of numbers"),
    "Nowhere": (UsageError, r"gymnasium can't make the environment 'toy_games:Nowhere-v0'"),
}


class Idle:
    """Plays the first action."""

    def act(self, observations, first):
        from omnitrain_control.rollouts import Decision

        return Decision([0] * len(first), {"actions": np.zeros((len(first), 1), np.int64)})


def fault_of(name, processes):
    with (
        pytest.raises(OmnitrainError) as found,
        Fleet(partial(make_game, f"toy_games:{name}-v0", {}), 2, 0, processes) as fleet,
    ):
        play_episodes(fleet, Idle(), 2)
    return found.value


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_an_environment_are_told_with_its_own_words(name):
    kind, words = FAULTS[name]
    with pytest.raises(kind, match=words):
        raise fault_of(name, 0)


@pytest.mark.parametrize("name", ["Fails", "Nowhere"])
def test_faults_are_the_same_in_processes(name):
    here, apart = fault_of(name, 0), fault_of(name, 2)
    assert (type(here), str(here)) == (type(apart), str(apart))


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(EnvironmentFault, match=r"of the module 'no_such_module', which is not there: .*PYTHONPATH"):
        make_environment("no_such_module:Env-v0")


def test_settings_that_an_environment_does_not_take_are_refused():
    for settings in ({"colour": 3}, {"name": 3}, {"id": 3}):
        with pytest.raises(UsageError, match="gymnasium can't make the environment"):
            make_environment("toy_games:Base-v0", **settings)


def test_a_game_that_its_seed_does_not_decide_is_told(tmp_path):
    run_recipe(recipe(recorded("toy_games:Unseeded-v0")), tmp_path)
    assert [event["event"] for event in events(tmp_path)].count("not repeatable") == 1
    run_recipe(recipe(recorded("toy_games:Base-v0")), tmp_path / "other")
    assert "not repeatable" not in [event["event"] for event in events(tmp_path / "other")]
