"""Imported once by the fork server, so that children start with everything loaded."""

import contextlib
from importlib import import_module

import torch

from omnitrain.recipes import load_recipe

for name in ("evaluate", "execution", "fit"):
    import_module(f"omnitrain.engine.{name}")
import_module("omnitrain_toy.parts")
import_module("torch._dynamo")  # torch imports it when the first optimiser is made
with contextlib.suppress(ImportError):
    import_module("tensorboard.summary")
torch.set_num_threads(1)
load_recipe("toy/tiny")
