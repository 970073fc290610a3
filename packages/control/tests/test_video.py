"""Video files written and read."""

import av
import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_control.video import probe_video, read_frames, write_video


@pytest.fixture
def frames():
    generator = np.random.default_rng(0)
    scene = generator.integers(0, 256, (1, 5, 6, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    return np.concatenate([np.roll(scene, step, 2) for step in range(30)])


def test_written_frames_come_back_nearly_the_same(tmp_path, frames):
    path = tmp_path / "a.mp4"
    write_video(path, frames, quality=5)
    found = np.stack(list(read_frames(path)))
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - frames.astype(int)).mean() < 4
    assert probe_video(path).frames == 30
    assert probe_video(path).rate == 20


def test_reading_from_the_middle_gives_the_same_frames_as_reading_on(tmp_path, frames):
    path = tmp_path / "a.mp4"
    write_video(path, frames)
    whole = list(read_frames(path))
    for start in (1, 13, 29):
        assert np.array_equal(np.stack(list(read_frames(path, start=start))), np.stack(whole[start:]))


def test_order_of_channels_is_as_asked(tmp_path, frames):
    path = tmp_path / "a.mp4"
    write_video(path, frames)
    rgb, bgr = next(iter(read_frames(path, "rgb24"))), next(iter(read_frames(path, "bgr24")))
    assert np.array_equal(rgb, bgr[..., ::-1])


def test_the_same_frames_give_the_same_bytes(tmp_path, frames):
    written = set()
    for _ in range(8):
        write_video(tmp_path / "a.mp4", frames)
        written.add((tmp_path / "a.mp4").read_bytes())
    assert len(written) == 1


def test_a_video_cut_before_its_header_is_refused_by_name(tmp_path, frames):
    path = tmp_path / "a.mp4"
    write_video(path, frames)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.mp4 can't be opened"):
        probe_video(path)
    with pytest.raises(DataError, match=r"a\.mp4 can't be opened"):
        list(read_frames(path))


def test_odd_sizes_are_written_where_colours_have_full_resolution_and_refused_elsewhere(tmp_path):
    odd = np.full((3, 7, 9, 3), 100, np.uint8)
    write_video(tmp_path / "a.mp4", odd)
    assert np.stack(list(read_frames(tmp_path / "a.mp4"))).shape == odd.shape
    with pytest.raises(DataError, match=r"b\.mp4.*even height and width, found 7x9"):
        write_video(tmp_path / "b.mp4", odd, full_chroma=False)
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize("rate", [30000 / 1001, 0.5, 60])
def test_a_rate_is_written_as_it_is(tmp_path, frames, rate):
    write_video(tmp_path / "a.mp4", frames, rate=rate)
    assert probe_video(tmp_path / "a.mp4").rate == pytest.approx(rate)


def test_a_file_of_sound_alone_is_refused_by_name(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        stream.layout = "mono"
        sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        sound.sample_rate, sound.pts = 44100, 0
        sound.planes[0].update(bytes(sound.planes[0].buffer_size))
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(DataError, match=r"a\.mp4 holds no video stream"):
        probe_video(path)
