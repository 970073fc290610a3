"""What settings need beside the plugin is known before the run."""

from omnitrain_eft.configs.models import ShapedCausalConfig


def test_settings_tell_the_extra_that_they_need():
    extra = "omnitrain-eft[eight-bit]"
    assert ShapedCausalConfig(path="a", dtype="int8").needs() == {"accelerate": extra, "bitsandbytes": extra}
    assert ShapedCausalConfig(path="a").needs() == {}
