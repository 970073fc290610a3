"""Frames have one numbering: they are counted, whatever their times and wherever reading begins."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from helpers import COUNT, encode

from omnitrain_control.frame_index import frame_index
from omnitrain_control.video import probe_video, read_frames, steady_rate


def numbers(path, start):
    return [round((float(frame.mean()) - 8) / 4) for frame in read_frames(path, start=start)]


STARTS = [0]
for _step in range(1, COUNT):
    STARTS.append(STARTS[-1] + (50 if _step <= 20 else 150 if _step <= 40 else 20))
PAUSE = [50 * number + (10_000 if number >= 30 else 0) for number in range(COUNT)]
FILES = {
    "steady": ("a.mp4", {}),
    "variable": ("a.mp4", {"times": STARTS}),
    "pause": ("a.mp4", {"times": PAUSE}),
    "b-frames": ("a.mp4", {"options": {"bf": "8"}, "times": STARTS}),
    "open-groups": ("a.mkv", {"options": {"bf": "3", "x264-params": "open-gop=1"}, "times": STARTS}),
    "ntsc": ("a.mp4", {"rate": Fraction(30000, 1001)}),
    "slow": ("a.mp4", {"rate": Fraction(1, 2)}),
    "hevc": ("a.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none:bframes=4"}, "times": STARTS}),
    "vp8": ("a.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "1M"}}),
    "mpeg4": ("a.avi", {"codec": "mpeg4", "options": {"bf": "2", "b": "2M"}}),
    "ten-bit": ("a.mp4", {"pixels": "yuv420p10le", "times": PAUSE, "options": {"qp": "1", "bf": "0"}}),
}
WRITABLE = {name: given for name, given in FILES.items() if given[1].get("codec", "libx264") in av.codecs_available}


@pytest.mark.parametrize("name", WRITABLE)
def test_a_frame_has_the_same_number_wherever_reading_begins(tmp_path, name):
    file, settings = WRITABLE[name]
    path = encode(tmp_path / file, **settings)
    assert numbers(path, 0) == list(range(COUNT))
    for start in (1, 11, 12, 13, 25, 31, 48, COUNT - 1):
        assert numbers(path, start) == list(range(start, COUNT))
    assert numbers(path, COUNT) == []
    assert probe_video(path).frames == COUNT


def test_key_frames_are_found_by_their_number_so_that_reading_does_not_begin_at_the_first_frame(tmp_path):
    index = frame_index(encode(tmp_path / "a.mp4", times=PAUSE, options={"sc_threshold": "0"}))
    assert [key.number for key in index.keys] == [0, 12, 24, 36, 48]
    assert index.key_before(35).number == 24
    assert index.frames == COUNT
    assert not index.steady


def test_an_index_belongs_to_the_content_of_a_file(tmp_path):
    path = encode(tmp_path / "a.mp4")
    assert frame_index(path).steady
    encode(path, times=PAUSE)
    assert not frame_index(path).steady


@pytest.mark.parametrize(("rate", "told"), [(Fraction(30000, 1001), 29.97), (60, 60.0), (Fraction(1, 2), 0.5)])
def test_the_rate_of_steady_video_is_told_and_of_other_video_none(tmp_path, rate, told):
    assert steady_rate(encode(tmp_path / "a.mkv", rate=rate)) == pytest.approx(told, abs=0.01)
    assert steady_rate(encode(tmp_path / "b.mkv", times=STARTS)) is None


@pytest.mark.parametrize("ending", ["mkv", "ts"])
def test_a_file_without_a_count_of_frames_that_is_cut_announces_more_than_it_holds(tmp_path, ending):
    path = encode(tmp_path / f"a.{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    whole = list(read_frames(path))
    found = len(whole)
    facts = probe_video(path)
    assert 8 < found < COUNT
    assert facts.held == found
    # A transport stream has no header that could announce anything.
    assert facts.frames > found or ending == "ts"
    for start in (5, found - 1, found):
        again = list(read_frames(path, start=start))
        assert len(again) == found - start
        assert all(map(np.array_equal, again, whole[start:]))


COLOUR = (200, 60, 250)


@pytest.mark.parametrize(
    ("pixels", "colours"),
    [
        ("yuv420p", {}),
        ("yuv420p10le", {}),
        ("yuvj420p", {"color_range": ColorRange.JPEG}),
        ("yuv420p10le", {"color_range": ColorRange.JPEG}),
        ("yuv420p", {"colorspace": Colorspace.ITU709, "color_range": ColorRange.MPEG}),
        ("yuv444p", {"colorspace": Colorspace.ITU601, "color_range": ColorRange.MPEG}),
    ],
)
def test_depth_range_and_matrix_of_colours_are_converted(tmp_path, pixels, colours):
    frames = np.full((3, 48, 64, 3), COLOUR, np.uint8)
    path = encode(tmp_path / "a.mkv", pixels=pixels, options={"crf": "1"}, frames=frames, **colours)
    assert np.abs(next(iter(read_frames(path))).astype(int) - COLOUR).max() <= 3


def test_what_pictures_lose_is_told(tmp_path):
    assert probe_video(encode(tmp_path / "a.mkv", codec="ffv1", pixels="yuva420p")).notes == ("transparency dropped",)
    assert probe_video(encode(tmp_path / "b.mkv", color_trc=16)).notes == ("high dynamic range taken as it is",)
    interlaced = encode(tmp_path / "c.mp4", options={"x264-params": "tff=1"})
    assert probe_video(interlaced).notes == ("interlaced, taken with both halves of a frame in one picture",)
    anamorphic = encode(tmp_path / "d.mp4", options={"x264-params": "sar=4/3"})
    assert probe_video(anamorphic).notes == ("pixels are 4:3, taken as squares",)
    assert probe_video(encode(tmp_path / "c.mkv")).notes == ()
