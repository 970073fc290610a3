"""Judges: functions of reply and reference, a local model, an endpoint in OpenAI's form. A grade that can't be read is None."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from omnitrain.api import Generates, Run
from omnitrain.engine import Ledger
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_eft.configs.evaluators import JudgeConfig

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BUSY = (408, 409, 429, 500, 502, 503, 504)
_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0


@dataclass(frozen=True)
class Submission:
    """What a judge sees: the prompt as text, the reply, and the reference where there is one."""

    prompt: str
    reply: str
    reference: str


class Judge(Protocol):
    """Grades replies; higher is better, None where no grade could be read."""

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]: ...


def overlap(item: Submission) -> float:
    """Return the F1 of words that reply and reference share."""
    reply, reference = (Counter(text.lower().split()) for text in (item.reply, item.reference))
    shared = sum((reply & reference).values())
    total = sum(reply.values()) + sum(reference.values())
    return 2 * shared / total if total else 0.0


def contains(item: Submission) -> float:
    """Return 1 where the reply holds the reference, blanks joined."""
    reply, reference = (" ".join(text.lower().split()) for text in (item.reply, item.reference))
    return float(bool(reference) and reference in reply)


def distinct(item: Submission) -> float:
    """Return the share of different three-word groups; 1 for a reply without repetition, 0 for an empty one."""
    words = item.reply.split()
    groups = [tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))] if words else []
    return len(set(groups)) / len(groups) if groups else 0.0


@dataclass(frozen=True)
class FunctionJudge:
    """A metric function as a judge."""

    function: Callable[[Submission], float]

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]:
        """Grade every reply."""
        return [self.function(item) for item in items]


def read_grade(text: str, lowest: float, highest: float) -> float | None:
    """Return the first number of an answer that lies within the scale, None where there is none."""
    found = [float(m) for m in _NUMBER.findall(text)]
    return next((value for value in found if lowest <= value <= highest), None)


def question(config: JudgeConfig, item: Submission) -> str:
    """Return what a model is asked; only the three known places are filled in."""
    places = {"{prompt}": item.prompt, "{reply}": item.reply, "{reference}": item.reference}
    pattern = re.compile("|".join(map(re.escape, places)))
    return pattern.sub(lambda match: places[match.group()], config.question)


class ModelJudge:
    """A local model that writes a grade."""

    def __init__(self, config: JudgeConfig, predictor: Generates) -> None:
        self.config, self.predictor = config, predictor

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]:
        """Ask for every reply, greedily."""
        prompts = [question(self.config, item) for item in items]
        answers = self.predictor.generate_text(prompts, max_new_tokens=8)
        return [read_grade(answer, self.config.lowest, self.config.highest) for answer in answers]


class EndpointJudge:
    """A chat endpoint in OpenAI's form, with answers kept on disk and tries repeated when it is busy.

    The key is read from the environment when a request is made and is never stored. answers: opens the ledger of answers,
    which several runs may fill at the same time.
    """

    def __init__(self, config: JudgeConfig, answers: Callable[[], Ledger], sleep: Callable[[float], None] = time.sleep) -> None:
        self.config, self._answers, self._sleep = config, answers, sleep

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]:
        """Ask for every reply, once each.

        Raises UsageError without a key, EnvironmentFault when the endpoint can't be had after all tries.
        """
        config = self.config
        asked = [self._request(question(config, item)) for item in items]
        with self._answers() as ledger:
            found = ledger.map(self._ask, asked, key=self._key, label=f"judge {config.name}")
            return [read_grade(str(answer), config.lowest, config.highest) for _, answer in found]

    def _request(self, text: str) -> dict[str, Any]:
        return {"model": self.config.endpoint_model, "temperature": 0, "messages": [{"role": "user", "content": text}]}

    def _key(self, asked: dict[str, Any]) -> str:
        return hashlib.blake2b(json.dumps([self.config.url, asked]).encode(), digest_size=16).hexdigest()

    def _ask(self, asked: dict[str, Any]) -> str:
        config = self.config
        key = os.environ.get(config.key_variable)
        if not key:
            raise UsageError(f"judge {config.name}: the environment variable {config.key_variable} holds no key; set it")
        request = urllib.request.Request(
            f"{str(config.url).rstrip('/')}/chat/completions",
            data=json.dumps(asked).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        fault = ""
        for attempt in range(config.retries + 1):
            if attempt:
                self._sleep(min(_LONGEST_WAIT_S, _WAIT_S * 2 ** (attempt - 1)))
            try:
                with urllib.request.urlopen(request, timeout=config.timeout_s) as response:
                    content = json.load(response)
                return str(content["choices"][0]["message"]["content"])
            except urllib.error.HTTPError as error:
                fault = f"HTTP {error.code}"
                error.close()
                if error.code not in _BUSY:
                    break
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                fault = type(error).__name__
        raise EnvironmentFault(f"judge {config.name}: {config.url} gave no answer ({fault}); check url, model and key")


def make_judge(config: JudgeConfig, run: Run) -> Judge:
    """Make the judge that a config asks for.

    Raises UsageError for a judge model without a tokenizer, and for one that can't generate.
    """
    if config.kind == "opens-with":
        opening = config.text.lower()
        return FunctionJudge(lambda item: float(item.reply.strip().lower().startswith(opening)))
    functions = {"overlap": overlap, "contains": contains, "distinct": distinct}
    if config.kind in functions:
        return FunctionJudge(functions[config.kind])
    if config.kind == "endpoint":
        opens = partial(Ledger, run.workspace / "judges", warn=run.say, progress=run.progress, check=run.stop_if_asked)
        return EndpointJudge(config, opens)
    assert config.model is not None
    if config.model.source is None and getattr(config.model.config, "path", None) is None:
        raise UsageError(f"judge {config.name}: its model has no tokenizer; write {{from: stage}} or name its path")
    opened = run.open(config.model)
    if not isinstance(opened.predictor, Generates):
        raise UsageError(f"judge {config.name}: a model of {opened.address} can't write text; name one that can")
    return ModelJudge(config, opened.predictor)
