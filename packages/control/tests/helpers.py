"""Video that tells the number of each frame."""

from fractions import Fraction

import av
import numpy as np

COUNT = 60
CLOCK = Fraction(1, 1000)


def encode(path, codec="libx264", rate=20, times=None, pixels="yuv420p", options=None, frames=None, size=(48, 64), **colours):
    """Write frames whose brightness tells their number, at times in milliseconds where they are given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.options = {"g": "12", **(options or {})}
        for name, value in colours.items():
            setattr(stream.codec_context, name, int(value))
        if times is not None:
            stream.codec_context.time_base = CLOCK
        for number in range(COUNT if frames is None else len(frames)):
            picture = np.full((*size, 3), 8 + 4 * number, np.uint8) if frames is None else frames[number]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if colours:
                wanted = {f"dst_{name}": value.name for name, value in colours.items() if name != "color_trc"}
                frame = frame.reformat(format=pixels, **wanted)
            if times is not None:
                frame.pts, frame.time_base = times[number], CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
