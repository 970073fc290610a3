"""One JSON request over HTTP at a time, on connections that are kept open; safe to call from several threads.

The standard library's client does all of it; huggingface_hub's own client changes its name between versions.
"""

from __future__ import annotations

import http.client
import queue
import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from omnitrain.errors import EnvironmentFault

LARGEST = 64 << 20
_PIECE = 1 << 16


@dataclass(frozen=True)
class Response:
    """Status, headers with names in lower case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Connections to one server, through the proxy that the environment names."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._timeout = urlsplit(url), timeout_s
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a body; return what comes back within the time of one answer.

        Raises TimeoutError, OSError or http.client.HTTPException.
        """
        try:
            connection, is_kept = self._idle.get_nowait(), True
        except queue.Empty:
            connection, is_kept = self._connect(), False
        try:
            try:
                self._send(connection, path, body, headers)
                response = connection.getresponse()
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                # A server closes connections that were idle for long; only a fresh one tells of a fault.
                connection.close()
                if not is_kept:
                    raise
                connection = self._connect()
                self._send(connection, path, body, headers)
                response = connection.getresponse()
            found = self._read(connection, response)
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        return found

    def close(self) -> None:
        """Close the connections that are not in use."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def _send(self, connection: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        whole = f"{self._url.path.rstrip('/')}{path}"
        target = whole if connection.host == self._url.hostname or self._tls else f"http://{self._url.netloc}{whole}"
        connection.request("POST", target, body, {**headers, "Content-Type": "application/json", "Accept": "application/json"})

    def _read(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Response:
        """Read the body piece by piece, since the time of a socket counts anew with each."""
        ends, pieces, size = time.monotonic() + self._timeout, [], 0
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise http.client.HTTPException(f"the answer is longer than {LARGEST} bytes")
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            if connection.sock is not None:
                connection.sock.settimeout(left)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # or the connection can't take the next request
        if connection.sock is not None:
            connection.sock.settimeout(self._timeout)
        return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, b"".join(pieces))

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(self._url.scheme)
        found = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
        try:
            near, near_port = (host, port) if found is None else (found.hostname or "", found.port)
        except ValueError as error:
            raise EnvironmentFault(
                f"the environment variable {self._url.scheme}_proxy names no port of a server; write one from 1 to 65535"
            ) from error
        if self._tls is None:
            return http.client.HTTPConnection(near, near_port, timeout=self._timeout)
        connection = http.client.HTTPSConnection(near, near_port, timeout=self._timeout, context=self._tls)
        if found is not None:
            connection.set_tunnel(host, port or 443)
        return connection
