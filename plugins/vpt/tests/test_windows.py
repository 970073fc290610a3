"""Which window labels which frame."""

import numpy as np
import pytest

from omnitrain_vpt.paper.windows import plan_windows


@pytest.mark.parametrize("frames", [1, 127, 128, 129, 192, 500])
def test_every_frame_is_labelled_once_with_context_on_both_sides(frames):
    plan = plan_windows(frames)
    begin = plan.starts[plan.owner]
    places = np.arange(frames)
    assert ((places >= begin) & (places < begin + 128)).all()
    before, behind = places - begin, begin + 127 - places
    inner = (places >= 32) & (places < frames - 32)
    assert (before[inner] >= 32).all()
    assert (behind[inner] >= 32).all()
    assert plan.starts[-1] == max(0, frames - 128)


def test_whole_strides_give_the_middle_of_each_window_as_in_the_paper():
    plan = plan_windows(256)
    assert plan.starts.tolist() == [0, 64, 128]
    assert np.flatnonzero(plan.owner == 0).tolist() == list(range(96))
    assert np.flatnonzero(plan.owner == 1).tolist() == list(range(96, 160))
    with pytest.raises(ValueError, match="0 frames"):
        plan_windows(0)
