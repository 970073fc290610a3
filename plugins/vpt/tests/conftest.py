"""Small recordings as files, and a context as core gives it."""

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from vpt_helpers import line, numbered_frames

from omnitrain_vpt.recordings import write_segment


class Quiet:
    def advance(self, amount=1, **values):
        pass


@dataclass
class FakeContext:
    workspace: Path
    facts: dict = field(default_factory=dict)

    def seed(self, name):
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")

    @contextmanager
    def progress(self, label, total=None):
        yield Quiet()


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def context(tmp_path):
    return FakeContext(tmp_path / "workspace")


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
