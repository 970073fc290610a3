"""Networks: memory, masks, the future, official files."""

import pickle

import pytest
import torch
from helpers import small_policy

from omnitrain.errors import DataError, UsageError
from omnitrain_vpt.configs.models import IdmConfig, PolicyConfig
from omnitrain_vpt.models.idm import build as build_idm
from omnitrain_vpt.models.network.architecture import POLICIES, Architecture
from omnitrain_vpt.models.network.attention import band_mask, memory_mask
from omnitrain_vpt.models.network.heads import drawn, kl_divergence, log_prob
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.models.official import load_weights, read_model_file, read_weights
from omnitrain_vpt.models.policy import build as build_policy

NEVER = torch.zeros(2, dtype=torch.bool)


def pictures(steps, rows=2):
    return torch.randint(0, 256, (rows, steps, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def run(policy, img, length, first=NEVER):
    state, outputs = policy.initial_state(len(img)), []
    for begin in range(0, img.shape[1], length):
        output = policy(img[:, begin : begin + length], first if begin else torch.zeros(len(img), dtype=torch.bool), state)
        state = output.state
        outputs.append(output.log_probs["buttons"])
    return torch.cat(outputs, 1), state


def test_one_chunk_two_chunks_and_single_steps_agree_memory_included():
    policy, img = small_policy(), pictures(256)
    whole, _ = run(policy, img, 256)
    for length in (128, 64, 1):
        found, state = run(policy, img, length)
        # Beyond the memory a step of a long chunk sees the same 128 steps as a step on its own.
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
        assert state["keys"].shape == (2, 2, 128, 8)


def test_first_in_one_row_changes_that_row_only():
    policy, img = small_policy(16, 8), pictures(16)
    plain, _ = run(policy, img, 8)
    found, _ = run(policy, img, 8, torch.tensor([False, True]))
    assert torch.equal(found[0], plain[0])
    assert not torch.allclose(found[1, 8:], plain[1, 8:])
    alone, _ = run(policy, img[1:, 8:], 8, NEVER[:1])
    torch.testing.assert_close(found[1:, 8:], alone)


def test_forgetting_inside_a_chunk_equals_beginning_a_chunk_there():
    policy, img = small_policy(16, 8), pictures(12)
    first = torch.zeros(2, 12, dtype=torch.bool)
    first[1, 5] = True
    state = policy.initial_state(2)
    together = policy(img, first, state)
    before = policy(img[:, :5], NEVER, state)
    after = policy(img[:, 5:], torch.tensor([False, True]), before.state)
    found = torch.cat([before.log_probs["buttons"], after.log_probs["buttons"]], 1)
    torch.testing.assert_close(together.log_probs["buttons"], found)
    assert torch.equal(together.state["mask"], after.state["mask"])


def test_memory_masks_by_chunk_and_by_step_agree_at_the_start_of_a_chunk():
    state = torch.tensor([[False, True, True], [True, True, True]])
    first = torch.tensor([True, False])
    by_step = torch.zeros(2, 4, dtype=torch.bool)
    by_step[:, 0] = first
    for one, other in zip(memory_mask(first, state, 4), memory_mask(by_step, state, 4), strict=True):
        assert torch.equal(one, other)


def test_a_step_sees_itself_and_no_later_one():
    mask = band_mask(3, 5, 2)
    assert mask.long().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]


def test_no_gradient_goes_into_the_chunk_before():
    policy, img = small_policy(8, 4), pictures(8)
    state = policy(img[:, :4], NEVER, policy.initial_state(2)).state
    detached = {name: value.detach() for name, value in state.items()}
    policy(img[:, 4:], NEVER, detached).log_probs["buttons"].sum().backward()
    assert not detached["keys"].requires_grad


def idm(context, **settings):
    torch.manual_seed(0)
    return build_idm(IdmConfig(size="tiny", image_size=16, **settings), context).eval()


def windows(steps=16):
    return torch.randint(0, 256, (1, steps, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_the_idm_sees_the_future_and_its_causal_variant_does_not(context):
    frames = windows()
    changed = frames.clone()
    changed[:, 9] = 255 - changed[:, 9]
    seeing, blind = idm(context), idm(context, causal=True)
    assert not torch.allclose(seeing(frames)["buttons"][:, 8], seeing(changed)["buttons"][:, 8], atol=1e-7)
    torch.testing.assert_close(blind(frames)["buttons"][:, :9], blind(changed)["buttons"][:, :9])
    assert not torch.allclose(blind(frames)["buttons"][:, 9], blind(changed)["buttons"][:, 9], atol=1e-7)


@torch.no_grad()
def test_without_the_convolution_over_time_permuted_frames_only_permute_the_outputs(context):
    frames, order = windows(), torch.randperm(16, generator=torch.Generator().manual_seed(3))
    without, with_conv = idm(context, conv3d=False), idm(context)
    torch.testing.assert_close(without(frames[:, order])["buttons"], without(frames)["buttons"][:, order], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(with_conv(frames[:, order])["buttons"], with_conv(frames)["buttons"][:, order], atol=1e-6)


def test_spatial_extent_of_the_convolution_is_a_setting(context):
    assert idm(context, conv3d_spatial=3).net.conv3d_layer.layer.weight.shape[2:] == (5, 3, 3)
    assert idm(context).net.conv3d_layer.layer.weight.shape[2:] == (5, 1, 1)


KWARGS = {
    "attention_heads": 2,
    "attention_mask_style": "clipped_causal",
    "attention_memory_size": 8,
    "hidsize": 8,
    "img_shape": [8, 8, 3],
    "impala_chans": [2, 3],
    "impala_width": 1,
    "n_recurrence_layers": 1,
    "pointwise_ratio": 2,
    "timesteps": 4,
    "use_pre_lstm_ln": False,
}


def model_file(path, kwargs=KWARGS, temperature="2.0"):
    content = {"model": {"args": {"net": {"args": kwargs}, "pi_head_opts": {"temperature": temperature}}}}
    path.write_bytes(pickle.dumps(content))
    return path


def test_official_files_load_with_nothing_missing(context, tmp_path):
    path = model_file(tmp_path / "a.model")
    settings = {"model_file": str(path), "image_size": 8}
    first = build_policy(PolicyConfig(**settings), context)
    assert first.pi_head.buttons.temperature == 2.0
    torch.save(first.state_dict(), tmp_path / "a.weights")
    again = build_policy(PolicyConfig(weights=str(tmp_path / "a.weights"), **settings), context)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    assert load_weights(again, tmp_path / "a.weights") == []


class Malice:
    def __reduce__(self):
        return (print, ("code was run",))


def test_a_model_file_that_would_run_code_is_refused_before_it_runs(tmp_path, capsys):
    path = tmp_path / "a.model"
    path.write_bytes(pickle.dumps({"model": Malice()}))
    with pytest.raises(DataError, match=r"a\.model is refused: it names builtins\.print"):
        read_model_file(path)
    assert capsys.readouterr().out == ""


def test_damaged_files_are_told_by_name(tmp_path):
    path = tmp_path / "a.model"
    path.write_bytes(b"\x80\x04no pickle")
    with pytest.raises(DataError, match=r"a\.model is"):
        read_model_file(path)
    path.write_bytes(pickle.dumps({"model": 3}))
    with pytest.raises(DataError, match=r"no \.model file of VPT"):
        read_model_file(path)
    read = read_model_file(model_file(path, {"hidsize": 8}))
    with pytest.raises(DataError, match="incomplete"):
        _ = read.architecture
    weights = tmp_path / "a.weights"
    weights.write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"a\.weights can't be read as weights"):
        read_weights(weights)
    with pytest.raises(DataError, match="is missing"):
        read_weights(tmp_path / "none.weights")
    torch.save({"a": Malice()}, weights)
    with pytest.raises(DataError, match="can't be read as weights"):
        read_weights(weights)


def test_weights_of_another_network_are_refused(tmp_path):
    policy, path = small_policy(), tmp_path / "a.weights"
    state = policy.state_dict()
    torch.save({name: value for name, value in state.items() if "final_ln" not in name}, path)
    with pytest.raises(DataError, match=r"lacks net\.final_ln"):
        load_weights(policy, path)
    torch.save({**state, "net.final_ln.bias": torch.zeros(3)}, path)
    with pytest.raises(DataError, match=r"net\.final_ln\.bias has shape \[3\]"):
        load_weights(policy, path)
    torch.save({name: value for name, value in state.items() if not name.startswith("value_head")}, path)
    assert all(name.startswith("value_head") for name in load_weights(policy, path))


def test_named_sizes_have_the_papers_numbers_of_parameters():
    for name, count in {"1x": 70_998_654, "2x": 248_495_294, "3x": 532_504_318}.items():
        with torch.device("meta"):
            model = MinecraftPolicy(POLICIES[name])
        assert sum(p.numel() for p in model.parameters()) == count


def test_heads_begin_with_the_gain_of_their_size_or_that_which_is_asked_for(context):
    def gain(model):
        return float(model.pi_head.get_submodule("buttons").linear_layer.weight.detach().norm(dim=1).mean())

    assert gain(build_idm(IdmConfig(size="mini"), context)) == pytest.approx(1.0, rel=0.1)
    assert gain(build_policy(PolicyConfig(size="tiny", head_gain=0.01), context)) == pytest.approx(0.01, rel=0.1)
    assert {name: POLICIES[name].head_gain for name in ("1x", "2x", "3x")} == dict.fromkeys(("1x", "2x", "3x"), 0.01)


def test_frames_of_another_size_than_the_datas_are_refused(context):
    context.facts = {"image_size": 64}
    with pytest.raises(UsageError, match="frames of 64 pixels, the model reads 32"):
        build_policy(PolicyConfig(size="tiny"), context)


def test_architectures_that_can_not_be_built_are_refused():
    with pytest.raises(DataError, match="not a multiple of 3 heads"):
        Architecture(hidsize=8, heads=3)
    with pytest.raises(DataError, match="attention_mask_style"):
        Architecture.from_kwargs({**KWARGS, "attention_mask_style": "sideways"})
    with pytest.raises(DataError, match="recurrence_type"):
        Architecture.from_kwargs({**KWARGS, "recurrence_type": "lstm"})


def test_draws_follow_the_probabilities_and_the_generator():
    log_probs = {"buttons": torch.tensor([0.7, 0.2, 0.1]).log().expand(4000, 1, 3)}
    found = drawn(log_probs, torch.Generator().manual_seed(0))["buttons"]
    again = drawn(log_probs, torch.Generator().manual_seed(0))["buttons"]
    assert torch.equal(found, again)
    shares = torch.bincount(found.flatten(), minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.7, 0.2, 0.1]), atol=0.03, rtol=0)


def test_divergence_is_zero_from_itself_and_positive_from_others():
    one = {"buttons": torch.randn(3, 1, 5).log_softmax(-1)}
    other = {"buttons": torch.randn(3, 1, 5).log_softmax(-1)}
    assert kl_divergence(one, one).abs().max() < 1e-6
    assert (kl_divergence(one, other) > 0).all()
    assert log_prob(one, {"buttons": torch.zeros(3, 1, dtype=torch.long)}).shape == (3,)
