"""A server for FastAPI applications, and the application of README.rst."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn

from tests.readme import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI


@contextmanager
def serve(app: FastAPI) -> Iterator[httpx2.Client]:
    """A client of the application, which a server serves."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert monotonic() < end
            sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()
        with httpx2.Client(base_url=f"http://{host}:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def example_code() -> str:
    """README.rst's application."""
    return next(block.text for block in blocks() if "= FastAPI(" in block.text)


def example() -> dict[str, Any]:
    """What README.rst's application defines."""
    names: dict[str, Any] = {}
    exec(compile(example_code(), "app.py", "exec", dont_inherit=True), names)  # noqa: S102 - ours
    return names
