"""The Django views, under gunicorn, uvicorn and Django's test clients."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.recipes.conftest import recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator
    from tests.conftest import SilentServer
    from tests.recipes.conftest import Program, Start

pytestmark = [pytest.mark.process, pytest.mark.slow]

UNKNOWN = "00000000-0000-4000-8000-000000000000"
EMPTY = b'{"resources": [], "links": {}, "meta": {"total": 0}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(EMPTY), EMPTY)
SETTINGS = """
import os

ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
DIGITALOCEAN_TOKEN = os.environ["DIGITALOCEAN_TOKEN"]
ROOT_URLCONF = "urls"
SECRET_KEY = "of a test"
"""
URLS = """
import views
from django.urls import path

urlpatterns = [
    path("<uuid:project>/resources", views.resources),
    path("<uuid:project>/total", views.total),
]
"""
GUNICORN = """
accesslog = "-"
access_log_format = "answered by %(p)s"
bind = "127.0.0.1:0"
preload_app = True
threads = 4
workers = 2

def when_ready(_):
    import views
    views.client().projects.get_default()
"""
WSGI = "django.core.wsgi:get_wsgi_application()"
ASGI = "django.core.asgi:get_asgi_application"
WITH_DJANGOS_CLIENTS = """
import asyncio
import django
from django.test import AsyncClient, Client

async def both(path):
    return await asyncio.gather(*(AsyncClient().get(path) for _ in range(2)))

def answers(path):
    return [Client().get(path), Client().get(path), *asyncio.run(both(path))]

django.setup()
print([answer.json()["total"] for answer in answers("/{project}/total")])
print([len(answer.json()["urns"]) for answer in answers("/{project}/resources")])
"""


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with the views."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
    files = {
        "gunicorn.conf.py": GUNICORN,
        "settings.py": SETTINGS,
        "urls.py": URLS,
        "views.py": recipe("django_views.py"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")


@pytest.fixture
def asgi(start: Start) -> Callable[[], tuple[Program, int]]:
    """A function that starts an ASGI server, and returns it and its port."""

    def serve() -> tuple[Program, int]:
        program = start("uvicorn", "--factory", ASGI, "--port", "0")
        return program, int(program.logged(r"running on http://127.0.0.1:(\d+)"))

    return serve


def ask(url: str) -> Any:
    with urlopen(url, timeout=120) as answer:  # noqa: S310 - it is http
        return json.load(answer)


def ask_often(url: str) -> list[Any]:
    """Send many requests at once, and return the distinct responses."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [url] * 16))
    return [answer for n, answer in enumerate(answers) if answer not in answers[:n]]


def test_wsgi(start: Start, emulator: Emulator) -> None:
    """One client serves the threads of a process, and forked workers use the master's client."""
    program = start("gunicorn", WSGI)
    address = program.logged(r"Listening at: (\S+)")
    project = emulator.default_project_id
    expected = [{"urns": emulator.resources()}]
    end = monotonic() + 120
    while len(set(re.findall(r"answered by (\S+)", program.log))) < 2:
        assert monotonic() < end, program.log
        assert expected == ask_often(f"{address}/{project}/resources")
    program.stop()


def test_asgi(asgi: Callable[[], tuple[Program, int]], emulator: Emulator) -> None:
    """Async and sync views work in one server, which closes their connections when it ends."""
    program, port = asgi()
    url = f"http://127.0.0.1:{port}/{emulator.default_project_id}"
    assert [{"total": 1034}] == ask_often(f"{url}/total")
    assert [{"urns": emulator.resources()}] == ask_often(f"{url}/resources")
    program.stop()


@pytest.mark.usefixtures("emulator")
def test_browser_goes(
    asgi: Callable[[], tuple[Program, int]],
    silent_server: SilentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A browser that leaves cancels its own request to the API and no other one."""
    monkeypatch.setenv("DIGITALOCEAN_API_URL", silent_server.url)
    program, port = asgi()
    path = f"/{UNKNOWN}/total"
    with ExitStack() as stack:
        browsers, requests = [], []
        for _ in range(2):
            browser = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            browser.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            browsers.append(browser)
            requests.append(stack.enter_context(silent_server.requested()))
        browsers[0].close()
        assert b"" == requests[0].recv(1)
        requests[1].sendall(ANSWER)
        assert browsers[1].recv(65536).startswith(b"HTTP/1.1 200 OK")
    program.stop()


def test_djangos_test_clients(script: Callable[[str], str], emulator: Emulator) -> None:
    """The views work with Django's test clients, which use one event loop after another."""
    code = WITH_DJANGOS_CLIENTS.replace("{project}", emulator.default_project_id)
    assert f"{[1034] * 4}\n{[1034] * 4}\n" == script(code)
