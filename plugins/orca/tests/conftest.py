"""No network, one thread, a cache of the session's own."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch


@pytest.fixture(autouse=True)
def own_place(monkeypatch, tmp_path_factory):
    torch.set_num_threads(1)
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
