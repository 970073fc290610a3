"""Faults of connections in words."""

import socket
import ssl

import pytest

from omnitrain_language.chat.advice import by_error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(), "nothing listens there"),
        (socket.gaierror(-2, "unknown"), "no server of that name is known"),
        (ssl.SSLError(1, "wrong version"), "no TLS connection"),
    ],
)
def test_faults_of_connections_are_said_in_words(error, said):
    assert by_error(error)[0].startswith(said)
