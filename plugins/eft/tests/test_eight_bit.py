"""Members in 8 bit: what is refused, and that a loaded one computes and is counted as it should be."""

import sys

import pytest
import torch
from helpers import compose, llama, save
from pydantic import ValidationError

from omnitrain.engine import installed
from omnitrain.engine.adhoc import find_model, text_generator
from omnitrain.errors import EnvironmentFault
from omnitrain_eft.configs.models import ShapedCausalConfig
from omnitrain_eft.models.causal import build
from omnitrain_eft.models.eight_bit import eight_bit_bytes, quantisation_config


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"dtype": "int8"}, "it needs path"),
        ({"dtype": "int8", "path": "x", "lora": {"rank": 2}}, "for decoding only: leave out lora"),
    ],
)
def test_8_bit_is_for_decoding_with_saved_models(settings, fault):
    with pytest.raises(ValidationError, match=fault):
        ShapedCausalConfig.model_validate(settings)


def test_the_setting_is_the_quantisation_of_transformers():
    assert quantisation_config("cpu").to_dict()["load_in_8bit"] is True


@pytest.mark.parametrize("library", ["accelerate", "bitsandbytes"])
def test_an_absent_library_is_named_with_the_command_that_installs_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EnvironmentFault, match=rf"needs {library}, .* pip install 'omnitrain-eft\[eight-bit\]'"):
        quantisation_config("cpu")


def test_a_device_without_8_bit_products_is_named(monkeypatch):
    import bitsandbytes

    monkeypatch.setattr(bitsandbytes, "supported_torch_devices", {"cuda"})
    with pytest.raises(EnvironmentFault, match=r"no 8-bit products for the device cpu: upgrade it .* or set dtype: bfloat16"):
        quantisation_config("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    models = {"large": llama(2, 64, 0), "small": llama(1, 16, 1), "expert": llama(1, 16, 2)}
    return {name: save(model, root / name) for name, model in models.items()}


def test_a_model_in_8_bit_computes_nearly_the_same_in_the_counted_bytes(folders, context):
    config = ShapedCausalConfig(path=folders["large"], dtype="int8")
    model = build(config, context)
    whole = llama(2, 64, 0).to(torch.bfloat16)
    ids = torch.randint(2, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = model(ids).logits.float(), whole(ids).logits.float()
    assert torch.nn.functional.cosine_similarity(found, expected, dim=-1).min() > 0.99
    assert not torch.equal(found, expected)
    assert not any(p.requires_grad for p in model.parameters())
    scales = sum(module.state.SCB.nbytes for module in model.modules() if hasattr(module, "state"))
    assert sum(p.nbytes for p in model.parameters()) + scales == eight_bit_bytes(whole)
    with torch.device("meta"):
        assert {p.device.type for p in build(config, context).parameters()} == {"meta"}


def test_a_composition_with_an_8_bit_base_is_loaded_again_from_its_paths_and_decoded_both_ways(folders, tmp_path):
    members = {name: {"path": path, "dtype": "bfloat16"} for name, path in folders.items()}
    members["large"]["dtype"] = "int8"
    out = compose(tmp_path / "run", **members)
    assert not list(out.rglob("*.safetensors"))
    for block in (0, 3):
        with text_generator(find_model(out), installed(), {"block_size": block, "max_new_tokens": 8}) as answer:
            # Which columns of a product stay in 16 bit depends on all of its rows, so the two need not agree to the end.
            assert [text.split()[0][0] for text in answer(["w3 w4", "w5"])] == ["w", "w"]
