"""Memory does not grow with the text: tokens go to disk, segments are found by arithmetic."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).with_name("helpers.py")


def growth(folder, megabytes):
    """Peak of resident memory (MB) that a text of so many megabytes adds to that of a small text."""
    command = [sys.executable, str(HELPERS), str(folder), str(megabytes)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found["tokens"] > megabytes * 200_000
    return found["large"] - found["small"]


def test_a_text_is_prepared_and_read_in_bounded_memory(tmp_path):
    # The text alone is 20 MB, and its 6 M tokens as a list would take 48 MB more.
    assert growth(tmp_path, 20) < 50


@pytest.mark.slow
def test_300_megabytes_are_prepared_and_read_in_bounded_memory(tmp_path):
    assert growth(tmp_path, 300) < 120
