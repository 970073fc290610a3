"""Zip files of Stable-Baselines3: those that it wrote itself play as there, and nothing in one is ever run."""

import io
import json
import pickle
import zipfile

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
import toy_games
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from omnitrain.api import numpy_generator
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.configs.models import Sb3Config
from omnitrain_control.fleets import make_fleet
from omnitrain_control.models.sb3 import build
from omnitrain_control.observations import flat, unflat
from omnitrain_control.sb3.archives import read_policy
from omnitrain_control.spaces import described_space, same_shape, space_of
from omnitrain_testing.running import dry_run, run_recipe

SMALL = {"net_arch": [8]}
SAVED = {
    "PPO": ("Base", "MlpPolicy", {"activation_fn": torch.nn.ReLU, **SMALL}, {}),
    "A2C": ("Base", "MlpPolicy", {"net_arch": {"pi": [8], "vf": [4]}}, {}),
    "SAC": ("Reach", "MlpPolicy", SMALL, {"buffer_size": 10, "use_sde": True}),
    "TD3": ("Reach", "MlpPolicy", SMALL, {"buffer_size": 10}),
    "DDPG": ("Reach", "MlpPolicy", SMALL, {"buffer_size": 10}),
    "DQN": ("Numbered", "MlpPolicy", SMALL, {"buffer_size": 10}),
    "pictures": ("Large", "CnnPolicy", {"features_extractor_kwargs": {"features_dim": 8}}, {}),
    "dictionary": ("Room", "MultiInputPolicy", {}, {}),
}


def game(name):
    made = gymnasium.make(f"toy_games:{name}-v0")
    made.reset(seed=0)
    return made


def saved(path, name="PPO"):
    """A policy that Stable-Baselines3 itself made and saved, as its users do."""
    world, policy, own, settings = SAVED[name]
    kind = getattr(stable_baselines3, name, stable_baselines3.PPO)
    made = kind(policy, DummyVecEnv([lambda: game(world)]), policy_kwargs=dict(own), seed=1, device="cpu", **settings)
    made.save(path)
    return made


def changed(path, target, **members):
    """A copy with members replaced by bytes, or left out where they are None."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for member in source.infolist():
            content = members.pop(member.filename.replace(".", "_"), source.read(member))
            if content is not None:
                archive.writestr(member.filename, content)
        for name, content in members.items():
            archive.writestr(name, content)
    return target


@pytest.mark.parametrize("name", SAVED)
def test_a_users_own_file_plays_as_it_does_there(tmp_path, name):
    made = saved(tmp_path / "own.zip", name)
    environment = EnvironmentConfig(id=f"toy_games:{SAVED[name][0]}-v0", count=3)
    with scratch_run() as run:
        model = build(Sb3Config(path=str(tmp_path / "own.zip"), environment=environment), run)
    with make_fleet(environment, 5) as fleet:
        observations, _ = fleet.reset()
        player = model.player(fleet, environment.id, None)
        ours = player.act(observations, np.ones(3, bool))
        theirs, _ = made.predict(player.view.observe(observations), deterministic=True)
        np.testing.assert_array_equal(np.stack(ours.actions), np.stack(player.view.act(theirs)))
        drawn = [model.player(fleet, environment.id, numpy_generator(1)).act(observations, None).actions for _ in range(2)]
        np.testing.assert_array_equal(*map(np.stack, drawn))


def test_a_file_is_recorded_and_measured_by_its_path(tmp_path):
    saved(tmp_path / "own.zip", "SAC")
    world = {"id": "toy_games:Reach-v0", "count": 2}
    player = {"use": "control/sb3", "path": str(tmp_path / "own.zip"), "environment": world}
    measured = {"name": "play", "use": "core/evaluate", "model": player, "evaluators": [{"use": "control/rollouts"}]}
    recorded = {"name": "record", "use": "control/record", "environment": {"count": 2}, "episodes": 4, "player": player}
    recipe = {"summary": "a user's own", "seed": 0, "stages": [recorded, measured]}
    assert dry_run(recipe).error is None
    assert run_recipe(recipe, tmp_path / "run").values("play", "control/rollouts")["length"] == 5


class Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of a file was run')",)


def test_pickles_beside_the_readable_fields_are_not_touched(tmp_path):
    import base64

    saved(tmp_path / "own.zip")
    with zipfile.ZipFile(tmp_path / "own.zip") as archive:
        fields = json.loads(archive.read("data"))
    code = base64.b64encode(pickle.dumps(Runs())).decode()
    for field in fields.values():
        if isinstance(field, dict) and ":serialized:" in field:
            field[":serialized:"] = code
    path = changed(tmp_path / "own.zip", tmp_path / "hostile.zip", data=json.dumps(fields))
    with pytest.raises(SystemExit):
        stable_baselines3.PPO.load(path)
    assert read_policy(path).settings == {"net_arch": [8], "activation_fn": "ReLU"}


def pickled(value):
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def grown(content):
    """An archive as torch writes it, whose one member unpacks to much more."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(2**22))
    return target.getvalue()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"policy_pth": pickled({"a": Runs()})}, "policy.pth holds more than tensors, which is not read"),
        ({"policy_pth": pickle.dumps(Runs())}, "can't be read as a policy of Stable-Baselines3"),
        ({"policy_pth": grown(b"")}, "policy.pth unpacks to"),
        ({"policy_pth": pickled([1, 2])}, "policy.pth is no mapping from names to tensors"),
        ({"policy_pth": None}, "has no 'policy.pth'"),
        ({"data": None}, "has no 'data'"),
        ({"data": b"[" * 100_000}, "data is no JSON"),
        ({"data": b"[]"}, "data is a list"),
        ({"data": b"{}"}, "its fields are of no algorithm that is known here"),
        ({"../../evil.py": b"raise SystemExit"}, "has the member '../../evil.py', which Stable-Baselines3 never writes"),
        ({"/etc/passwd": b"root"}, "has the member '/etc/passwd'"),
    ],
)
def test_a_hostile_or_damaged_file_is_refused_and_nothing_is_run(tmp_path, members, said):
    saved(tmp_path / "own.zip")
    with pytest.raises(DataError, match=said):
        read_policy(changed(tmp_path / "own.zip", tmp_path / "hostile.zip", **members))
    assert not (tmp_path.parent / "evil.py").exists()


def test_a_file_that_grows_when_it_is_unpacked_is_refused(tmp_path):
    saved(tmp_path / "own.zip")
    path = changed(tmp_path / "own.zip", tmp_path / "bomb.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pytorch_variables.pth.more", bytes(2**25))
    with pytest.raises(DataError, match="unpacks to"):
        read_policy(path)
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:1000])
    (tmp_path / "text.zip").write_text("no zip")
    for damaged in ("cut.zip", "text.zip", "absent.zip"):
        with pytest.raises(DataError, match=damaged):
            read_policy(tmp_path / damaged)


class Own(stable_baselines3.common.policies.ActorCriticPolicy):
    """A user's own class of policy."""


class Features(stable_baselines3.common.torch_layers.FlattenExtractor):
    """A user's own features."""


def test_what_only_the_users_code_tells_is_named(tmp_path):
    environment = DummyVecEnv([lambda: game("Base")])
    for policy, own, said in (
        (Own, {}, "its policy is a class of"),
        ("MlpPolicy", {"features_extractor_class": Features}, "policy_kwargs.features_extractor_class is .*Features"),
    ):
        stable_baselines3.PPO(policy, environment, policy_kwargs=own).save(tmp_path / "own.zip")
        with pytest.raises(DataError, match=said):
            read_policy(tmp_path / "own.zip")


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({}, UsageError, "environment.id is missing: the file of Stable-Baselines3 keeps the spaces"),
        ({"environment": "Wide"}, DataError, r"has the shape \[8, 3\], and for toy_games:Wide-v0 .* has \[8, 4\]"),
        ({"environment": "Base", "algorithm": "SAC"}, UsageError, "algorithm is SAC, and .* is of PPO"),
        ({"environment": "Base", "policy_settings": {"net_arch": [8, 8]}}, DataError, "set policy_settings"),
        ({"environment": "Base", "policy_settings": {"net_arch": [9]}}, DataError, r"has the shape \[8, 3\]"),
        ({"environment": "Named", "policy": "MlpPolicy"}, UsageError, "set MultiInputPolicy"),
    ],
)
def test_a_file_that_does_not_fit_says_what_is_missing(tmp_path, settings, kind, said):
    saved(tmp_path / "own.zip")
    given = dict(settings)
    if "environment" in given:
        given["environment"] = EnvironmentConfig(id=f"toy_games:{given['environment']}-v0")
    with scratch_run() as run, pytest.raises(kind, match=said):
        build(Sb3Config(path=str(tmp_path / "own.zip"), **given), run)


def test_a_policy_plays_only_where_observations_and_actions_are_its_own(tmp_path):
    saved(tmp_path / "own.zip")
    with scratch_run() as run:
        model = build(Sb3Config(path=str(tmp_path / "own.zip"), environment=EnvironmentConfig(id="toy_games:Base-v0")), run)
    for other, said in (("Wide", "The policy reads"), ("Continuous", "with the actions")):
        elsewhere = EnvironmentConfig(id=f"toy_games:{other}-v0", count=1)
        with make_fleet(elsewhere, 0) as fleet, pytest.raises(UsageError, match=said):
            model.player(fleet, other, None)


SPACES = [
    spaces.Box(-1, 1, (3,), np.float32),
    spaces.Box(np.array([0.0, -np.inf]), np.array([np.inf, 0.25]), (2,), np.float64),
    spaces.Box(0, 255, (4, 4, 3), np.uint8),
    spaces.Discrete(4, start=-1),
    spaces.MultiDiscrete([3, 2], start=[5, -1]),
    spaces.MultiBinary(3),
    spaces.Dict({"a": spaces.Box(-1, 1, (2, 2), np.float32), "b": spaces.Discrete(3, start=1)}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_come_back_from_json_and_observations_from_vectors(space):
    again = space_of(json.loads(json.dumps(described_space(space), allow_nan=False)))
    assert again == space
    assert same_shape(space, again)
    space.seed(0)
    drawn = [space.sample() for _ in range(5)]
    found = unflat(space, np.stack([flat(space, value) for value in drawn]))
    for number, value in enumerate(drawn):
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for key, part in parts:
            np.testing.assert_allclose((found if key is None else found[key])[number], part, rtol=1e-6)


def test_other_shapes_are_not_the_same():
    for number, one in enumerate(SPACES):
        assert [same_shape(one, other) for other in SPACES].index(True) == number
    assert toy_games.Room.observation_space != toy_games.Named.observation_space
    assert not same_shape(toy_games.Room.observation_space, toy_games.Named.observation_space)
