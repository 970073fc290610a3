"""The baseline: what is cloned before, and how it ends when it diverges."""

import numpy as np
import pytest
import torch

from omnitrain.api import UseData
from omnitrain.engine import scratch_run
from omnitrain.errors import NumericalError
from omnitrain_vpt.configs.data import RecordingsConfig, WorldConfig
from omnitrain_vpt.configs.stages import PpoConfig
from omnitrain_vpt.data.recordings import build as build_recordings
from omnitrain_vpt.paper.actions import to_joint
from omnitrain_vpt.stages.ppo import ActiveCloning, Baseline, ppo
from omnitrain_vpt.world.environments import make_fleet

WORLD = WorldConfig(area=16, worlds=1, cell=4, steps=24)
SETTINGS = {
    "world": WORLD,
    "cloning_steps": 3,
    "cloning_batch": 2,
    "iterations": 2,
    "environments": 2,
    "steps": 8,
    "batch_size": 8,
}


@pytest.fixture
def make_run(make_recordings, walking, tmp_path):
    """A run whose data field stands for two short recordings."""
    folder = make_recordings(a=(16, walking(16)), b=(16, walking(16)))
    config = RecordingsConfig(path=str(folder), layout="windows", image_size=36, steps=8, valid_fraction=0.0)
    return lambda: scratch_run(
        name="ppo", workspace=tmp_path / "workspace", build=lambda use, facts: build_recordings(config, None)
    )


def config(**settings):
    return PpoConfig(data=UseData(use="vpt/recordings"), **{**SETTINGS, **settings})


@pytest.fixture
def baseline(make_run):
    with make_run() as run, make_fleet(WORLD, run.workspace, 2, 0, size=36) as fleet:
        yield Baseline(config(), run, fleet)


def batch_of(buttons, camera, weights):
    return {
        "frames": torch.randint(0, 256, (1, len(weights), 36, 36, 3), generator=torch.Generator().manual_seed(0)).byte(),
        "buttons": torch.from_numpy(buttons)[None],
        "camera": torch.from_numpy(camera)[None],
        "loss_weights": torch.tensor(weights)[None],
    }


def test_the_loss_of_cloning_is_that_of_real_frames_whose_action_is_not_null(baseline):
    buttons, camera = np.zeros((4, 20), np.int64), np.full((4, 2), 5)
    buttons[1, 0] = buttons[3, 0] = 1
    camera[2] = 7
    batch = batch_of(buttons, camera, [1.0, 1.0, 1.0, 0.0])
    loss = ActiveCloning()(baseline.policy, batch)
    chosen = torch.from_numpy(np.stack(to_joint(buttons[1:3], camera[1:3]), -1))
    frames = batch["frames"][0, 1:3].permute(0, 3, 1, 2)
    assert loss.weight == 2
    torch.testing.assert_close(loss.total, -baseline.policy.get_distribution(frames).log_prob(chosen).sum())
    null = batch_of(np.zeros((4, 20), np.int64), np.full((4, 2), 5), [1.0] * 4)
    nothing = ActiveCloning()(baseline.policy, null)
    assert (nothing.total.item(), nothing.weight.item()) == (0.0, 0.0)


def test_cloning_is_a_part_of_the_stage_and_the_leash_begins_at_what_it_gave(make_run):
    with make_run() as run:
        ppo(config(), run)
        assert [line["step"] for line in run.lines("ppo/cloning")] == [3]
        assert [line["rho"] for line in run.lines("ppo")] == pytest.approx([0.2, 0.2 * 0.9995])
        assert (run.directory / "policy" / "policy.safetensors").is_file()


@pytest.mark.parametrize("rate", ["cloning_rate", "learning_rate"])
def test_a_baseline_that_diverges_ends_without_a_policy(make_run, rate):
    with make_run() as run:
        with pytest.raises(NumericalError, match="not finite"):
            ppo(config(**{rate: 1e30}), run)
        assert not (run.directory / "policy").exists()
