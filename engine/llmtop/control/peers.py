"""Who is at the other end of a Unix socket, asked before a byte is read or answered."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import cast

_LINUX = struct.Struct("iII")  # pid, uid, gid
_BSD = struct.Struct("II")  # struct xucred: version, uid
_BSD_OPTION, _BSD_SIZE = 1, 76


def peer_uid(peer: socket.socket) -> int | None:
    """Return the uid at the other end of a Unix socket; None where it cannot be read."""
    option = getattr(socket, "SO_PEERCRED", None)
    try:
        if option is not None:
            return int(_LINUX.unpack(peer.getsockopt(socket.SOL_SOCKET, option, _LINUX.size))[1])
        return int(_BSD.unpack_from(peer.getsockopt(0, _BSD_OPTION, _BSD_SIZE))[1])
    except (OSError, struct.error):
        return None


class OwnUserOnly(asyncio.Protocol):
    """Hands connections of this process's user on to the protocol of `make`, and drops all others."""

    def __init__(self, make: Callable[[], asyncio.BaseProtocol]) -> None:
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is."""
        connection = cast("asyncio.Transport", transport)
        peer = connection.get_extra_info("socket")
        if peer is None or peer_uid(peer) != os.geteuid():
            connection.abort()
            return
        protocol = self._make()
        connection.set_protocol(protocol)
        protocol.connection_made(connection)
