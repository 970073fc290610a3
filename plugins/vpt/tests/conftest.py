"""Small recordings as files, and a context as core gives it."""

import pytest
import torch
from helpers import line, numbered_frames

from omnitrain.engine import scratch_run
from omnitrain_testing.contexts import FakeContext
from omnitrain_vpt.recordings.format import write_segment


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def context(tmp_path):
    return FakeContext(tmp_path / "workspace")


@pytest.fixture
def run(tmp_path):
    """A run of a stage, gone afterwards with all that is in it."""
    with scratch_run(workspace=tmp_path / "workspace") as made:
        yield made


@pytest.fixture
def make_recordings(tmp_path):
    """Write recordings into a folder: name to (number of frames, lines)."""

    def make(**recordings):
        folder = tmp_path / "recordings"
        for name, (count, lines) in recordings.items():
            write_segment(folder, name.replace("__", "/"), numbered_frames(count), lines)
        return folder

    return make


@pytest.fixture
def walking():
    """Lines of someone who walks: every frame has a key."""
    return lambda count: [line(["w"]) if number % 2 else line(["a"]) for number in range(count)]
