"""What a dry run says of requests: how many, which are kept, tokens, money and time."""

from __future__ import annotations

from collections.abc import Sequence

from omnitrain.api import Run
from omnitrain.engine import Ledger
from omnitrain_language.chat.asking import LEDGER
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.endpoint import Endpoint, likely_tokens
from omnitrain_language.chat.messages import Request, key_of
from omnitrain_language.configs.chat import ChatConfig

TOKENS_A_SECOND = 50  # of one answer: about what servers write


def plan_lines(config: ChatConfig, requests: Sequence[Request], run: Run, total: int | None = None) -> list[str]:
    """Return lines for `PlansStage.plan`: nothing is asked. total: how many requests there are, where these are a sample."""
    if config.kind != "endpoint":
        return [f"{total or len(requests)} requests, answered by {config.kind} here"]
    count = total if total is not None else len(requests)
    kept = _kept(config, requests, run) if total is None else 0
    share = (count - kept) / len(requests) if requests else 0.0
    prompt, most = round(sum(map(likely_tokens, requests)) * share), (count - kept) * config.max_tokens
    lines = [
        f"{count} requests to {config.url} ({config.name}), {kept} answered already",
        f"about {prompt:,} tokens of prompts, at most {most:,} of answers",
    ]
    budget = Budget(config.budget, config.prompt_price, config.completion_price)
    if budget.cost(1, 1) > 0:
        limit = "no budget" if config.budget is None else f"budget {config.budget:g}"
        prompts, answers = budget.cost(prompt, 0), budget.cost(0, most)
        lines.append(f"costs about {prompts:.4f} for prompts, at most {answers:.4f} for answers; {limit}")
    least, longest = (_minutes(config, count - kept, prompt + written, written) for written in (0, most))
    lines.append(f"takes at least {least:.1f} min, at most about {longest:.1f} min at {TOKENS_A_SECOND} tokens a second")
    return lines


def _kept(config: ChatConfig, requests: Sequence[Request], run: Run) -> int:
    if not (run.workspace / LEDGER).is_dir():
        return 0
    identity = Endpoint(config).identity
    with Ledger(run.workspace / LEDGER, writes=False) as ledger:
        return sum(key_of(identity, request) in ledger for request in requests)


def _minutes(config: ChatConfig, requests: int, tokens: int, written: int) -> float:
    limits = config.limits
    found = [written / limits.concurrency / TOKENS_A_SECOND / 60]
    if limits.requests_per_minute is not None:
        found.append(requests / limits.requests_per_minute)
    if limits.tokens_per_minute is not None:
        found.append(tokens / limits.tokens_per_minute)
    return max(found)
