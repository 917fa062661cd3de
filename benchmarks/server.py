"""A server that is fast, in a process of its own: `with Server() as server`."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from typing import Self

from .account import Account
from .core import SERVER, keep_to

_END = b"\r\n\r\n"
_find_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search


class Server:
    """A process that serves any number of resources, with any latency.

    Attributes:
        origin: Where it is.
    """

    def __init__(self) -> None:
        self.origin = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.origin = self._process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_: object) -> None:
        # It ends when nobody holds the other end of its standard input.
        self._process.communicate()


class Connection(asyncio.Protocol):
    """A client's connection: one request at a time."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Know where to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer, when the request is whole."""
        received = self._received = self._received + data
        head, end, body = received.partition(_END)
        found = _find_length(head)
        if not end or len(body) < (int(found[1]) if found else 0):
            return
        self._received = b""
        method, target, _ = head[: head.index(b"\r\n")].decode().split(" ")
        answer = self._account.answer(method, target, body)
        latency = float(target.split("/", 3)[2])
        if latency:
            self._loop.call_later(latency / 1000, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    account = Account(f"http://127.0.0.1:{listening.getsockname()[1]}")
    server = await loop.create_server(lambda: Connection(account), sock=listening)
    print(account.origin, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    keep_to(SERVER)
    asyncio.run(_serve())
