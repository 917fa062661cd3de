"""The blocking client's event loop, interrupted at the worst moments."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import AuthenticationError, Client, ClientUsageError
from digitalocean_projects._facade.loop_thread import LoopThread
from digitalocean_projects._facade.portal import Portal
from tests.forked import PATIENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects.testing import Emulator

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with Client(emulator.token, base_url=emulator.url) as client:
        yield client


def total(client: Client) -> int | None:
    return client.projects.list_resources().first_page().total


def test_two_first_calls(client: Client) -> None:
    """If two threads call first, one starts the loop, and both use it."""
    entered = threading.Semaphore(0)

    def call(_: object) -> int | None:
        def watch(frame: Any, *_: object) -> None:
            if frame.f_code is Portal._start.__code__:
                sys.setprofile(None)
                entered.release()

        sys.setprofile(watch)
        return total(other)

    other = Client(base_url=client._async._manager.settings.base_url, token="other")
    portal = other._portal
    with ThreadPoolExecutor(2) as pool:
        with portal._lock:
            calls = [pool.submit(call, number) for number in range(2)]
            assert entered.acquire(timeout=30)
            assert entered.acquire(timeout=30)
        errors = [call.exception(30) for call in calls]
    assert [AuthenticationError] * 2 == [type(error) for error in errors]
    assert 2 == [thread.name for thread in threading.enumerate()].count("digitalocean_projects")
    other.close()


def test_no_thread(emulator: Emulator) -> None:
    """If no thread can be started, a call raises the error, and a later one tries again."""
    client = Client(emulator.token, base_url=emulator.url)
    usual = threading.stack_size(2**47 - 2**20)
    try:
        with pytest.raises(ClientUsageError, match="no thread with an event loop can be started"):
            total(client)
    finally:
        threading.stack_size(usual)
    assert 0 == total(client)
    client.close()


def test_interrupted_start(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption of the thread's start is raised, also if the clean-up after it fails."""
    client = Client(emulator.token, base_url=emulator.url)
    usual = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        usual(thread)
        try:
            raise KeyboardInterrupt
        finally:
            threading.Lock().release()

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            total(client)
    assert 0 == total(client)
    client.close()


def test_close_while_a_call_is_handed_over() -> None:
    """A call after the loop's last turn raises the error of a closed client."""
    called, ending = threading.Event(), threading.Event()
    handing_over, closed = threading.Event(), threading.Event()
    outcomes: list[str] = []

    async def nothing() -> None:
        pass

    async def aclose() -> None:
        ending.set()
        await asyncio.to_thread(handing_over.wait, 10)

    def pause(frame: Any, event: str, _: object) -> None:
        checked = asyncio.BaseEventLoop._check_closed.__code__  # type: ignore[attr-defined]  # private
        if event == "call" and frame.f_code is LoopThread._hand_over.__code__:
            called.set()
            ending.wait(30)
        if event == "return" and frame.f_code is checked:
            sys.setprofile(None)
            handing_over.set()
            closed.wait(30)

    def call() -> None:
        sys.setprofile(pause)
        try:
            portal.call(nothing)
        except ClientUsageError as error:
            outcomes.append(str(error))

    portal = Portal(aclose)
    portal.call(nothing)
    thread = threading.Thread(target=call)
    thread.start()
    assert called.wait(30)
    portal.close()
    closed.set()
    thread.join(30)
    assert ["the client was closed during the call"] == outcomes


def test_close_during_a_call_that_goes_on() -> None:
    """A call that the end of the client doesn't cancel is cancelled after it."""
    order: list[str] = []
    begun = threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            order.append("cancelled")

    async def aclose() -> None:
        order.append("closed")

    portal = Portal(aclose)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(portal.call, wait)
        assert begun.wait(30)
        portal.close()
        with pytest.raises(ClientUsageError, match="the client was closed during the call"):
            call.result(30)
    assert ["closed", "cancelled"] == order


def test_interrupted_hand_over(client: Client, emulator: Emulator) -> None:
    """After Ctrl-C during another thread's call, the request is not sent."""
    busy, released = threading.Event(), threading.Event()
    main = threading.get_ident()

    async def block() -> None:
        busy.set()
        released.wait(30)

    other = threading.Thread(target=client._portal.call, args=(block,))
    other.start()
    assert busy.wait(30)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
    try:
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            client.projects.assign_resources("default", ["do:droplet:1"])
    finally:
        signal.signal(signal.SIGINT, handler)
        released.set()
    interrupt.join(30)
    other.join(30)
    total(client)
    assert ["GET"] == [request.method for request in emulator.requests]


@pytest.mark.process
def test_closed_by_a_signal_handler_during_the_start() -> None:
    """A signal handler can close the client at any moment of its thread."""
    code = """
import faulthandler, signal, sys, threading
from digitalocean_projects import AuthenticationError, Client, ClientUsageError
from digitalocean_projects._facade.portal import Portal
faulthandler.dump_traceback_later(60, exit=True)
client = Client("token", base_url="http://127.0.0.1:9")
main = threading.get_ident()
signal.signal(signal.SIGTERM, lambda *_: client.close())
released = threading.Event()
def hold(*_):
    sys.setprofile(None)
    signal.pthread_kill(main, signal.SIGTERM)
    released.wait(0.3)
threading.setprofile(hold)
try:
    client.projects.list_resources().first_page()
except ClientUsageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PATIENT + code],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert "closed" in done.stdout
