"""What is held in memory, measured in processes of their own: by unlikelihood, and by text that is prepared and read."""

import json
import subprocess
import sys
from pathlib import Path

from omnitrain_phf.evidence.bench.data import arrays_held

PROBE = Path(__file__).with_name("memory_probe.py")


def test_scored_text_is_prepared_and_read_in_bounded_memory(tmp_path):
    command = [sys.executable, str(PROBE), str(tmp_path), "3", "12"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    small, large = found["small"], found["large"]
    assert large["tokens"] > 3.9 * small["tokens"]
    assert large["tokens"] > 8e6
    # 9 MB more text, whose 7 M tokens as a list would take 55 MB on top of 40 to 50, 14 of them mapped tokens.
    assert large["peak"] - small["peak"] < 70
    # Reading alone holds 30 to 42 MB more, by the version of the allocator; with such a list it would be 85 and more.
    assert large["reading"] - small["reading"] < 55


def test_unlikelihood_holds_one_array_where_the_plain_way_holds_more():
    ours = arrays_held("ours")
    assert ours < 1.5
    assert arrays_held("log-softmax") > ours + 0.7
