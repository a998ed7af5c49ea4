"""A real sshd on loopback with keys of its own, for a client that is killed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
IS_HERE = Path(SSHD).exists() and shutil.which("ssh") is not None


class Server:
    """A server that runs; `client` is the command that logs in and runs another."""

    def __init__(self, pid: int, port: int, keys: Path) -> None:
        self.pid, self.port = pid, port
        self._keys = keys

    def client(self, remote: str) -> list[str]:
        """The command that runs `remote` behind a terminal on the far side."""
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": self._keys / "known",
            "LogLevel": "ERROR",
        }
        said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [
            "ssh",
            "-tt",
            "-p",
            str(self.port),
            "-i",
            str(self._keys / "user"),
            *said,
            "127.0.0.1",
            remote,
        ]


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Start a server that lets our own key in; `folder` takes its keys."""
    folder.mkdir(mode=0o700)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    (folder / "authorized").chmod(0o600)
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "authorized",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "ClientAliveInterval": 1,
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=subprocess.PIPE)
    try:
        _wait_until_it_listens(port)
        yield Server(process.pid, port, folder)
    finally:
        process.kill()
        process.communicate()


def _wait_until_it_listens(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            assert time.monotonic() < end, "sshd does not listen"
            time.sleep(0.02)
        else:
            return
