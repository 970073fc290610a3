"""Settings of what answers requests: an endpoint, a model, a recorded file, a function."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from omnitrain.api import Config, InputModule, InputPath, UseModel
from omnitrain_language.configs.keys import read_key
from omnitrain_language.configs.limits import NonNegative, Positive

Price = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
_NEEDS = {"endpoint": ("url", "name"), "model": ("model",), "recorded": ("path",), "rule": ("rule",)}
_HERE = ("localhost", "127.0.0.1", "::1")


class LimitsConfig(Config):
    """How fast and how patiently an endpoint is asked."""

    concurrency: Positive = 8
    """Requests under way at the same time. At most so many are paid a second time after a kill."""
    requests_per_minute: Positive | None = None
    """Limit of the server; nothing means: none."""
    tokens_per_minute: Positive | None = None
    """Limit of the server, of prompts and answers together; nothing means: none."""
    timeout_s: Seconds = 120.0
    """Seconds for one answer."""
    retries: NonNegative = 6
    """Further tries of a request after a fault of the network or a busy server."""
    first_wait_s: Annotated[float, Field(ge=0)] = 1.0
    """Seconds before the second try where the server asks for none; doubled with each further one, less up to a half."""
    longest_wait_s: Seconds = 300.0
    """Longest wait before a try. A server that asks for more ends the job, which goes on later."""


class ChatConfig(Config):
    """Who answers, with which settings, at what price. Answers are kept and never asked for twice."""

    kind: Literal["endpoint", "model", "recorded", "rule"]
    """An endpoint in OpenAI's form, a model, a file of recorded answers, or a function."""
    url: str | None = None
    """Of `endpoint`: address of the API up to /v1."""
    name: str = ""
    """Of `endpoint`: name of the model."""
    key_variable: str | None = None
    """Of `endpoint`: environment variable that holds the key, which is written nowhere. Nothing means: without a key."""
    exact_name: bool = False
    """Of `endpoint`: end the job when another model answers; else that is said. A dated version of the name is the same."""
    length_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Of `endpoint`: how the server calls the longest answer."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Of `endpoint`: further fields of the request, such as {top_p: 0.9}."""
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    """Of `endpoint`: how fast it is asked."""
    model: UseModel | None = None
    """Of `model`: the model."""
    template: Literal["chat", "plain"] | None = None
    """Of `model`: how messages become text: by the tokenizer's chat template or their contents alone. Nothing means: `chat`
    where the tokenizer has a template."""
    batch_size: Positive = 16
    """Of `model`: requests that are answered together."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Of `model`: where it computes."""
    path: InputPath | None = None
    """Of `recorded`: lines of JSON with messages, sample, text and finish."""
    rule: InputModule | None = None
    """Of `rule`: function that takes messages and returns text, as "module:function"."""
    max_tokens: Positive = 1024
    """Longest answer in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    seed: int | None = None
    """Of `endpoint` and `model`: seed of the draws; at an endpoint sample n adds n."""
    take: list[str] = Field(default_factory=lambda: ["stop"], min_length=1)
    """Reasons to end with which a text counts as an answer; all else (length, content_filter, unknown) is counted, named and
    kept, and is no answer."""
    prompt_price: Price = 0.0
    """Price of a million tokens of prompts."""
    completion_price: Price = 0.0
    """Price of a million tokens of answers."""
    budget: Price | None = None
    """Most that all answers together may cost; before one could exceed it the job ends, and what was paid is kept."""

    @model_validator(mode="after")
    def _complete(self) -> ChatConfig:
        for name in _NEEDS[self.kind]:
            if not getattr(self, name):
                raise ValueError(f"kind {self.kind} needs {name}")
        if self.url:
            self._check_url(self.url)
        if self.budget is not None and not (self.prompt_price or self.completion_price):
            raise ValueError("budget needs prompt_price or completion_price, by which answers cost something")
        taken = {"model", "messages", "temperature", "stream", "n", "seed", self.length_parameter} & set(self.extra)
        if taken:
            raise ValueError(
                f"extra may not hold {', '.join(sorted(taken))}, which settings of their own say or which can't be"
            )
        return self

    def check_machine(self) -> None:
        """Raise EnvironmentFault without the key that an endpoint is asked with; see omnitrain.api.ChecksMachine."""
        if self.kind == "endpoint":
            read_key(self.key_variable)

    def _check_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {url!r} must begin with https:// or http:// and name a server")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("url must hold no user, password or query; name a variable with the key in key_variable")
        try:
            port = parts.port
        except ValueError as error:
            raise ValueError(f"url {url!r} has no port of a server ({error}); write one from 1 to 65535, or none") from error
        if port == 0:
            raise ValueError(f"url {url!r} has port 0, where no server listens; write one from 1 to 65535, or none")
        if self.key_variable and parts.scheme == "http" and parts.hostname not in _HERE:
            raise ValueError("url must begin with https:// (or be on this machine), since a key is sent to it")
