"""Training by Stable-Baselines3: its own results, stopped and gone on with exactly, refused where settings can't work."""

from contextlib import contextmanager

import numpy as np
import pytest
import stable_baselines3
import torch
import toy_games
from stable_baselines3.common.type_aliases import TrainFreq
from torch.optim.optimizer import register_optimizer_step_pre_hook

from omnitrain.api import UseModel
from omnitrain.engine import scratch_run
from omnitrain.errors import NumericalError, Stopped, UsageError
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.configs.stages import Sb3Config
from omnitrain_control.fleets import make_fleet
from omnitrain_control.sb3.settings import made_algorithm, tried_algorithm
from omnitrain_control.sb3.training import training_of
from omnitrain_control.sb3.vecenv import FleetVecEnv, SpacesOnly
from omnitrain_control.sb3.views import view_of
from omnitrain_control.stages.sb3 import sb3
from omnitrain_testing.running import dry_run, run_recipe

NET = {"policy_kwargs": {"net_arch": [8]}}
OFF = {**NET, "learning_starts": 6, "batch_size": 4, "buffer_size": 24}
ALGORITHMS = {
    "PPO": ("toy_games:Base-v0", {**NET, "n_steps": 8, "batch_size": 8, "n_epochs": 2, "learning_rate": {"linear": 1e-2}}),
    "PPO continuous": ("toy_games:Reach-v0", {**NET, "n_steps": 8, "batch_size": 16, "n_epochs": 1, "use_sde": True}),
    "SAC": ("toy_games:Reach-v0", {**OFF, "gradient_steps": -1}),
    "SAC by state": ("toy_games:Reach-v0", {**OFF, "use_sde": True, "train_freq": 3}),
    "TD3": ("toy_games:Reach-v0", {**OFF, "train_freq": [2, "step"], "action_noise": {"ornstein_uhlenbeck": 0.2}}),
    "DQN": ("toy_games:FromOne-v0", {**OFF, "train_freq": 2, "gradient_steps": 3, "target_update_interval": 4}),
}


def config(name, **settings):
    game, own = ALGORITHMS[name]
    given = {"algorithm": name.split()[0], "environment": EnvironmentConfig(id=game, count=2), "settings": own, "steps": 36}
    return Sb3Config(**{**given, "log_every": 5, "episodes": 2, "film": False, **settings})


def learning(settings, fleet):
    view = view_of(fleet.source_space, fleet.action_space, settings.policy)
    environment = FleetVecEnv(fleet, view.observation_space, view.action_space, view.observe, view.act)
    return made_algorithm(settings.algorithm, settings.policy, environment, settings.settings, 3, "cpu"), environment


def to_the_end(training):
    while not training.done:
        training.advance()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_weights_are_those_that_its_own_learn_gives(name):
    settings, found = config(name), []
    for ours in (False, True):
        with make_fleet(settings.environment, 1) as fleet, scratch_run() as run:
            algorithm, environment = learning(settings, fleet)
            if ours:
                training = training_of(algorithm, environment, run, settings.steps, 0)
                to_the_end(training)
            else:
                algorithm.learn(settings.steps)
            found.append((algorithm.num_timesteps, algorithm._n_updates, algorithm.get_parameters()["policy"]))
    assert found[0][:2] == found[1][:2]
    assert all(torch.equal(value, found[1][2][key]) for key, value in found[0][2].items())


def left_by(run):
    return [(run.directory / "model" / name).read_bytes() for name in ("model.safetensors", "sb3.zip")]


class Asking:
    """Asks a run to stop at the n-th step of its environments or update of its weights."""

    def __init__(self, run, at):
        self.run, self.left = run, at

    def __call__(self, *ignored, **named):
        self.left -= 1
        if self.left == 0:
            self.run.ask_to_stop()


@contextmanager
def asked_in(run, place, at):
    asking = Asking(run, at)
    if place == "updates":
        handle = register_optimizer_step_pre_hook(asking)
        yield
        handle.remove()
        return
    step = FleetVecEnv.step_async
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FleetVecEnv, "step_async", lambda self, actions: (asking(), step(self, actions))[1])
        yield


@pytest.mark.parametrize(
    ("name", "place", "at"),
    [(name, "steps", 13) for name in ALGORITHMS] + [("PPO", "steps", 3), ("PPO", "updates", 5), ("SAC", "updates", 9)],
)
def test_stopped_anywhere_it_goes_on_to_the_same_bits(name, place, at):
    settings = config(name)
    with scratch_run() as run:
        sb3(settings, run)
        expected = run.lines(), left_by(run)
    with scratch_run() as run:
        with asked_in(run, place, at), pytest.raises(Stopped):
            sb3(settings, run)
        run._stop._reason = None
        sb3(settings, run)
        assert run.lines() == expected[0]
        assert left_by(run) == expected[1]
        assert [event["event"] for event in run.events()].count("resumed") == 1


def test_pictures_and_dictionaries_are_seen_as_they_are_and_resumed(monkeypatch):
    settings = Sb3Config(
        algorithm="PPO",
        environment=EnvironmentConfig(id="toy_games:Room-v0", count=2),
        policy="MultiInputPolicy",
        settings={"n_steps": 4, "batch_size": 8, "n_epochs": 1},
        steps=16,
        episodes=1,
    )
    seen = []
    monkeypatch.setattr(FleetVecEnv, "step_async", _noting(FleetVecEnv.step_async, seen))
    with scratch_run() as run:
        sb3(settings, run)
        assert (run.directory / "evaluations").is_dir()
        picture = run.directory.glob("evaluations/**/*.mp4")
        assert len(list(picture)) == 1
    space = seen[0].observation_space
    assert space["view"] == toy_games.Large.observation_space
    assert space["room"].n == 3


def _noting(step, seen):
    def noting(self, actions):
        seen.append(self)
        return step(self, actions)

    return noting


def test_a_cut_episode_is_bootstrapped_from_its_last_observation():
    with make_fleet(EnvironmentConfig(id="toy_games:Reach-v0", count=2), 0) as fleet:
        view = view_of(fleet.source_space, fleet.action_space, "MlpPolicy")
        environment = FleetVecEnv(fleet, view.observation_space, view.action_space, view.observe, view.act)
        environment.reset()
        for step in range(5):
            environment.step_async(np.full((2, 2), 0.5))
            observations, rewards, ends, infos = environment.step_wait()
            assert ends.tolist() == [step == 4] * 2
    assert rewards.tolist() == [-0.5, -0.5]
    assert infos[0]["episode"] == {"r": -2.5, "l": 5}
    assert infos[0]["TimeLimit.truncated"]
    assert infos[0]["is_success"]
    assert not np.array_equal(infos[0]["terminal_observation"], observations[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_algorithm_that_diverges_ends_with_7_and_leaves_no_policy():
    settings = config("PPO", settings={**ALGORITHMS["PPO"][1], "learning_rate": 1e30}, steps=100)
    with scratch_run() as run:
        with pytest.raises(NumericalError, match=r"not finite|NaN or infinite"):
            sb3(settings, run)
        assert not (run.directory / "model").exists()


def test_updates_whose_gradient_is_not_finite_are_left_out():
    settings = config("DQN", skip_nonfinite=3)
    with make_fleet(settings.environment, 1) as fleet, scratch_run() as run:
        algorithm, environment = learning(settings, fleet)
        training = training_of(algorithm, environment, run, settings.steps, settings.skip_nonfinite)
        while not training.algorithm._n_updates:
            training.advance()
        before = {name: value.clone() for name, value in algorithm.q_net.state_dict().items()}
        algorithm.replay_buffer.rewards[:] = np.nan
        with pytest.raises(NumericalError, match="4 updates in a row"):
            to_the_end(training)
        assert all(torch.equal(value, before[name]) for name, value in algorithm.q_net.state_dict().items())
        assert len(run.events("skipped update")) == 4


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("PPO", {"n_step": 8}, "settings.n_step: PPO of Stable-Baselines3 .* has no such setting. Did you mean 'n_steps'"),
        ("PPO", {"buffer_size": 8}, "settings.buffer_size: PPO of Stable-Baselines3 .* has no such setting"),
        ("SAC", {"seed": 1}, "settings.seed: it follows from the seed of the recipe; leave it out"),
        ("SAC", {"replay_buffer_class": "HerReplayBuffer"}, "settings.replay_buffer_class: it is a class of Python"),
        ("SAC", {"batch_size": "64"}, "settings.batch_size: expected a whole number, not '64'"),
        ("SAC", {"batch_size": 0}, "settings.batch_size: expected 1 or more, not 0"),
        ("SAC", {"gamma": True}, "settings.gamma: expected a number, not True"),
        ("SAC", {"train_freq": [1, "episode"]}, "settings.train_freq: .* environment.count is 2; set it to 1"),
        ("SAC", {"ent_coef": "slow"}, "settings: SAC of Stable-Baselines3 refuses them: ValueError: could not convert"),
        ("TD3", {"action_noise": 0.1}, "settings.action_noise: expected {normal: deviation}"),
        ("PPO", {"learning_rate": {"cosine": 1}}, "settings.learning_rate: expected a number or {linear: number}"),
        ("PPO", {"policy_kwargs": {"activation_fn": "Relu"}}, "policy_kwargs.activation_fn: 'Relu' is none. .*'ReLU'"),
        ("PPO", {"policy_kwargs": {"optimizer_class": "Adam"}}, "policy_kwargs.optimizer_class: it is a class of Python"),
        ("PPO", {"policy_kwargs": {"net_arc": [8]}}, "settings: PPO of Stable-Baselines3 refuses them: .*net_arc"),
        ("DQN", {}, "only supports"),
    ],
)
def test_settings_that_it_does_not_take_are_refused_before_a_step(name, settings, said):
    spaces = SpacesOnly(2, toy_games.Reach.observation_space, toy_games.Reach.action_space)
    before = torch.get_rng_state()
    with pytest.raises(UsageError, match=said):
        tried_algorithm(name, "MlpPolicy", spaces, settings)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("game", "policy", "said"),
    [
        ("Room", "MlpPolicy", "policy: MlpPolicy does not read observations of Dict.*; set MultiInputPolicy"),
        ("Base", "CnnPolicy", "policy: CnnPolicy reads pictures"),
        ("Pictures", "CnnPolicy", "with sides of 36 and more"),
        ("Base", "MultiInputPolicy", "set MlpPolicy or CnnPolicy"),
    ],
)
def test_a_policy_that_does_not_read_the_observations_is_refused(game, policy, said):
    kind = getattr(toy_games, game)
    with pytest.raises(UsageError, match=said):
        view_of(kind.observation_space, kind.action_space, policy)


def test_the_dry_run_says_what_is_trained_and_finds_a_wrong_setting():
    stage = {"name": "train", "use": "control/sb3", "algorithm": "SAC", "environment": {"id": "toy_games:Reach-v0", "count": 2}}
    told = dry_run({"summary": "s", "seed": 0, "stages": [{**stage, "settings": OFF}]}).stages[0].notes
    assert any("SAC of Stable-Baselines3 with" in note for note in told)
    assert any("24 steps of replay" in note for note in told)
    wrong = dry_run({"summary": "s", "seed": 0, "stages": [{**stage, "settings": {"tau": "slow"}}]})
    assert isinstance(wrong.error, UsageError)
    assert "settings.tau: expected a number" in str(wrong.error)


def test_training_begins_with_another_policy_of_the_same_shape():
    begun = []
    settings = config("PPO", start=UseModel(use="control/sb3"), episodes=0)
    for net in ([8], [9]):
        other = {**ALGORITHMS["PPO"][1], "policy_kwargs": {"net_arch": net}}
        with scratch_run() as run:
            sb3(config("PPO", settings=other, episodes=0), run)
            policy = run.load(run.directory / "model")
        with scratch_run(build=lambda use, facts, policy=policy: policy) as run:
            if net == [9]:
                with pytest.raises(UsageError, match="start: its policy has other parts"):
                    sb3(settings, run)
            else:
                sb3(settings, run)
                begun.append(run.lines()[0]["rollout/ep_rew_mean"])
    assert begun == [5.0]


def test_an_expert_is_trained_recorded_imitated_and_played(tmp_path):
    stages = [
        {
            "name": "train",
            "use": "control/sb3",
            "algorithm": "TD3",
            "environment": {"id": "toy_games:Reach-v0", "count": 2},
            "settings": OFF,
            "steps": 12,
            "episodes": 2,
        },
        {"name": "record", "use": "control/record", "environment": {"count": 2}, "episodes": 4, "player": {"from": "train"}},
        {
            "name": "clone",
            "use": "core/fit",
            "data": {"from": "record"},
            "model": {"use": "control/mlp", "width": 4, "layers": 1},
            "objective": {"use": "control/cloning"},
            "fit": {"steps": 2, "batch_size": 4, "learning_rate": 1e-2, "evaluate_batches": 0},
        },
        {"name": "play", "use": "core/evaluate", "model": {"from": "train"}, "evaluators": [{"use": "control/rollouts"}]},
    ]
    run = run_recipe({"summary": "an expert", "seed": 0, "stages": stages}, tmp_path)
    assert run.values("train", "control/sb3")["length"] == 5
    assert run.values("play", "control/rollouts")["length"] == 5
    again = stable_baselines3.TD3.load(tmp_path / "train/model/sb3.zip")
    assert again.num_timesteps == 12
    assert again.train_freq == TrainFreq(1, again.train_freq.unit)


@pytest.mark.parametrize(("name", "read"), [("SAC", {"actions": "classes", "bins": 4}), ("DQN", {})])
def test_the_replay_is_left_as_trajectories(tmp_path, name, read):
    game, own = ALGORITHMS[name]
    world = {"id": game, "count": 2}
    train = {"name": "train", "use": "control/sb3", "algorithm": name, "environment": world, "settings": own, "steps": 20}
    clone = {
        "name": "clone",
        "use": "core/fit",
        "data": {"from": "train/replay", **read},
        "model": {"use": "control/mlp", "width": 4, "layers": 1},
        "objective": {"use": "control/cloning"},
        "fit": {"steps": 2, "batch_size": 4, "learning_rate": 1e-2, "evaluate_batches": 0},
    }
    recipe = {"summary": "a replay", "seed": 0, "stages": [{**train, "keep_replay": True, "episodes": 0}, clone]}
    run_recipe(recipe, tmp_path)
    with np.load(tmp_path / "train/replay/replay.npz") as arrays:
        assert int(arrays["pos"]) == 10
        assert arrays["dones"][:10].sum(0).tolist() == [2, 2]
        assert np.abs(arrays["actions"]).max() <= (1 if name == "SAC" else 2)


def test_a_replay_that_is_not_there_or_holds_no_vectors_is_refused():
    with pytest.raises(ValueError, match="keep_replay: PPO forgets each rollout"):
        config("PPO", keep_replay=True)
    stage = {"name": "train", "use": "control/sb3", "algorithm": "DQN", "keep_replay": True, "settings": {"buffer_size": 10}}
    world = {"environment": {"id": "toy_games:Large-v0", "count": 1}, "policy": "CnnPolicy"}
    error = dry_run({"summary": "s", "seed": 0, "stages": [{**stage, **world}]}).error
    assert isinstance(error, UsageError)
    assert "keep_replay: control/trajectories reads vectors" in str(error)
