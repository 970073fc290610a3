"""What is held in memory, measured in processes of their own: by unlikelihood, and by text that is prepared and read."""

import json
import os
import subprocess
import sys
from pathlib import Path

from omnitrain_phf.evidence.bench.data import arrays_held

PROBE = Path(__file__).with_name("memory_probe.py")
# One arena, and what is freed goes back to the system at once: then the peaks tell what is held, not how glibc keeps house.
HELD_ONLY = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}


def test_scored_text_is_prepared_and_read_in_bounded_memory(tmp_path):
    command = [sys.executable, str(PROBE), str(tmp_path), "24"]
    environment = {**os.environ, **HELD_ONLY}
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    small, large = found["small"], found["large"]
    assert large["tokens"] > 3.9 * small["tokens"]
    assert large["tokens"] > 8e6
    # 18 MB more text, whose 7 M tokens as a list would take 55 MB; 13 MB of mapped tokens count for the peak.
    assert large["peak"] - small["peak"] < 50
    assert large["reading"] - small["reading"] < 30


def test_unlikelihood_holds_one_array_where_the_plain_way_holds_more():
    ours = arrays_held("ours")
    assert ours < 1.5
    assert arrays_held("log-softmax") > ours + 0.7
