"""A server in OpenAI's form on this machine that answers by a rule and fails as it is told, for tests of what asks models.

    with ChatServer(script=[status(429, retry_after="0"), dropped()]) as server:
        ...  # ask server.url; the first two requests fail, all others are answered by `server.answer`

With pytest, the fixture `chat_server` is such a server, open as long as the test.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "teacher"


@dataclass(frozen=True)
class Reply:
    """What comes back for one request. drops: the connection is closed instead. hangs: nothing comes behind the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drops: bool = False
    hangs: bool = False


@dataclass(frozen=True)
class Received:
    """A request as it came. headers: names in lower case. body: what JSON it held."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        """The content of the last message."""
        return str(self.body["messages"][-1]["content"])


def completion(
    text: str | None, finish: str | None = "stop", model: str = MODEL, tokens: tuple[int, int] | None = (10, 5)
) -> Reply:
    """Answer with a text. finish: "length" for one that is cut, "content_filter", None for a server that doesn't tell."""
    content: dict[str, Any] = {
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
    }
    if tokens is not None:
        content["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return Reply(body=json.dumps(content).encode())


def status(code: int, retry_after: str | None = None, error: str = "", message: str = "", **headers: str) -> Reply:
    """Refuse with an HTTP status. retry_after: seconds or a date as HTTP has it. error: OpenAI's code of the error."""
    body = json.dumps({"error": {"message": message or f"status {code}", "code": error or None, "type": "refused"}})
    return Reply(code, body.encode(), {**headers, **({} if retry_after is None else {"Retry-After": retry_after})})


def filtered() -> Reply:
    """Refuse a prompt by the server's content filter, before a model has read it."""
    return status(400, error="content_filter", message="the prompt was filtered")


def malformed(body: bytes = b'{"choices": [') -> Reply:
    """Answer with what is no completion."""
    return Reply(body=body)


def dropped() -> Reply:
    """Close the connection without an answer."""
    return Reply(drops=True)


def torn() -> Reply:
    """Close the connection in the middle of the body."""
    return Reply(body=completion("torn").body, drops=True)


def hung() -> Reply:
    """Never answer: for tests of time-outs."""
    return Reply(hangs=True)


def slow() -> Reply:
    """Begin to answer and never come to the end."""
    return Reply(body=completion("slow").body, hangs=True)


class ChatServer:
    """Answers POST /v1/chat/completions. answer: text by messages. script: replies to the first requests, in their order.

    key: what requests have to bring; None for a server without keys. before: called with each request before it is answered.
    received: all requests, in the order in which they came.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Mapping[str, str]]], str | Reply] | None = None,
        script: Iterable[Reply] = (),
        key: str | None = None,
        before: Callable[[Received], None] | None = None,
    ) -> None:
        self.answer = answer or (lambda messages: f"answer to {messages[-1]['content']}")
        self.script, self.key, self.before = deque(script), key, before
        self.received: list[Received] = []
        self.most_at_once = 0
        self._at_once, self._guard, self._closing = 0, threading.Lock(), threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """The address up to /v1."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        """The last message of each request."""
        return [received.prompt for received in self.received]

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, received: Received) -> Reply:
        """Return what comes back for a request."""
        with self._guard:
            self.received.append(received)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            planned = self.script.popleft() if self.script else None
        try:
            if self.before is not None:
                self.before(received)
            given = received.headers.get("authorization", "").removeprefix("Bearer ")
            if self.key is not None and given != self.key:
                return status(401, error="invalid_api_key", message=f"Incorrect API key provided: {given}")
            if planned is not None:
                return planned
            found = self.answer(received.body["messages"])
            return found if isinstance(found, Reply) else completion(found, model=str(received.body.get("model", MODEL)))
        finally:
            with self._guard:
                self._at_once -= 1

    def hang(self) -> None:
        """Wait until the server is closed."""
        self._closing.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each reply waits 40 ms for the client to acknowledge its headers

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._write(server.reply(Received(self.path, headers, body)))

        def _write(self, reply: Reply) -> None:
            if not (reply.body or reply.status != 200):
                if reply.hangs:
                    server.hang()
                self._drop()
                return
            self.send_response_only(reply.status)
            if "Date" not in reply.headers:
                self.send_header("Date", self.date_time_string())
            is_cut = reply.drops or reply.hangs
            self.send_header("Content-Length", str(len(reply.body) + 1 if is_cut else len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.hangs:
                server.hang()
            if is_cut:
                self._drop()

        def _drop(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
