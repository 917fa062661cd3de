"""A server for FastAPI applications, and the first application of the guide."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn

from digitalocean_projects.contrib import fastapi as guide
from tests.guides import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI


@contextmanager
def serve(app: FastAPI) -> Iterator[httpx2.Client]:
    """Serve the application, and yield a client of it."""
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
        url = f"http://{host}:{port}"
        # It uses no TLS; to load the certificates for it would take 40 ms.
        with httpx2.Client(base_url=url, timeout=60, verify=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def example_code() -> str:
    """Return the first application in the docstring of `contrib.fastapi`."""
    return examples(guide)[0].code


def example() -> dict[str, Any]:
    """Return the names that this application defines."""
    names: dict[str, Any] = {}
    exec(compile(example_code(), "app.py", "exec", dont_inherit=True), names)  # noqa: S102 - ours
    return names
