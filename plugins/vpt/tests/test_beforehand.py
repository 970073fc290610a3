"""What settings need beside the plugin is known before the run."""

from omnitrain.api import UseData
from omnitrain_vpt.configs.stages import CleanConfig


def test_settings_tell_the_extra_that_they_need():
    video = {"data": UseData(use="vpt/recordings"), "clean": UseData(use="vpt/recordings")}
    assert CleanConfig(**video, embedding="a/clip").needs() == {"transformers": "omnitrain-vpt[clip]"}
    assert CleanConfig(**video).needs() == {}
