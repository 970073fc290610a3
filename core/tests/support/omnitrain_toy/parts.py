"""Components of the toy plugin."""

import time
from decimal import Decimal

import numpy as np
import torch
from torch import nn

from omnitrain.api import Evaluation, Loss, Metric, Part
from omnitrain.api.results import Auxiliary
from omnitrain.errors import DataError, UsageError

WIDTH = 4


class _Stream:
    def __init__(self, data, split, plan):
        self.data, self.split, self.plan, self.position = data, split, plan, 0
        self.generator = np.random.default_rng(plan.seed)

    def __iter__(self):
        while self.plan.train or self.position * self.plan.batch_size < self.data.count(self.split):
            rows = self.generator.integers(0, self.data.count(self.split), self.plan.batch_size)
            if not self.plan.train:
                first = self.position * self.plan.batch_size
                rows = np.arange(first, min(first + self.plan.batch_size, self.data.count(self.split)))
            if self.position == self.data.config.ends_after:
                return
            self.position += 1
            yield {"example_ids": rows, **self.data.gather(self.split, rows)}

    def state_dict(self):
        return {"position": self.position, "generator": _text(self.generator.bit_generator.state)}

    def load_state_dict(self, state):
        self.position = state["position"]
        self.generator.bit_generator.state = _numbers(state["generator"])


def _text(value):
    return (
        {k: _text(v) for k, v in value.items()}
        if isinstance(value, dict)
        else (str(value) if isinstance(value, int) else value)
    )


def _numbers(value):
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    return int(value) if isinstance(value, str) and value.isdigit() else value


class _Base:
    def __init__(self, config, context):
        self.config = config
        self.batch = {"x": f"float32[batch, {WIDTH}]", "y": "float32[batch]"}
        if config.extra_field:
            self.batch["weight"] = "float32[batch]"
        self.fingerprint = "0123456789abcdef"
        generator = np.random.default_rng(0)
        self.x = generator.normal(size=(config.rows + config.validation, WIDTH)).astype(np.float32)
        self.y = self.x.sum(1) + 0.5
        self.weight = generator.integers(1, 4, len(self.x)).astype(np.float32)
        for row in config.nan_at:
            self.y[row] = np.nan
        for row in config.big_at:
            self.y[row] = config.big

    def facts(self):
        return {"inputs": WIDTH} if self.config.path else {}

    def splits(self):
        return ["train", "valid"] if self.config.validation else ["train"]

    def refuse(self, split, index):
        if split == "valid" and index == self.config.broken_at:
            raise DataError(f"valid.jsonl:{index}: not valid JSON.")

    def count(self, split):
        return self.config.rows if split == "train" else self.config.validation

    def row(self, split, index):
        return index if split == "train" else self.config.rows + index

    def take(self, rows):
        fields = {"x": self.x[rows], "y": self.y[rows]}
        return {**fields, "weight": self.weight[rows]} if self.config.extra_field else fields


class _Items:
    def __init__(self, data, split):
        self.data, self.split = data, split

    def __len__(self):
        return self.data.count(self.split)

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        self.data.refuse(self.split, index)
        noise = np.random.normal() if self.data.config.noise == "global" else 0.0
        return self.data.row(self.split, index), noise


class _Mapped(_Base):
    def examples(self, split):
        return _Items(self, split)

    def collate(self, examples):
        time.sleep(self.config.slow_s)
        rows = np.array([r for r, _ in examples])
        batch = self.take(rows)
        batch["x"] = batch["x"] + np.array([n for _, n in examples], np.float32)[:, None]
        return batch


class _Drawn(_Mapped):
    def example(self, split, index, seed):
        return self.row(split, index), np.random.default_rng(seed).normal()


class _Iterable(_Mapped):
    def examples(self, split):
        data = self

        class Once:
            def __iter__(self):
                return (_Items(data, split)[i] for i in range(data.count(split)))

        return Once()


class _Gathered(_Mapped):
    def gather(self, split, rows):
        for row in rows:
            self.refuse(split, row)
        return self.take(rows if split == "train" else rows + self.config.rows)


class _Streamed(_Gathered):
    def batches(self, split, plan):
        return _Stream(self, split, plan)


class _Rounds(_Mapped):
    """Rows whose targets the model guesses, in two parts; the split "valid" stays."""

    parts, rows_made = 2, 10

    def __init__(self, config, context):
        super().__init__(config, context)
        self.round_updates = config.round_updates
        self.made = []

    def round_parts(self, number):
        return self.parts

    def make_part(self, model, number, part):
        assert not model.training
        x = torch.rand(self.rows_made, WIDTH) + number + part
        y = model(x).squeeze(-1) + torch.rand(self.rows_made)
        return [{"x": row, "y": target} for row, target in zip(x.tolist(), y.tolist(), strict=True)]

    def take_round(self, number, rows):
        self.made = rows

    def examples(self, split):
        return self.made if split == "train" else super().examples(split)

    def collate(self, examples):
        if not examples or not isinstance(examples[0], dict):
            return super().collate(examples)
        fields = {name: np.array([row[name] for row in examples], np.float32) for name in ("x", "y")}
        return {**fields, "weight": np.ones(len(examples), np.float32)}


def Rows(config, context):  # noqa: N802
    """Build the data in the form that the config asks for."""
    if config.noise == "drawn":
        return _Drawn(config, context)
    forms = {"map": _Mapped, "iterable": _Iterable, "stream": _Streamed, "gather": _Gathered, "rounds": _Rounds}
    return forms[config.form](config, context)


def net(config, context):
    """Build the net."""
    if config.asks and "inputs" not in context.facts:
        raise UsageError("toy/net lacks inputs: use it with data that tells them.")
    return nn.Sequential(nn.Linear(WIDTH, config.width), nn.Tanh(), nn.Dropout(config.dropout), nn.Linear(config.width, 1))


class _Square:
    needs = {"x": f"float[batch, {WIDTH}]", "y": "float[batch]", "weight": "float[batch]"}  # noqa: RUF012

    def __init__(self, config):
        self.config = config

    def __call__(self, model, batch, /):
        error = (model(batch["x"]).squeeze(-1) - batch["y"]) ** 2
        total = (error * batch["weight"]).sum()
        weight = batch["weight"].sum()
        parts = {"plain": Part(error.detach().sum(), float(len(error)))}
        auxiliary = {}
        if self.config.decay:
            rows = float(len(error))
            auxiliary["size"] = Auxiliary(model(batch["x"]).pow(2).sum(), rows, self.config.decay)
        if self.config.returns != "loss" and model.training:
            return _no_loss(self.config.returns, error, total, weight)
        return Loss(total, weight, parts, auxiliary)


def _no_loss(returns, error, total, weight):
    return {
        "number": total,
        "vector": Loss(error, weight),
        "detached": Loss(total.detach(), weight),
        "weightless": Loss(total, 0.0),
        "negative": Loss(total, -weight),
        "empty": Loss(total * 0, weight * 0),
    }[returns]


class _Weighing(_Square):
    def weights(self, batch):
        return {"": float(batch["weight"].sum()), "size": float(len(batch["weight"]))}


class _Carrying(_Square):
    def initial_state(self, model, batch):
        return torch.zeros(1)

    def step(self, model, batch, state):
        loss = self(model, {**batch, "y": batch["y"] + 0.01 * torch.tanh(state)})
        return loss, state + loss.total / loss.weight


def Square(config, context):  # noqa: N802
    """Build the objective with the abilities that the config asks for."""
    if config.carried:
        return _Carrying(config)
    return _Weighing(config) if config.tells_weights else _Square(config)


class Error:
    """Mean absolute error on the validation rows."""

    def __init__(self, config, context):
        self.config = config

    def check_data(self, data, run, /):
        if self.config.needs_split and self.config.needs_split not in data.splits():
            raise DataError(f"the data has no split {self.config.needs_split!r}")

    def __call__(self, predictor, data, run, /):
        with run.progress("error", 10) as bar:
            for _ in range(10):
                time.sleep(self.config.slow_s / 10)
                bar.advance()
        batch = data.take(np.arange(data.config.rows, data.config.rows + data.config.validation))
        error = (predictor(torch.from_numpy(batch["x"])).squeeze(-1) - torch.from_numpy(batch["y"])).abs().mean().item()
        if self.config.odd:
            names = {"np": np, "torch": torch, "Decimal": Decimal, "Metric": Metric}
            value = eval(self.config.odd, names)  # noqa: S307 - written by the test
            return Evaluation(metrics={"odd": value if isinstance(value, Metric) else Metric(value, 1)})
        return Evaluation(metrics={"mean_error": Metric(error, len(batch["x"]), "lower")})


class _Collect:
    def __call__(self, config, run):
        with run.artifact("data", "data", use="toy/rows", config={}) as path:
            path.mkdir()

    def plan(self, config, run):
        if config.refuses:
            raise UsageError("refuses: this can't work.")
        return ["rows: 50"]


collect = _Collect()
