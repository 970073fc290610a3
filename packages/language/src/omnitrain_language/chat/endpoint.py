"""A server in OpenAI's form: many requests at once, below its limits, tried again with patience.

One thread decides (what is sent when, what is tried again, what is spent), the others each wait for one reply.
"""

from __future__ import annotations

import heapq
import http.client
import json
import os
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from omnitrain.errors import EnvironmentFault, OmnitrainError, UsageError
from omnitrain_language.chat.advice import by_error
from omnitrain_language.chat.backoff import backoff
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.limits import Entry, Expected, Limiter
from omnitrain_language.chat.messages import Completion, Completions, Request
from omnitrain_language.chat.replies import Again, Fault, Outcome, outcome_of
from omnitrain_language.chat.wire import Wire
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.configs.keys import read_key

POLL_S = 0.2  # how soon a request to stop is noticed
SPARE_S = 0.5  # by which requests may arrive unevenly at a server that counts them by the minute
_MESSAGE_TOKENS = 16  # most that a template puts around a message


class Clock:
    """The time, and waiting for replies."""

    def now(self) -> float:
        """Return seconds."""
        return time.monotonic()

    def wait(self, running: Sequence[Future[Outcome]], seconds: float) -> None:
        """Return when one is done, or after so many seconds."""
        if running:
            wait(running, min(seconds, POLL_S), FIRST_COMPLETED)
        else:
            time.sleep(min(seconds, POLL_S))


@dataclass(frozen=True)
class _Sent:
    """A request under way: place, number of tries before, its entry at the limiter, the most that it may cost."""

    place: int
    tries: int
    entry: Entry
    most: float


def most_tokens(request: Request) -> int:
    """Return a bound of the tokens of a prompt: no tokenizer of bytes makes more."""
    return request.bytes + _MESSAGE_TOKENS * (len(request.messages) + 1)


def likely_tokens(request: Request) -> int:
    """Return about how many tokens a prompt has, rather more than fewer."""
    return request.bytes // 3 + _MESSAGE_TOKENS * len(request.messages)


class Endpoint:
    """Completes requests at a server. check: raises Stopped on request. say: told what a user should know, once each."""

    def __init__(
        self,
        config: ChatConfig,
        check: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
        clock: Clock | None = None,
    ) -> None:
        self.config, self._check, self._say, self._clock = config, check, say, clock or Clock()
        self._limiter = Limiter(config.limits.requests_per_minute, config.limits.tokens_per_minute, SPARE_S)
        self._expected = Expected(config.max_tokens)
        # Other processes shall not try again at the same moment; no result depends on these draws.
        self._draws = random.Random(os.getpid())
        self._said: set[str] = set()

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server, the model, and every field of a request but the messages."""
        return {"kind": "endpoint", "url": self.config.url, **self._fields(0)}

    def complete(self, requests: Sequence[Request], keys: Sequence[str], budget: Budget) -> Completions:
        """Yield completions as they come; an error or a stop is raised when those under way have come.

        Raises UsageError where the budget would be exceeded, EnvironmentFault without a key and when the server gives no
        answer after all tries.
        """
        if not requests:
            return
        key = read_key(self.config.key_variable)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        wire = Wire(str(self.config.url), self.config.limits.timeout_s)
        with ThreadPoolExecutor(self.config.limits.concurrency, thread_name_prefix="chat") as pool:
            try:
                yield from _Job(self, requests, budget, lambda r: pool.submit(self._attempt, wire, headers, r)).completions()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                wire.close()

    def _fields(self, sample: int) -> dict[str, Any]:
        config = self.config
        seed = {} if config.seed is None else {"seed": config.seed + sample}
        fields = {"model": config.name, "temperature": config.temperature, config.length_parameter: config.max_tokens}
        return {**fields, **seed, **config.extra}

    def _attempt(self, wire: Wire, headers: Mapping[str, str], request: Request) -> Outcome:
        """Send a request once. The key, which servers repeat in what they say, is taken out of it."""
        body = {**self._fields(request.sample), "messages": [dict(message) for message in request.messages]}
        try:
            found = outcome_of(wire.post("/chat/completions", json.dumps(body).encode(), headers))
        except (OSError, http.client.HTTPException) as error:
            found = Again(*by_error(error))
        key = headers.get("Authorization", "").removeprefix("Bearer ")
        if key and isinstance(found, Again | Fault):
            return replace(found, reason=found.reason.replace(key, "***"))
        return found

    def note_model(self, served: str) -> OmnitrainError | None:
        """Take note of which model answered; return the error for another one where that is not allowed."""
        name = self.config.name
        if not served or served == name or served.startswith(f"{name}-"):
            return None
        text = f"{self.config.url}: the model {served!r} answers in place of {name!r}"
        if self.config.exact_name:
            return EnvironmentFault(f"{text}; name that one, or set exact_name to false.")
        self.say_once(text)
        return None

    def say_once(self, text: str) -> None:
        """Tell the user something, the first time."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def fault(self, reason: str, advice: str) -> EnvironmentFault:
        """Return the error that ends the job. advice: what to do before it is run again."""
        return EnvironmentFault(
            f"{self.config.url} gave no answer of {self.config.name!r} ({reason.rstrip('.')}); {advice}, and "
            "run again: answers so far are kept."
        )


class _Job:
    """The requests of one call: those that wait, those to try again at a time, those under way."""

    def __init__(
        self, endpoint: Endpoint, requests: Sequence[Request], budget: Budget, send: Callable[[Request], Future[Outcome]]
    ) -> None:
        self._endpoint, self._requests, self._budget, self._send = endpoint, requests, budget, send
        self._config, self._clock, self._limiter = endpoint.config, endpoint._clock, endpoint._limiter
        self._expected = endpoint._expected
        self._waiting = deque((place, 0) for place in range(len(requests)))
        self._again: list[tuple[float, int, int]] = []
        self._running: dict[Future[Outcome], _Sent] = {}
        self._paused_until = 0.0
        self._ending: OmnitrainError | None = None

    def completions(self) -> Completions:
        """Yield what comes; after an error nothing is sent any more, and what is under way is waited for."""
        while self._running or (self._ending is None and (self._waiting or self._again)):
            pause = self._start()
            self._clock.wait(list(self._running), pause)
            for future in [future for future in self._running if future.done()]:
                yield from self._finished(self._running.pop(future), future.result())
        if self._ending is not None:
            raise self._ending

    def _start(self) -> float:
        """Send what may be sent now; return the seconds until more may be."""
        limits = self._config.limits
        while self._ending is None:
            try:
                self._endpoint._check()
            except OmnitrainError as error:
                self._ending = error
                break
            now = self._clock.now()
            while self._again and self._again[0][0] <= now:
                _, place, tries = heapq.heappop(self._again)
                self._waiting.appendleft((place, tries))
            if not self._waiting or len(self._running) >= limits.concurrency:
                return max(1e-3, self._again[0][0] - now) if self._again else 1.0
            pause = self._pause(now)
            if pause > 0:
                return pause
        return 1.0

    def _pause(self, now: float) -> float:
        """Send the next request, or return the seconds that it has to wait."""
        if now < self._paused_until:
            return self._paused_until - now
        place, tries = self._waiting[0]
        request = self._requests[place]
        tokens = likely_tokens(request) + self._expected.tokens
        try:
            pause = self._limiter.wait(now, tokens)
        except ValueError as error:
            self._ending = UsageError(f"tokens_per_minute: {error}; lower max_tokens, or shorten the prompt.")
            return 0.0
        if pause > 0:
            return pause
        most = self._budget.cost(most_tokens(request), self._config.max_tokens)
        if not self._budget.has_room(most):
            if self._running:
                return 1.0  # what is under way will most likely cost less than was set aside
            self._ending = self._budget.exceeded(most)
            return 0.0
        self._waiting.popleft()
        self._budget.reserve(most)
        self._running[self._send(request)] = _Sent(place, tries, self._limiter.take(now, tokens), most)
        return 0.0

    def _finished(self, sent: _Sent, outcome: Outcome) -> Completions:
        if isinstance(outcome, Completion):
            yield sent.place, self._paid(sent, outcome)
            return
        self._budget.settle(sent.most, 0.0)
        self._limiter.settle(sent.entry, 0)
        if isinstance(outcome, Again) and outcome.limited:
            self._expected.refused()
        if isinstance(outcome, Fault):
            self._ending = self._ending or self._endpoint.fault(outcome.reason, outcome.advice)
            return
        limits = self._config.limits
        pause = backoff(sent.tries, limits.first_wait_s, limits.longest_wait_s, self._endpoint._draws)
        if outcome.after_s is not None:
            pause = outcome.after_s
        if sent.tries >= limits.retries:
            self._ending = self._ending or self._endpoint.fault(
                f"{outcome.reason}, tried {sent.tries + 1} times", outcome.advice
            )
        elif pause > limits.longest_wait_s:
            advice = "raise limits.longest_wait_s, or wait as long"
            self._ending = self._ending or self._endpoint.fault(f"{outcome.reason}, it asks to wait {pause:.0f} s", advice)
        else:
            ready = self._clock.now() + pause
            heapq.heappush(self._again, (ready, sent.place, sent.tries + 1))
            if outcome.all:
                self._paused_until = max(self._paused_until, ready)

    def _paid(self, sent: _Sent, found: Completion) -> Completion:
        """Count a completion; what the server doesn't count costs what it may have cost at most."""
        request = self._requests[sent.place]
        prompt, written = found.prompt_tokens, found.completion_tokens
        if found.finish == "context_length" or (found.finish == "content_filter" and not found.text and prompt is None):
            prompt, written = 0, 0  # refused before a model read it
        if (prompt is None or written is None) and self._budget.cost(1, 1) > 0:
            self._endpoint.say_once(f"{self._config.url} counts no tokens: answers are taken to cost the most that they may")
        cost = self._budget.cost(
            most_tokens(request) if prompt is None else prompt, self._config.max_tokens if written is None else written
        )
        if prompt is not None and written is not None:
            self._limiter.settle(sent.entry, prompt + written)
            self._expected.saw(written)
        self._budget.settle(sent.most, cost)
        self._ending = self._ending or self._endpoint.note_model(found.model)
        return replace(found, cost=cost)
