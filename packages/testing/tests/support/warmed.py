"""Imported once by the fork server, so that children start with everything loaded."""

from importlib import import_module

import torch

for name in ("evaluate", "execution", "fit"):
    import_module(f"omnitrain.engine.{name}")
import_module("torch._dynamo")  # torch imports it when the first optimiser is made
torch.set_num_threads(1)
