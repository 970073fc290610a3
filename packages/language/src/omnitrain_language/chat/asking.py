"""Ask a language model, whichever it is, and keep every answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext

from omnitrain.api import Ledger, Progress, Run, user_path
from omnitrain.engine import Ledger as LedgerFile
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.endpoint import Endpoint
from omnitrain_language.chat.local import open_local
from omnitrain_language.chat.messages import Answer, Backend, Completion, Request, key_of
from omnitrain_language.chat.recorded import Recorded
from omnitrain_language.chat.rules import Rule
from omnitrain_language.configs.chat import ChatConfig

LEDGER = "answers"
Opens = Callable[[], AbstractContextManager[Ledger]]


class Chat:
    """Answers requests: what is kept already from disk, the rest from a model.

    opens: opens the ledger of completions, which several runs may fill at the same time. counts: completions by finish;
    asked: how many were not kept before.
    """

    def __init__(self, config: ChatConfig, backend: Backend, opens: Opens) -> None:
        self.config, self.backend, self._opens = config, backend, opens
        self.budget = Budget(config.budget, config.prompt_price, config.completion_price)
        self.counts: Counter[str] = Counter()
        self.asked = 0
        self._counted: set[str] = set()

    def ask(self, requests: Sequence[Request], bar: Progress | None = None) -> list[Answer]:
        """Return the answer to each request, asking once for those that are equal.

        bar: advanced by one for each different request. Raises what the model's back end raises; then all that was completed
        is kept, and asking again goes on behind it.
        """
        identity = self.backend.identity
        keys = [key_of(identity, request) for request in requests]
        different = dict(zip(keys, requests, strict=True))
        with self._opens() as ledger:
            missing = [key for key in different if key not in ledger]
            for key in different:
                if key in ledger:
                    self._count(key, _completion(ledger, key), bar)
            asked = [different[key] for key in missing]
            with closing(self.backend.complete(asked, missing, self.budget)) as stream:
                for place, completion in stream:
                    ledger.add(missing[place], completion.as_json())
                    self.asked += 1
                    self._count(missing[place], completion, bar, is_new=True)
            return [self._answer(_completion(ledger, key)) for key in keys]

    def _count(self, key: str, completion: Completion, bar: Progress | None, is_new: bool = False) -> None:
        if key not in self._counted:
            self._counted.add(key)
            self.counts[completion.finish] += 1
            if not is_new:
                self.budget.spent += completion.cost
        if bar is not None:
            bar.advance(spent=self.budget.spent) if self.budget.spent else bar.advance()

    def _answer(self, completion: Completion) -> Answer:
        return Answer(completion.text if completion.finish in self.config.take else None, completion)

    def summary(self) -> str:
        """Say how many completions there are, how many are no answers and why, and what they cost."""
        total = sum(self.counts.values())
        lost = {finish: n for finish, n in sorted(self.counts.items()) if finish not in self.config.take}
        text = f"{total} answers, {self.asked} of them new"
        if lost:
            parts = ", ".join(f"{count} {finish}" for finish, count in lost.items())
            text += f"; {sum(lost.values())} are not taken as answers ({parts})"
        return f"{text}; cost {self.budget.spent:.4f}" if self.budget.spent else text


def open_chat(config: ChatConfig, run: Run) -> Chat:
    """Make what a config describes, for a stage or evaluator.

    What is paid for is kept by content in the run's workspace, so that neither --force nor a raised budget pays twice; what
    this machine makes itself is kept in a ledger of the stage.
    """

    if config.kind == "endpoint":
        return Chat(
            config, Endpoint(config, run.stop_if_asked, run.say), lambda: LedgerFile(run.workspace / LEDGER, warn=run.say)
        )
    return Chat(config, _backend(config, run), lambda: nullcontext(run.ledger(LEDGER)))


def _backend(config: ChatConfig, run: Run) -> Backend:
    if config.kind == "recorded":
        return Recorded(user_path(str(config.path)))
    if config.kind == "rule":
        return Rule(str(config.rule))
    return open_local(config, run)


def _completion(ledger: Ledger, key: str) -> Completion:
    return Completion(**ledger[key])
