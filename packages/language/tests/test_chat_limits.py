"""Limits a minute: never exceeded in any window, and kept full; back-off and Retry-After."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_language.chat.backoff import backoff, retry_after
from omnitrain_language.chat.limits import MINUTE_S, Expected, Limiter


def sent(limiter, sizes, until):
    """Send as early as the limiter allows on a clock of our own; return (time, tokens) of each."""
    now, found = 0.0, []
    for size in sizes:
        while (pause := limiter.wait(now, size)) > 0:
            now += pause
        if now >= until:
            return found
        limiter.take(now, size)
        found.append((now, size))
    raise AssertionError("too few requests for this test")


def fullest(found, weight):
    return max(sum(weight(size) for at, size in found if begin <= at < begin + MINUTE_S) for begin, _ in found)


@given(st.integers(1, 200), st.integers(400, 20_000), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_no_minute_holds_more_than_the_limits_and_one_of_them_is_full(requests, tokens, draws):
    minutes = 5
    largest = tokens // 40
    sizes = (draws.randint(1, largest) for _ in range(minutes * requests + 1))
    found = sent(Limiter(requests, tokens), sizes, minutes * MINUTE_S)
    assert fullest(found, lambda size: 1) <= requests
    assert fullest(found, lambda size: size) <= tokens
    by_requests = len(found) / (minutes * requests)
    by_tokens = sum(size for _, size in found) / (minutes * tokens)
    assert max(by_requests, by_tokens) >= 0.95


def test_what_the_server_counts_makes_room_or_takes_it():
    limiter = Limiter(tokens=100)
    entry = limiter.take(0.0, 90)
    assert limiter.wait(1.0, 50) == pytest.approx(59.0)
    limiter.settle(entry, 20)
    assert limiter.wait(1.0, 50) == 0.0
    limiter.settle(entry, 60)
    assert limiter.wait(1.0, 50) == pytest.approx(59.0)


def test_a_request_above_the_limit_alone_is_refused_instead_of_waiting_for_ever():
    with pytest.raises(ValueError, match="101 tokens of one request are more than the limit of 100"):
        Limiter(tokens=100).wait(0.0, 101)


def test_without_limits_nothing_waits():
    assert Limiter().wait(0.0, 10**9) == 0.0


@given(st.integers(0, 2000), st.integers(0, 2**32))
def test_waits_grow_up_to_the_longest_and_differ(attempt, seed):
    found = backoff(attempt, 1.0, 30.0, random.Random(seed))
    whole = min(30.0, 2.0 ** min(attempt, 10))
    assert whole / 2 <= found <= whole


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True), "date": format_datetime(NOW, True)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True), "date": format_datetime(NOW, True)}, 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date_of_the_servers_clock(headers, expected):
    assert retry_after(headers) == expected


def test_answers_are_taken_to_be_as_long_as_the_longest_so_far_until_a_server_refuses():
    expected = Expected(1000, after=2)
    expected.saw(5)
    assert expected.tokens == 1000
    expected.saw(9)
    expected.saw(7)
    assert expected.tokens == 9
    expected.refused()
    expected.refused()
    found = []
    for _ in range(4):
        expected.saw(6)
        found.append(expected.tokens)
    assert found == [1000, 1000, 1000, 9]


def test_spare_time_is_waited_behind_each_minute():
    limiter = Limiter(requests=1, spare_s=0.5)
    limiter.take(0.0, 1)
    assert limiter.wait(60.0, 1) == pytest.approx(0.5)
    assert limiter.wait(60.5, 1) == 0.0
