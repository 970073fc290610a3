"""Meta-World's tasks with episodes that their seed decides, and its scripted policies. Needs `omnitrain-control[metaworld]`.

In a recipe a task is `environment: {id: "omnitrain_control.metaworld:MetaWorld-v0", settings: {task: drawer-open-v3}}`; in code
`partial(make_task, "drawer-open-v3")` is a maker of a `Fleet`.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import difflib
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_control.codecs import codec_of
from omnitrain_control.environments import named_words
from omnitrain_control.rollouts import Decision

ID = "omnitrain_control.metaworld:MetaWorld-v0"
HORIZON = 200
ACTIONS = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
SHOWN_GROUPS = (0, 4)
"""Groups of a scene's shapes that are drawn: what is touched. The others are fine meshes of the same, ten times dearer."""

_PACKAGES = {"egl": "libegl1 and libgl1-mesa-dri", "osmesa": "libosmesa6"}


def _choose_drawing() -> None:
    """Set MUJOCO_GL, which MuJoCo reads once, when it is imported; processes of a fleet come by here too."""
    if "MUJOCO_GL" in os.environ or sys.platform != "linux" or "mujoco" in sys.modules:
        return
    # What MuJoCo takes by default needs a display. Without either library it still simulates.
    found = [kind for kind, library in (("egl", "EGL"), ("osmesa", "OSMesa")) if ctypes.util.find_library(library)]
    os.environ["MUJOCO_GL"] = found[0] if found else "disable"


def _drawing_fault(error: Exception) -> EnvironmentFault:
    """Return what is said where pictures can't be drawn: the libraries' own words tell nothing of what is missing."""
    kind = os.environ.get("MUJOCO_GL", "")
    advice = f"install {_PACKAGES[kind]}" if kind in _PACKAGES else f"set MUJOCO_GL=egl and install {_PACKAGES['egl']}"
    return EnvironmentFault(f"MuJoCo can't draw with MUJOCO_GL={kind or 'unset'} ({named_words(error)}): {advice}.")


def _simulator() -> tuple[dict[str, Callable[[], Any]], dict[str, Callable[[], Any]]]:
    """Return the classes of tasks and those of scripted policies by their names.

    Raises EnvironmentFault where Meta-World is not installed or MuJoCo can't be loaded.
    """
    _choose_drawing()
    try:
        import mujoco  # noqa: F401  # by itself, since what fails in it is drawing
    except ModuleNotFoundError as error:
        raise _missing() from error
    except Exception as error:  # PyOpenGL raises AttributeError for a library that is not there
        raise _drawing_fault(error) from error
    try:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP
    except ModuleNotFoundError as error:
        raise _missing() from error
    return ALL_V3_ENVIRONMENTS, ENV_POLICY_MAP


def _missing() -> EnvironmentFault:
    return EnvironmentFault("Meta-World is not installed: pip install 'omnitrain-control[metaworld]'.")


def task_names() -> list[str]:
    """Return the names of all tasks, such as "drawer-open-v3"."""
    return list(_simulator()[0])


def _class_of(task: str, classes: dict[str, Callable[[], Any]]) -> Callable[[], Any]:
    if task not in classes:
        near = difflib.get_close_matches(task, classes, 3, 0.3)
        raise UsageError(f"Meta-World has no task {task!r}; the nearest are {', '.join(near) or ', '.join(classes)}.")
    return classes[task]


class MetaWorld(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """A task whose goal is seen and drawn anew in each episode, decided by the seed alone, to the last bit.

    Observations float64[39], actions float32[4] from -1 to 1. It never ends by itself. info holds Meta-World's own measures,
    `success` of this step and `success_once` of the episode so far as 0.0 or 1.0. size: height and width of pictures. camera: a
    name of the scene's, "corner", "corner2", "corner3", "corner4", "topview", "behindGripper" or "gripperPOV".
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 80}  # noqa: RUF012  # as gymnasium declares it

    def __init__(
        self, task: str, render_mode: str | None = None, size: tuple[int, int] = (192, 192), camera: str = "corner3"
    ) -> None:
        self.name, self.render_mode, self.size, self.camera = task, render_mode, size, camera
        made = _class_of(task, _simulator()[0])()
        # Otherwise its draws come from numpy's global generator, or stay those of the first episode.
        made.seeded_rand_vec, made._freeze_rand_vec = True, False
        # Otherwise the goal is hidden; the space that was kept has bounds of 0 for it, to which observations are clipped.
        made._partially_observable, made._set_task_called = False, True
        made.__dict__.pop("sawyer_observation_space", None)
        made.max_path_length = 10**9
        self.simulation = made
        self.observation_space, self.action_space = made.sawyer_observation_space, made.action_space
        self._once = False
        self._renderer: Any = None
        self._options: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Begin an episode. Without a seed it follows from the last one's."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self.simulation.seed(drawn)
        observation, info = self.simulation.reset(seed=drawn)
        self._once = False
        return observation, dict(info)

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Step the simulation."""
        observation, reward, _, _, info = self.simulation.step(np.asarray(action, np.float32))
        success = bool(info["success"])
        self._once = self._once or success
        told = {**info, "success": float(success), "success_once": float(self._once)}
        return observation, float(reward), False, False, told

    def render(self) -> NDArray[np.uint8]:
        """Return a picture uint8[height, width, 3], without shadows, reflections and fine meshes.

        Raises EnvironmentFault where this machine can't draw.
        """
        import mujoco

        if self._renderer is None:
            self._renderer, self._options = self._made_renderer()
        self._renderer.update_scene(self.simulation.data, camera=self.camera, scene_option=self._options)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        picture = self._renderer.render()
        # Some of the scenes' cameras hang upside down: the axis that points up in their pictures points down in the world.
        turned = self.simulation.data.camera(self.camera).xmat.reshape(3, 3)[2, 1] < -0.1
        return np.array(picture[::-1, ::-1] if turned else picture)

    def _made_renderer(self) -> tuple[Any, Any]:
        import mujoco

        quality = self.simulation.model.vis.quality
        quality.shadowsize = quality.offsamples = 0  # read when the context is made
        try:
            renderer = mujoco.Renderer(self.simulation.model, *self.size)
        except Exception as error:  # of any of four libraries
            raise _drawing_fault(error) from error
        weakref.finalize(self, renderer.close)  # one that lives until the interpreter ends complains there
        options = mujoco.MjvOption()
        options.geomgroup[:] = 0
        options.geomgroup[list(SHOWN_GROUPS)] = 1
        return renderer, options

    def close(self) -> None:
        """End the simulation and its pictures."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        with contextlib.suppress(AttributeError):  # gymnasium's own renderer, which never drew
            self.simulation.close()


def make_task(task: str, horizon: int | None = HORIZON, **settings: Any) -> gymnasium.Env[Any, Any]:
    """Make a task whose episodes are cut after `horizon` steps, None for never; settings are those of `MetaWorld`.

    Raises UsageError for a task that is not there, EnvironmentFault where Meta-World is not installed.
    """
    made = MetaWorld(task, **settings)
    return made if horizon is None else gymnasium.wrappers.TimeLimit(made, horizon)


class ScriptedActor:
    """Plays Meta-World's own policies. tasks: of each row of a fleet, which are its `names`.

    deviation: of normal noise that is added to every action. generator: of it. Kept of a step: "actions", the classes of
    `codec_of`'s bins, and "controls" float32[n, 4], what was done.
    """

    def __init__(self, tasks: Sequence[str], deviation: float = 0.0, generator: np.random.Generator | None = None) -> None:
        if deviation and generator is None:
            raise UsageError("ScriptedActor: a deviation needs a generator.")
        policies = _simulator()[1]
        self._makers = [_class_of(task, policies) for task in tasks]
        self._policies: list[Any] = [make() for make in self._makers]
        self.deviation, self.generator = deviation, generator
        self._codec = codec_of(ACTIONS)

    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for observations float64[n, 39]."""
        for row in map(int, np.flatnonzero(first)):
            self._policies[row] = self._makers[row]()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant", category=UserWarning)  # its own constants are too high
            wanted = np.stack([policy.get_action(seen) for policy, seen in zip(self._policies, observations, strict=True)])
        if self.generator is not None and self.deviation:
            wanted = wanted + self.generator.normal(0.0, self.deviation, wanted.shape)
        controls = np.clip(wanted, -1.0, 1.0).astype(np.float32)
        return Decision(list(controls), {"actions": self._codec.encode(controls)["action"], "controls": controls})


gymnasium.register(
    "MetaWorld-v0",
    entry_point="omnitrain_control.metaworld:MetaWorld",
    max_episode_steps=HORIZON,
    disable_env_checker=True,
    order_enforce=False,
)
