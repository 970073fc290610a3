"""Small data with one ability each, and mixtures of them, for tests."""

import numpy as np
import torch

from omnitrain.api import UseData
from omnitrain.mixture.configs import MemberConfig, MixtureConfig
from omnitrain.mixture.data import build as build_mixture


class Numbers:
    """Rows that say whose they are: "x" is 100 x mark + the row's number, beside it a sequence as long as the row's number."""

    fingerprint = "0" * 16

    def __init__(self, rows=10, mark=0, valid=3, **more):
        self.rows, self.mark, self.valid = rows, mark, valid
        self.batch = {"x": "int64[batch]", "input_ids": "int64[batch, length]", **more.get("fields", {})}
        self.told = more.get("told", {})

    def splits(self):
        return ["train", "valid"] if self.valid else ["train"]

    def facts(self):
        return {"pad_id": 9, **self.told}

    def count(self, split):
        return self.rows if split == "train" else self.valid

    def make(self, rows):
        rows = torch.as_tensor(np.asarray(rows, np.int64))
        ids = torch.full((len(rows), int((rows % 4).max()) + 1), 9)
        for place, row in enumerate(rows.tolist()):
            ids[place, : row % 4 + 1] = row
        return {"x": 100 * self.mark + rows, "input_ids": ids}


class Listed(Numbers):
    def examples(self, split):
        return list(range(self.count(split)))

    def collate(self, examples):
        return self.make(examples)


class Gathered(Listed):
    def gather(self, split, rows):
        return self.make(rows)


class Noisy(Listed):
    """Takes its noise from the global generator, as transforms of images do."""

    def collate(self, examples):
        made = self.make(examples)
        return {**made, "x": made["x"] + 1000 * torch.from_numpy(np.random.randint(1, 1_000_000, len(examples)))}


class Drawn(Listed):
    def example(self, split, index, seed):
        return index, seed

    def collate(self, examples):
        made = self.make([index for index, _ in examples])
        return {**made, "x": made["x"] + 1000 * torch.tensor([seed % 1_000_000 for _, seed in examples])}


class Streamed(Numbers):
    """Rows in their own order; its batches are cut so that the first part is the larger. ends: batches until it ends."""

    def __init__(self, rows=10, mark=0, valid=3, ends=None, **more):
        super().__init__(rows, mark, valid, **more)
        self.ends = ends

    def examples(self, split):
        return iter(range(self.count(split)))

    def collate(self, examples):
        return self.make(examples)

    def batches(self, split, plan):
        return _Stream(self, split, plan)

    def split_batch(self, batch, parts):
        cut = len(batch["x"]) - parts + 1
        return [
            {name: value[a:b] for name, value in batch.items()}
            for a, b in [(0, cut), *((place, place + 1) for place in range(cut, len(batch["x"])))]
        ]


class _Stream:
    def __init__(self, data, split, plan):
        self.data, self.split, self.plan, self.number = data, split, plan, 0

    def __iter__(self):
        size, count = self.plan.batch_size, self.data.count(self.split)
        while self.number != self.data.ends:
            first = self.number * size
            if not self.plan.train and first >= count:
                return
            rows = np.arange(first, first + size)
            self.number += 1
            yield self.data.make(rows % count if self.plan.train else rows[rows < count])

    def state_dict(self):
        return {"number": self.number}

    def load_state_dict(self, state):
        self.number = state["number"]


class _Given:
    """A context that gives data instead of building it."""

    def __init__(self, data):
        self.data = data

    def build(self, use):
        return self.data[use.use.partition("/")[2]]


def mixture(members, of=None, **settings):
    """Return a mixture of data by name. of: further settings of members by name."""
    configs = {name: MemberConfig(data=UseData(use=f"toy/{name}"), **(of or {}).get(name, {})) for name in members}
    return build_mixture(MixtureConfig(members=configs, **settings), _Given(members))
