"""Lines, frames, broken files and stages at work for tests."""

import re

import av
import numpy as np
import torch

from omnitrain_vpt.configs.stages import CleanConfig, LabelConfig
from omnitrain_vpt.models.network.architecture import Architecture
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.recordings.frames import pointer
from omnitrain_vpt.recordings.work import WORK, finished_videos
from omnitrain_vpt.stages.label import label_video


def line(keys=(), buttons=(), dx=0.0, dy=0.0, **others):
    """A line as recorders write it, with only the fields that may be relied on."""
    mouse = {"x": 640.0, "y": 360.0, "dx": dx, "dy": dy, "buttons": list(buttons), "newButtons": []}
    keyboard = {"keys": [f"key.keyboard.{key}" for key in keys], "newKeys": [], "chars": ""}
    return {"mouse": mouse, "keyboard": keyboard, "isGuiOpen": False, "hotbar": 0, "tick": 0, "milli": 0, **others}


def numbered_frames(count, size=32):
    """Frames that tell their number by their brightness, in steps of 4."""
    return np.stack([np.full((size, size, 3), 4 * number % 240 + 8, np.uint8) for number in range(count)])


def small_policy(memory=128, timesteps=128, heads=None):
    architecture = Architecture(
        (8, 8, 3), (2, 3), hidsize=8, heads=2, blocks=2, ratio=2, memory_size=memory + timesteps, timesteps=timesteps
    )
    torch.manual_seed(0)
    return MinecraftPolicy(architecture, heads=heads or {"camera": (1, 4), "buttons": (1, 5)}).eval()


INDEX_IN_FRONT = {"movflags": "faststart"}
INDEX_IN_PIECES = {"movflags": "empty_moov", "frag_duration": "250000"}


def write_broken_video(path, count, options, cut=True):
    """Write numbered frames behind their index; cut the file at two thirds of the frames, or overwrite what comes there."""
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv444p"
        stream.options = {"crf": "18"}
        for frame in numbered_frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    boxes = [found.start() for found in re.finditer(b"mdat", content)]
    # Inside a box of frames: a file that is cut inside a piece of its index can't be opened at all.
    box = boxes[len(boxes) * 2 // 3]
    middle = box + int.from_bytes(content[box - 4 : box], "big") * 2 // 3
    path.write_bytes(content[:middle] + (b"" if cut else b"\xff" * (len(content) - middle)))


class Reading:
    """Labels a frame with what its brightness says."""

    def log_probs(self, frames):
        number = ((frames.float().mean((-3, -2, -1)) - 8) / 4).round().long()
        pressed = torch.nn.functional.one_hot(number % 20, 20)
        bins = torch.stack([number % 11, (number + 3) % 11], -1)
        chosen = (torch.nn.functional.one_hot(pressed, 2), torch.nn.functional.one_hot(bins, 11))
        return tuple(torch.where(choice == 1, -0.5, -2.0).numpy() for choice in chosen)


LABELLING = LabelConfig(data={"use": "vpt/recordings"}, model={"use": "vpt/idm"}, window=8, stride=4)


def labelled(run, segments, problems):
    """What `vpt/label` tells of videos with a model that reads their brightness."""
    folder = run.ledger(WORK).folder

    def work(segment):
        return label_video(segment, folder, Reading(), LABELLING, 16, pointer(None))

    return [told for _, told in finished_videos(run, "labelling", segments, work, problems)]


def cleaning(**settings):
    use = {"use": "vpt/recordings"}
    return CleanConfig(data=use, clean=use, **settings)
