"""Where a provider's key comes from, and how it is kept out of everything that leaves.

One wrapper holds it; its repr is `***`. It is taken out at the last moment, for the header alone.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from llmtop.config.kinds import key_variable
from llmtop.config.schema import ProviderConfig
from llmtop.errors import ConfigError

_MASK = "***"
_LONG_ENOUGH = 8
"""A shorter "key" is a placeholder of a local server; it is masked as a whole word in errors only."""
_MAX_FILE_BYTES = 64 * 1024
_SHORTEST_FRAGMENT = 8


class Secret:
    """A key that does not show itself: not in repr, str, logs or copies."""

    __slots__ = ("_forms", "_is_long", "_patterns", "_value", "_word")

    def __init__(self, value: str) -> None:
        self._value = value
        self._is_long = len(value) >= _LONG_ENOUGH
        self._forms = _forms(value) if self._is_long else ()
        self._patterns = tuple(form.encode() for form in self._forms)
        self._word = re.compile(rf"(?<![\w-]){re.escape(value)}(?![\w-])")

    def __repr__(self) -> str:
        return _MASK

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not written down")

    def reveal(self) -> str:
        """Return the key. For the header of a request, and nothing else."""
        return self._value

    def mask(self, text: str) -> str:
        """Return `text` with the key replaced: plain, in base64, or URL-quoted."""
        if not self._is_long:
            return self._word.sub(_MASK, text)
        for form in self._forms:
            if form in text:
                text = text.replace(form, _MASK)
        return text

    def mask_body(self, body: bytes, *, is_error: bool) -> bytes:
        """Return a body with the key replaced; a placeholder is left in answers, where it may be a word."""
        if not self._is_long:
            return body if not is_error else self.mask(body.decode("latin-1")).encode("latin-1")
        for pattern in self._patterns:
            if pattern in body:
                body = body.replace(pattern, _MASK.encode())
        return body


def _forms(value: str) -> tuple[str, ...]:
    """Return every text that would give the key away; longest first."""
    raw = value.encode()
    quoted = quote(value, safe="")
    forms = {value, quoted, re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)}
    forms |= {value.replace("/", "\\/"), quote(value)}
    for before in range(3):  # base64 differs by where the key stands in what was encoded
        encoded = base64.b64encode(b"\0" * before + raw)
        start = -(-before * 8 // 6)
        stop = (before + len(raw)) * 8 // 6
        fragment = encoded[start:stop].decode()
        if len(fragment) >= _SHORTEST_FRAGMENT:
            forms |= {fragment, fragment.replace("+", "-").replace("/", "_"), fragment.replace("/", "\\/")}
    return tuple(sorted(forms, key=len, reverse=True))


def find_key(provider: ProviderConfig, environ: Mapping[str, str]) -> Secret | None:
    """Return the key of a provider: from its variable, else from its file; None where none is needed.

    Raises ConfigError (exit 2, before anything is sent), naming the variable or the file. A plain
    http address may do without a key, unless the config names a variable or a file for it.
    """
    variable = key_variable(provider)
    if variable is not None and (value := environ.get(variable, "").strip()):
        return _checked(value, f"the variable {variable}")
    if provider.api_key_file is not None:
        return _from_file(provider.api_key_file)
    if variable is None:
        return None
    is_local = provider.base_url is not None and urlsplit(provider.base_url).scheme == "http"
    if provider.api_key_env is None and is_local:
        return None
    raise ConfigError(
        "provider.api_key_env",
        f"the variable {variable} is not set",
        f"Set {variable} to the provider's key, or name another variable.",
    )


def _checked(value: str, where: str) -> Secret:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            "provider.api_key_env",
            f"{where} holds characters that no key has",
            "Set it to the key alone: ASCII, no blanks.",
        )
    return Secret(value)


def _from_file(path: Path) -> Secret:
    """Read a key file; never waits on a FIFO or a device."""
    key = "provider.api_key_file"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            key, f"{path} cannot be read ({error.strerror})", "Name a file with the key."
        ) from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(key, f"{path} is not a plain file", "Name a file that holds the key alone.")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise ConfigError(key, f"{path} has mode {mode:04o}: others may read it", f"chmod 600 {path}")
        text = os.read(handle, _MAX_FILE_BYTES).decode("utf-8", "replace").strip()
    finally:
        os.close(handle)
    if not text:
        raise ConfigError(key, f"{path} is empty", "Write the key into it.")
    return _checked(text, str(path))
