"""Answers of a local model, a recorded file and a function, and what a dry run says."""

import hashlib
import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from omnitrain.engine import Ledger
from omnitrain.errors import DataError, UsageError
from omnitrain_language.chat.asking import Chat, open_chat
from omnitrain_language.chat.local import LocalModel
from omnitrain_language.chat.messages import Request, ask_for
from omnitrain_language.chat.planning import plan_lines
from omnitrain_language.chat.recorded import Recorded, record
from omnitrain_language.chat.rules import Rule
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.tokenizers import make_model


def shout(messages):
    return messages[-1]["content"].upper()


def number(messages):
    return 3


def chat_of(config, backend, folder):
    return Chat(config, backend, partial(Ledger, folder / "answers"))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("chat-model")
    make_model("chat", folder)
    with torch.random.fork_rng(devices=[]):
        return LanguagePredictor(AutoModelForCausalLM.from_pretrained(str(folder)), load_tokenizer(folder))


def local(predictor, check=lambda: None, **settings):
    config = ChatConfig(kind="model", model={"from": "train"}, **{"max_tokens": 6, **settings})
    return config, LocalModel(config, predictor, {"from": "train"}, 7, check)


def completions(backend, requests):
    keys = [f"{number:032x}" for number in range(len(requests))]
    return dict(backend.complete(requests, keys, None))


def test_a_local_model_writes_in_its_chat_template_and_tells_a_cut_text(predictor):
    _, backend = local(predictor, take=["stop", "length"])
    found = completions(backend, [ask_for("the river"), ask_for("a mill " * 5)])
    rendered = "<|im_start|>user\nthe river<|im_end|>\n<|im_start|>assistant\n"
    ids = predictor.tokenizer(rendered, add_special_tokens=False).input_ids
    assert found[0].prompt_tokens == len(ids)
    for completion in found.values():
        assert completion.finish == ("length" if completion.completion_tokens == 6 else "stop")


def test_samples_of_a_local_model_are_the_same_in_any_batch_and_order(predictor):
    requests = [ask_for("the river " * (1 + n % 3), sample=n) for n in range(6)]
    _, together = local(predictor, temperature=1.0, template="plain")
    _, alone = local(predictor, temperature=1.0, template="plain", batch_size=1)
    found = completions(together, requests)
    assert found == completions(alone, requests)
    assert len({completion.text for completion in found.values()}) > 1


def test_a_prompt_that_is_too_long_for_a_local_model_is_no_answer_and_not_cut_silently(predictor, tmp_path):
    config, backend = local(predictor, take=["stop", "length"])
    chat = chat_of(config, backend, tmp_path)
    short, long = chat.ask([ask_for("the mill"), ask_for("water at night " * 60)])
    assert (short.text is None, long.text, long.finish) == (False, None, "context_length")


def test_longest_answers_that_leave_no_room_for_a_prompt_are_refused(predictor):
    _, backend = local(predictor, max_tokens=128)
    with pytest.raises(UsageError, match=r"chat.max_tokens 128 leaves no room .* the model's 128 positions: lower it"):
        completions(backend, [ask_for("the mill")])
    _, backend = local(predictor, max_tokens=127)
    assert completions(backend, [ask_for("the mill")])[0].finish == "context_length"


def test_a_model_with_scaled_positions_takes_prompts_up_to_them(predictor, monkeypatch):
    scaled = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    monkeypatch.setattr(predictor.config, "rope_parameters", scaled)
    _, backend = local(predictor, template="plain")
    short, long = (completions(backend, [ask_for("the mill " * count)])[0] for count in (200, 600))
    assert short.prompt_tokens > 128
    assert (short.finish == "context_length", long.finish) == (False, "context_length")
    row = predictor.prompt_ids("the mill " * 200)
    assert len(row) > 127
    assert predictor.encode_prompts(["the mill " * 200], 1) == [row[-511:]]


def test_an_interrupted_local_model_goes_on_behind_its_last_batch(predictor, tmp_path):
    batches = []

    def check():
        batches.append(None)
        if len(batches) == 3:
            raise KeyboardInterrupt

    requests = [ask_for(f"river {number}") for number in range(6)]
    config, backend = local(predictor, check, batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        chat_of(config, backend, tmp_path).ask(requests)
    config, backend = local(predictor, batch_size=2)
    chat = chat_of(config, backend, tmp_path)
    chat.ask(requests)
    assert (chat.asked, sum(chat.counts.values())) == (2, 6)


def test_what_was_recorded_is_answered_again(tmp_path):
    config = ChatConfig(kind="rule", rule=f"{__name__}:shout")
    requests = [ask_for("one", "System."), ask_for("one"), ask_for("one", sample=1)]
    answers = chat_of(config, Rule(f"{__name__}:shout"), tmp_path).ask(requests)
    assert [answer.text for answer in answers] == ["ONE"] * 3
    record(tmp_path / "recorded.jsonl", zip(requests, answers, strict=True))
    config = ChatConfig(kind="recorded", path=str(tmp_path / "recorded.jsonl"))
    assert chat_of(config, Recorded(tmp_path / "recorded.jsonl"), tmp_path).ask(requests) == answers
    with pytest.raises(DataError, match=r"holds no answer to the messages that end with 'two' \(sample 0\)"):
        chat_of(config, Recorded(tmp_path / "recorded.jsonl"), tmp_path).ask([ask_for("two")])


def test_a_recorded_file_may_be_named_from_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}], "text": "b", "finish": "stop"}')
    chat = open_chat(ChatConfig(kind="recorded", path="~/r.jsonl"), SimpleNamespace())
    assert completions(chat.backend, [ask_for("a")])[0].text == "b"
    assert chat.backend.identity["sha256"] == hashlib.sha256((tmp_path / "r.jsonl").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "line",
    ["[1]", "{", '{"messages": [], "text": "a", "finish": "stop"}', '{"messages": [{"role": "user", "content": "a"}]}', "3"],
)
def test_a_line_that_is_no_recorded_answer_is_named(tmp_path, line):
    good = {"messages": [{"role": "user", "content": "a"}], "text": "b", "finish": "stop"}
    (tmp_path / "r.jsonl").write_text(f"{json.dumps(good)}\n\n{line}\n")
    with pytest.raises(DataError, match=r"r\.jsonl:3 is no recorded answer"):
        Recorded(tmp_path / "r.jsonl")


def test_two_recorded_answers_to_the_same_are_refused(tmp_path):
    good = json.dumps({"messages": [{"role": "user", "content": "a"}], "text": "b", "finish": "stop"})
    (tmp_path / "r.jsonl").write_text(f"{good}\n{good}\n")
    with pytest.raises(DataError, match=r"r\.jsonl:2 answers the same messages and sample as line 1"):
        Recorded(tmp_path / "r.jsonl")


@pytest.mark.parametrize("reference", ["shout", "no.such:thing", f"{__name__}:missing", f"{__name__}:__name__"])
def test_a_rule_that_is_no_function_is_named(reference):
    with pytest.raises(UsageError, match=r"rule: .*write module:function"):
        Rule(reference)


def test_a_rule_that_returns_no_text_is_named(tmp_path):
    config = ChatConfig(kind="rule", rule=f"{__name__}:number")
    with pytest.raises(UsageError, match="returned int; expected text"):
        chat_of(config, Rule(f"{__name__}:number"), tmp_path).ask([ask_for("a")])


@pytest.mark.parametrize("messages", [[], [{"role": "user"}], [{"role": "user", "content": 3}]])
def test_a_request_that_is_none_is_refused(messages):
    with pytest.raises(DataError, match="message"):
        Request(messages)


def test_a_dry_run_says_requests_tokens_money_and_time_and_asks_nothing(chat_server, tmp_path, monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    limits = {"requests_per_minute": 10}
    prices = {"prompt_price": 1.0, "completion_price": 2.0, "budget": 5.0}
    settings = {"url": chat_server.url, "name": "teacher", "key_variable": "A_KEY", "max_tokens": 100}
    config = ChatConfig(kind="endpoint", limits=limits, **settings, **prices)
    run = SimpleNamespace(workspace=tmp_path)
    lines = plan_lines(config, [ask_for("word " * 60)] * 5, run, total=100)
    assert lines == [
        f"100 requests to {chat_server.url} (teacher), 0 answered already",
        "about 11,700 tokens of prompts, at most 10,000 of answers",
        "costs about 0.0117 for prompts, at most 0.0200 for answers; budget 5",
        "takes at least 10.0 min, at most about 10.0 min at 50 tokens a second",
    ]
    assert chat_server.received == []
