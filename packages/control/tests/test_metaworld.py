"""Meta-World: episodes that the seed decides, goals that are seen, scripted policies, pictures, and what is said without it."""

import importlib.util
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_control import metaworld
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.configs.models import ScriptedConfig
from omnitrain_control.environments import make_environment
from omnitrain_control.fleets import Fleet, make_fleet
from omnitrain_control.games import chosen_game
from omnitrain_control.metaworld import ID, MetaWorld, ScriptedActor, make_task
from omnitrain_control.models.scripted import build
from omnitrain_control.players import Plays
from omnitrain_control.rollouts import Collector, episode_metrics, play_episodes

needs_simulator = pytest.mark.skipif(
    importlib.util.find_spec("metaworld") is None, reason="Meta-World is not installed: omnitrain-control[metaworld]"
)


def trace(environment, seed, steps=12):
    generator = np.random.default_rng(0)
    observation, _ = environment.reset(seed=seed)
    found = [observation]
    for _ in range(steps):
        observation, reward, *_ = environment.step(generator.uniform(-1, 1, 4).astype(np.float32))
        found += [observation, np.float64(reward)]
    return b"".join(part.tobytes() for part in found)


@needs_simulator
@pytest.mark.parametrize("task", ["drawer-open-v3", "push-v3", "faucet-close-v3"])
def test_the_same_seed_is_the_same_trajectory_wherever_and_whenever(task):
    one, other = MetaWorld(task), MetaWorld(task)
    np.random.seed(1)  # the generator that Meta-World draws from by itself
    first = trace(one, 5)
    trace(other, 9)
    np.random.seed(2)
    assert trace(other, 5) == first
    assert trace(one, 5) == first
    assert trace(one, 6) != first


@needs_simulator
def test_the_goal_is_seen_and_drawn_anew():
    environment = MetaWorld("reach-v3")
    goals = [environment.reset(seed=seed)[0][-3:] for seed in (1, 2)]
    assert all(np.abs(goal).min() > 0 for goal in goals)
    assert not np.array_equal(*goals)
    stepped = environment.step(np.zeros(4, np.float32))[0]
    assert np.array_equal(stepped[-3:], goals[1])
    assert environment.observation_space.contains(stepped)


@needs_simulator
def test_scripted_policies_of_several_tasks_succeed_in_one_fleet_that_resumes_to_the_bit():
    tasks = ["drawer-close-v3", "reach-v3"]
    makers = [partial(make_task, task, 90) for task in tasks]
    with Fleet(makers, 1, 3) as fleet, Fleet(makers, 1, 3) as again:
        assert fleet.names == tasks
        assert fleet.unrepeatable() == []
        one, two = Collector(fleet), Collector(again)
        one.collect(ScriptedActor(fleet.names), 5)
        two.load_state_dict(one.state_dict())
        a, b = (c.collect(ScriptedActor(c.fleet.names), 4) for c in (one, two))
        assert np.array_equal(a.observations, b.observations)
        found = play_episodes(fleet, ScriptedActor(fleet.names), 2)
    assert [episode["success_once"] for episode in found] == [1.0, 1.0]
    assert episode_metrics(found)["success once"].value == 1.0
    assert [episode["length"] for episode in found] == [90, 90]


@needs_simulator
def test_a_recipe_names_a_task_and_noise_moves_the_policies():
    environment = make_environment(ID, task="drawer-open-v3")
    observation, _ = environment.reset(seed=0)
    first = np.ones(1, bool)
    calm = ScriptedActor(["drawer-open-v3"]).act(observation[None], first)
    noisy = ScriptedActor(["drawer-open-v3"], 0.5, np.random.default_rng(0)).act(observation[None], first)
    assert not np.array_equal(calm.kept["controls"], noisy.kept["controls"])
    assert np.abs(noisy.kept["controls"]).max() <= 1
    with pytest.raises(UsageError, match="no task 'drawer-opens'; the nearest are drawer-open-v3"):
        MetaWorld("drawer-opens")


@needs_simulator
def test_a_scripted_model_plays_its_task_and_refuses_another_game():
    model = build(ScriptedConfig(task="drawer-close-v3", deviation=0.1), None)
    assert isinstance(model, Plays)
    game = chosen_game(EnvironmentConfig(), model.game, "nobody")
    with make_fleet(game.model_copy(update={"count": 2}), 1) as fleet:
        assert fleet.names == ["drawer-close-v3"] * 2
        assert fleet.limit == 200
        found = Collector(fleet).collect(model.player(fleet, game.id, np.random.default_rng(0)), 3)
    assert found.kept["actions"].shape == (2, 3, 4)
    with Fleet(partial(make_environment, "CartPole-v1"), 1, 0) as fleet, pytest.raises(UsageError, match="plays Meta-World's"):
        model.player(fleet, "CartPole-v1", None)


DRAWS = """
import numpy as np
from omnitrain_control.metaworld import MetaWorld
made = MetaWorld("drawer-open-v3", "rgb_array", size=(48, 64))
made.reset(seed=0)
before = made.render()
for _ in range(10):
    made.step(np.ones(4, np.float32))
after = made.render()
assert before.shape == (48, 64, 3) and before.dtype == np.uint8 and before.std() > 10, before.std()
assert (before != after).any()
"""


@needs_simulator
@pytest.mark.skipif(not metaworld.ctypes.util.find_library("EGL"), reason="libegl1 is not installed, which draws")
def test_pictures_are_drawn_without_a_display_and_nothing_is_said_at_the_end():
    environment = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    done = subprocess.run([sys.executable, "-c", DRAWS], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_simulator_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'omnitrain-control\[metaworld\]'"):
        make_environment(ID, task="drawer-open-v3")


def test_a_library_of_drawing_that_is_missing_is_named(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "mujoco":
                raise AttributeError("'NoneType' object has no attribute 'glGetError'")

    monkeypatch.delitem(sys.modules, "mujoco", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(EnvironmentFault, match=r"can't draw with MUJOCO_GL=osmesa \(AttributeError: .*: install libosmesa6\."):
        make_environment(ID, task="drawer-open-v3")
