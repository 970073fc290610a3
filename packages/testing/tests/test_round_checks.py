"""Data whose rows the model makes is held to what resuming and validation rest on."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from omnitrain_testing.checks.data import read_twice
from omnitrain_testing.subjects import round_of


class Guesses:
    """A model's guesses. fault: what is wrong with them."""

    batch, round_updates = {"x": "float32[batch]"}, 2

    def __init__(self, fault: str, calls: list[int]) -> None:
        self.fault, self.calls, self.number = fault, calls, 0
        self.made: list[float] = []

    @property
    def fingerprint(self) -> str:
        return f"{self.number if self.fault == 'fingerprint' else 0:016x}"

    def splits(self) -> list[str]:
        return ["train", "valid"]

    def examples(self, split: str) -> list[float]:
        return self.made if split == "train" or self.fault == "valid" else [1.0, 2.0]

    def collate(self, examples: Sequence[float]) -> dict[str, Any]:
        return {"x": torch.tensor(examples)}

    def round_parts(self, number: int) -> int:
        return 2

    def make_part(self, model: Any, number: int, part: int) -> list[float]:
        self.calls.append(part)
        if self.fault == "model":
            model.bias.add_(1.0)
        own = len(self.calls) if self.fault == "state" else 0
        guesses: list[float] = (model(torch.rand(4, 1)).squeeze(1) + number + own).tolist()
        return guesses

    def take_round(self, number: int, rows: Sequence[float]) -> None:
        self.made, self.number = list(rows), number


def examined(fault: str) -> list[str]:
    calls: list[int] = []

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Linear(1, 1)

    def build() -> Guesses:
        data = Guesses(fault, calls)
        data.take_round(0, round_of(data, model(), 0))
        return data

    subject: Any = SimpleNamespace(build=build, model=model, rows=4)
    return [str(problem) for problem in read_twice(subject)]


def test_good_rounds_pass() -> None:
    assert examined("") == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("state", "Built again from the same settings, the data gives other batches"),
        ("model", "Making a round changes the model"),
        ("fingerprint", "The fingerprint changes with the round"),
        ("valid", "With another round the splits train, valid change"),
    ],
)
def test_fault_of_rounds_is_told(fault: str, said: str) -> None:
    [problem] = examined(fault)
    assert said in problem
