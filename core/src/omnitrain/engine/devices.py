"""What torch finds in this machine."""

from __future__ import annotations

import torch


def describe_devices() -> tuple[list[str], int]:
    """Return the names of the devices that models can run on, the processor first, and the threads that torch uses."""
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *names], torch.get_num_threads()
