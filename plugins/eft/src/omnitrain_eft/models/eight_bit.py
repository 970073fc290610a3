"""Weights in 8 bit: transformers' own loading with the quantisation of bitsandbytes (LLM.int8, arXiv 2208.07339)."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from omnitrain.engine import choose_device
from omnitrain.errors import EnvironmentFault

_LINEAR = ("Linear", "Conv1D")
_SCALE_BYTES = 4


class InEightBit:
    """An auto class of transformers whose `from_pretrained` quantises linear layers, but for the head, as it reads them."""

    def __init__(self, auto: Any) -> None:
        self._auto = auto

    def from_config(self, *args: Any, **settings: Any) -> Any:
        """Return a model of that shape, not quantised: on the meta device weights have no values."""
        return self._auto.from_config(*args, **settings)

    def from_pretrained(self, path: str, **settings: Any) -> Any:
        """Load a model onto the best device.

        Raises EnvironmentFault where a library is missing or has nothing for that device.
        """
        device = choose_device("auto")
        quantisation = quantisation_config(device.type)
        # It says with every product that activations are cast to float16, which is what LLM.int8 is.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return self._auto.from_pretrained(path, quantization_config=quantisation, device_map={"": device}, **settings)


def quantisation_config(device: str) -> Any:
    """Return the quantisation of transformers for 8 bit on a type of device.

    Raises EnvironmentFault where a library is missing or has nothing for that device.
    """
    try:
        import accelerate  # noqa: F401 - transformers places quantised weights with it
        import bitsandbytes
    except ImportError as error:
        raise EnvironmentFault(
            f"dtype int8 needs {error.name}, which is not installed: pip install 'omnitrain-eft[eight-bit]'."
        ) from error
    from transformers import BitsAndBytesConfig

    if device not in getattr(bitsandbytes, "supported_torch_devices", ("cuda",)):
        raise EnvironmentFault(
            f"dtype int8: bitsandbytes {bitsandbytes.__version__} has no 8-bit products for the device {device}: upgrade it "
            "(pip install -U bitsandbytes), or set dtype: bfloat16."
        )
    return BitsAndBytesConfig(load_in_8bit=True)


def eight_bit_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's weights in 8 bit, counted on any device.

    Linear layers but for the head take one byte a weight and a float32 scale a row; all else is in bfloat16.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    total = sum(p.numel() for p in model.parameters()) * 2
    for module in model.modules():
        if module is head or not any(kind.__name__ in _LINEAR for kind in type(module).__mro__):
            continue
        weight: Any = module.weight
        rows = weight.shape[1] if type(module).__name__ == "Conv1D" else weight.shape[0]
        total += rows * _SCALE_BYTES - weight.numel()
    return total
