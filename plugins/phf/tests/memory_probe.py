"""Run as a process of its own by test_memory: prepare scored text of two sizes and print the peaks of resident memory."""

import json
import sys
from pathlib import Path

import numpy as np

from omnitrain.api import BatchPlan
from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.data.scored_text import ScoredTextData
from omnitrain_testing.contexts import FakeContext

MB = 2**20


def memory(key):
    """An entry of this process's status in MB, such as VmHWM, the largest resident memory so far.

    `ru_maxrss` would begin with the peak of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) / 1024


def write(path, megabytes):
    """Documents of 1 to 80 segments of words out of 3000."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnop"))
    words = np.array(["".join(random.choice(letters, random.integers(2, 9))) for _ in range(3000)])
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * MB:
            count = int(random.integers(1, 80))
            texts = [" ".join(words[random.integers(3000, size=random.integers(3, 40))]) + ". " for _ in range(count)]
            scores = (random.random(count) < 0.3).astype(float).tolist()
            file.write(json.dumps({"texts": texts, "scores": scores, "avg_score": sum(scores) / count}) + "\n")


def prepare(folder, megabytes):
    path = folder / f"{megabytes}.jsonl"
    write(path, megabytes)
    settings = {
        "path": str(path),
        "length": 512,
        "tokenizer": {"vocabulary_size": 2048, "train_characters": 200_000},
        "control": {"threshold": 0.5, "drop_token_fraction": 0.01},
        "shuffle_buffer": 200,
    }
    data = ScoredTextData(ScoredTextConfig.model_validate_json(json.dumps(settings)), 5)
    data.prepare(folder, FakeContext(folder))
    tokens, anonymous = 0, 0.0
    for batch in data.batches("train", BatchPlan(16, 0, train=False)):
        tokens += batch["input_ids"].numel()
        # Pages of mapped files count as resident too, but the system takes them back when it needs them.
        anonymous = max(anonymous, memory("RssAnon"))
    return {"peak": memory("VmHWM"), "reading": anonymous, "tokens": tokens}


def main(folder, megabytes):
    print(json.dumps({"small": prepare(folder, 6), "large": prepare(folder, megabytes)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
