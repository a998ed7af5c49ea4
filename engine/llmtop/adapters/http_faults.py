"""aiohttp's exceptions by the names of llmtop's errors.

Three surprises of aiohttp are met here: its parser reports broken framing as a status of 400, which
is not the provider's; a connection that the server closed while it was idle fails at the next send;
and its messages may quote headers, so that none of them is passed on as it is.
"""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace

from aiohttp import (
    ClientConnectionError,
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ConnectionTimeoutError,
    ServerDisconnectedError,
)
from yarl import URL

from llmtop.adapters.connections import Leg
from llmtop.adapters.secrets import Secret
from llmtop.cleaning import clean
from llmtop.model import ErrorType, ItemError, Outcome, ProviderError, RawReply

KeyHeaders = Callable[[str], Mapping[str, str]]


class BodyTooLarge(ClientError):
    """The decoded body is larger than it may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is larger than {limit} bytes (provider.max_response_bytes)")


class HeadTooLarge(ClientError):
    """The headers are larger than they may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the headers of the answer are larger than {limit} bytes")


EXPECTED = (ClientError, TimeoutError, OSError)
"""What a network does. Anything else is a bug and passes through."""


def fault_of(error: BaseException, leg: Leg, base_url: URL, timeout_s: float) -> ProviderError:
    """Name an exception of `send`. Nothing is billed for what was never connected."""
    host = clean(f"{base_url.host}:{base_url.port}", limit=200)
    if isinstance(error, ConnectionTimeoutError):
        return _unsent(f"no connection to {host} within the connect time-out")
    if isinstance(error, TimeoutError):
        return _timed_out(leg, host, timeout_s)
    if isinstance(error, ClientConnectorError):
        return _not_connected(error, host)
    if isinstance(error, ClientHttpProxyError):
        return _proxy_refused(error)
    if isinstance(error, BodyTooLarge | HeadTooLarge):
        return _fault("invalid_response", str(error))
    if isinstance(error, ClientResponseError):
        return _fault("invalid_response", f"{host} does not answer in proper HTTP: {_plain(error.message)}")
    if isinstance(error, ClientPayloadError):
        return _fault("connection", f"the answer of {host} broke off: {_plain(str(error))}")
    return _broken(error, leg, host)


def _timed_out(leg: Leg, host: str, timeout_s: float) -> ProviderError:
    doing = "no whole answer of" if leg.is_connected else "no connection to"
    return ProviderError(
        error=ItemError("timeout", f"{doing} {host} within {timeout_s:g} s (provider.timeout)"),
        outcome=Outcome.TIMEOUT,
        is_sent=leg.is_connected,
    )


def _not_connected(error: ClientConnectorError, host: str) -> ProviderError:
    """Nothing was sent. A host or a certificate that is wrong is told apart: it may be the config's."""
    if isinstance(error, ClientConnectorDNSError):
        return replace(_unsent(f"the host of {host} is not known (provider.base_url)"), kind="dns")
    if isinstance(error, ClientConnectorCertificateError):
        reason = _plain(getattr(error.certificate_error, "verify_message", "") or "verification failed")
        message = f"the certificate of {host} is not trusted: {reason}"
        return replace(_unsent(message), kind="certificate")
    if isinstance(error, ClientConnectorSSLError):
        reason = error.os_error.reason if isinstance(error.os_error, ssl.SSLError) else ""
        message = f"no TLS connection to {host}: {_plain(reason or 'handshake failed')}"
        return replace(_unsent(message), kind="certificate")
    name = "the proxy" if isinstance(error, ClientProxyConnectionError) else host
    hint = " (raise the limit on open files)" if error.errno in (errno.EMFILE, errno.ENFILE) else ""
    reason = os.strerror(error.errno) if error.errno else "failed"
    return _unsent(f"no connection to {name}: {reason}{hint}")


def _proxy_refused(error: ClientHttpProxyError) -> ProviderError:
    if error.status == 407:
        wrong = ItemError("authentication", "the proxy of the environment wants a user and password", 407)
        return ProviderError(error=wrong, outcome=Outcome.STOP_ACCESS, is_sent=False, is_counted=False)
    return _unsent(f"the proxy of the environment refused the connection with {error.status}")


def _broken(error: BaseException, leg: Leg, host: str) -> ProviderError:
    """A connection that ended before its answer. On one used before: most likely it had ended already."""
    is_silent = not isinstance(error, ServerDisconnectedError) or isinstance(error.message, str)
    if leg.is_connected and not leg.is_new and is_silent and isinstance(error, ClientConnectionError):
        return ProviderError(
            error=ItemError("connection", f"a kept-alive connection to {host} had ended"),
            outcome=Outcome.FAULT,
            is_sent="closing transport" not in str(error),
            is_counted=False,
            kind="stale",
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it was closed"
    return _fault("connection", f"the connection to {host} broke before an answer: {_plain(reason)}")


def redirected(reply: RawReply, base_url: URL) -> ProviderError:
    """A 3xx: never followed, since the key and the prompt would go along."""
    place = _plain(reply.headers.get("location", "")) or "another address"
    return ProviderError(
        error=ItemError(
            "bad_request",
            f"{clean(str(base_url))} redirects to {place}: set provider.base_url to the right address",
            reply.status,
        ),
        outcome=Outcome.STOP_ACCESS,
        is_counted=False,
        kind="redirect",
    )


def _fault(kind: ErrorType, message: str) -> ProviderError:
    return ProviderError(error=ItemError(kind, message), outcome=Outcome.FAULT)


def _unsent(message: str) -> ProviderError:
    return ProviderError(
        error=ItemError("connection", message), outcome=Outcome.FAULT, is_sent=False, is_counted=False
    )


def _plain(text: str) -> str:
    """Return the first line of a library's message, without the bytes that it quotes."""
    return clean(re.sub(r"b['\"].*", "", str(text).split("\n")[0], flags=re.DOTALL), limit=160).strip(" :")


def masked(fault: ProviderError, key: Secret) -> ProviderError:
    """Return the error with the key masked in its message."""
    message = key.mask(fault.error.message)
    if message == fault.error.message:
        return fault
    return replace(fault, error=replace(fault.error, message=message))
