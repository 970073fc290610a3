"""What torch finds in this machine."""

from __future__ import annotations

import torch

from omnitrain.runs.environment import describe_cpu


def describe_devices() -> tuple[list[str], int]:
    """Return the names of the devices that models can run on, the processor first, and the threads that torch uses."""
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *names], torch.get_num_threads()


def cpu_capability() -> str:
    """Return the processor's instructions that torch's kernels use, such as "AVX2"."""
    return str(torch.backends.cpu.get_cpu_capability())


def emulated_bf16(precision: str, device: torch.device) -> str | None:
    """Return a warning where bfloat16 would be computed by a processor that has no instructions for it, else None."""
    cpu = describe_cpu()
    if precision != "bf16" or device.type != "cpu" or cpu["bf16"] is not False:
        return None
    return (
        f"precision bf16 is emulated on this processor ({cpu['kind']}, {cpu_capability()}), which takes about 15 times as long "
        "as float32; set precision to float32"
    )
