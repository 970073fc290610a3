"""Small games with the habits that people's own environments have; named as "toy_games:Name-v0"."""

import os
import signal
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

TAKEN = []
"""The actions that `Notes` was given."""


class Base(gymnasium.Env):
    """Five steps, rewarded with 1 each; three numbers are seen."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, render_mode=None, length=5):
        self.length = length

    def seen(self):
        return self.np_random.random(3).astype(np.float32)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen(), {}

    def step(self, action):
        self.time += 1
        return self.seen(), 1.0, self.time >= self.length, False, {}


class NanSeen(Base):
    def seen(self):
        return np.full(3, np.nan if self.time == 2 else 0.0, np.float32)


class NanRewarded(Base):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class Ragged(Base):
    def seen(self):
        return [0.0, [0.0, 0.0]]


class Notes(Base):
    def step(self, action):
        TAKEN.append(np.asarray(action).tolist())
        assert self.action_space.contains(action), action
        return super().step(action)


class FromOne(Notes):
    action_space = spaces.Discrete(3, start=1)


class FromMinusOne(Notes):
    action_space = spaces.Discrete(3, start=-1)


class Several(Notes):
    action_space = spaces.MultiDiscrete([3, 2], start=[5, -1])


class Continuous(Notes):
    action_space = spaces.Box(-2, 2, (2,), np.float32)


class Square(Base):
    action_space = spaces.Box(-2, 2, (2, 2), np.float32)


class Named(Base):
    observation_space = spaces.Dict({"place": spaces.Box(-1, 1, (2,), np.float32), "room": spaces.Discrete(3, start=1)})

    def seen(self):
        return {"place": np.array([0.25, -0.5], np.float32), "room": 3}


class Pair(Base):
    observation_space = spaces.Tuple((spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)))

    def seen(self):
        return (np.array([0.25, -0.5], np.float32), 1)


class Numbered(Base):
    observation_space = spaces.Discrete(4)

    def seen(self):
        return 2


class Pictures(Base):
    observation_space = spaces.Box(0, 255, (4, 4, 3), np.uint8)

    def seen(self):
        return np.full((4, 4, 3), 51, np.uint8)


class Large(Base):
    observation_space = spaces.Box(0, 255, (36, 36, 3), np.uint8)

    def seen(self):
        return self.np_random.integers(0, 256, (36, 36, 3), np.uint8)


class Room(Base):
    """A picture, a place and a room; drawn as the picture."""

    observation_space = spaces.Dict({"view": Large.observation_space, "room": spaces.Discrete(3, start=1)})
    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 20}

    def seen(self):
        return {"view": self.np_random.integers(0, 256, (36, 36, 3), np.uint8), "room": self.np_random.integers(1, 4)}

    def render(self):
        return np.full((36, 36, 3), 10 * self.time, np.uint8)


class Reach(Base):
    """Steer towards 0 with two numbers from -2 to 2; an episode is cut, not ended."""

    action_space = spaces.Box(-2, 2, (2,), np.float32)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.time += 1
        return self.seen(), -float(np.square(action).sum()), False, self.time >= self.length, {"is_success": self.time > 3}


class Spoken(Base):
    observation_space = spaces.Text(8)

    def seen(self):
        return "here"


class Wide(Base):
    observation_space = spaces.Box(-1, 1, (4,), np.float32)

    def seen(self):
        return self.np_random.random(4).astype(np.float32)


class Asked(Base):
    """An episode that never ends and in which the run is asked to stop."""

    def step(self, action):
        self.time += 1
        if self.time == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        assert self.time < 1000, "nothing stops the play"
        return self.seen(), 1.0, False, False, {}


class Endless(Base):
    def step(self, action):
        return self.seen(), 1.0, False, False, {}


class Fails(Base):
    def step(self, action):
        if self.time >= 3:
            raise RuntimeError("simulator crashed")
        return super().step(action)


class FailsWhenMade(Base):
    def __init__(self, **settings):
        raise OSError("no licence server")


class Lacks(Base):
    def reset(self, seed=None, options=None):
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed, run `pip install pygame`")


class Old(Base):
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32)


class OldSteps(Base):
    def step(self, action):
        observation, reward, over, _, info = super().step(action)
        return observation, reward, over, info


class Seedless(Base):
    def reset(self):
        return super().reset()


class Unseeded(Base):
    def seen(self):
        return np.frombuffer(os.urandom(3), np.uint8).astype(np.float32) / 256


class Shapeless(Base):
    def seen(self):
        return np.zeros(2 if getattr(self, "time", 0) == 2 else 3, np.float32)


class Priceless(Base):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, None, *rest


for _name, _kind in list(globals().items()):
    if isinstance(_kind, type) and issubclass(_kind, Base):
        # Without gymnasium's own checker, which not everyone leaves on.
        gymnasium.register(f"{_name}-v0", entry_point=_kind, disable_env_checker=True)
