"""Golden vectors to functions: each adapter runs one case through the code that samples, trains and examines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain_language.configs.objectives import CausalNllConfig
from omnitrain_language.objectives import CAUSAL_NEEDS, TokenNll
from omnitrain_orca.evidence.agieval_protocol import is_equivalent, is_right, parsed, prompts
from omnitrain_orca.exams.bbh import PARSERS
from omnitrain_orca.exams.questions import Question
from omnitrain_orca.paper.bbh import INVALID, matches
from omnitrain_orca.paper.judging import judged_scores
from omnitrain_orca.paper.sampling import draw_tasks, drawn_places
from omnitrain_orca.paper.truthfulqa import mc1, mc2

Case = Mapping[str, Any]
NONE = -100


class _Counted:
    """The uniform numbers of a case, again and again; how many were used."""

    def __init__(self, uniforms: list[float]) -> None:
        self._uniforms, self.used = cycle(uniforms), 0

    def __iter__(self) -> Iterator[float]:
        return self

    def __next__(self) -> float:
        self.used += 1
        return next(self._uniforms)


def _task_sampling(case: Case, shared: Case) -> dict[str, Any]:
    names = sorted(case["tasks"])
    sizes = [len(case["tasks"][name]) for name in names]
    uniforms = _Counted(case["uniforms"])
    tasks = draw_tasks(sizes, case["n"], uniforms)
    places = drawn_places(tasks, sizes)
    sampled = [case["tasks"][names[task]][place] for task, place in zip(tasks, places, strict=True)]
    return {"sampled": sampled, "draws": uniforms.used}


def _agieval_prompt(case: Case, shared: Case) -> dict[str, str]:
    return prompts(case["dataset"], case["record"], "Step one.\nThus (B).")


def _agieval_parse(case: Case, shared: Case) -> Any:
    return parsed(case["dataset"], case["setting"], case["response"])


def _agieval_eval(case: Case, shared: Case) -> bool:
    if case["fn"] == "is_equiv":
        return is_equivalent(case["a"], case["b"])
    return is_right(case["dataset"], case["prediction"], case["label"])


def _bbh_parse(case: Case, shared: Case) -> dict[str, Any]:
    first = PARSERS[0]
    question = Question(case["task"], case["question"], case["target"])
    found = case["response"] if case["filter"] == "strict-match" else first.find(question, case["response"])
    right = found is not None and matches(found, case["target"])
    return {"extracted": INVALID if found is None else found, "exact_match": float(right)}


def _truthfulqa_mc(case: Case, shared: Case) -> dict[str, float]:
    scores, labels = case["loglikelihoods"], case["labels"]
    return {"mc2": mc2(scores, labels), "mc1": mc1(scores, labels)}


def _judge_score(case: Any, shared: Case) -> list[float]:
    """What can't be read is [-1, -1] there."""
    return list(judged_scores(case) or (-1, -1))


class _Fixed(nn.Module):
    """A model that gives the logits of a case, whatever it reads."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, **inputs: Any) -> Any:
        return SimpleNamespace(logits=self.logits)


def _causal_loss(case: Case, shared: Case) -> Any:
    """The shift is made where rows are made; a loss without a label is 0 here, and nan there."""
    logits = torch.tensor(case["logits"])[:, :-1]
    shifted = torch.tensor(case["labels"])[:, 1:]
    weights = (shifted != NONE).float()
    batch = {"input_ids": shifted.clamp(min=0), "labels": shifted.clamp(min=0), "loss_weights": weights}
    loss = TokenNll(CausalNllConfig(), CAUSAL_NEEDS, ())(_Fixed(logits), batch)
    items = case.get("num_items_in_batch")
    weight = float(loss.weight if items is None else items)
    return {"loss": float(loss.total) / weight if weight else None}


ADAPTERS: dict[str, Callable[[Any, Case], Any]] = {
    "task_sampling": _task_sampling,
    "agieval_prompt": _agieval_prompt,
    "agieval_parse": _agieval_parse,
    "agieval_eval": _agieval_eval,
    "bbh_parse": _bbh_parse,
    "truthfulqa_mc": _truthfulqa_mc,
    "causal_loss": _causal_loss,
    "judge_score": _judge_score,
}

TOLERANCES: dict[str, dict[str, float]] = {
    "task_sampling": {"relative": 0.0, "absolute": 0.0},
    "agieval_prompt": {"relative": 0.0, "absolute": 0.0},
    "agieval_parse": {"relative": 0.0, "absolute": 0.0},
    "agieval_eval": {"relative": 0.0, "absolute": 0.0},
    "bbh_parse": {"relative": 0.0, "absolute": 0.0},
    "truthfulqa_mc": {"relative": 1e-12, "absolute": 1e-12},
    "judge_score": {"relative": 0.0, "absolute": 0.0},
    "causal_loss": {"relative": 1e-6, "absolute": 1e-7},
}
