"""The loop's own executor, and waits that Ctrl-C can end on Windows."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Client, RetryPolicy
from digitalocean_projects._facade import loop_thread as _loop_thread
from digitalocean_projects._facade.loop_thread import LoopThread, _Call, _Daemons, _Loop, _slice
from digitalocean_projects._facade.portal import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import SilentServer

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.mark.parametrize(
    ("platform", "version", "sliced"),
    [
        ("win32", (3, 11), True),
        ("win32", (3, 13), True),
        ("win32", (3, 14), False),
        ("linux", (3, 11), False),
        ("darwin", (3, 13), False),
    ],
)
def test_slice(platform: str, version: tuple[int, int], *, sliced: bool) -> None:
    """Waits are divided into short slices on systems where no signal interrupts them."""
    seconds = _slice(platform, version)
    assert 0 < seconds <= (0.1 if sliced else 1.0)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Sends a SIGINT that doesn't interrupt the main thread's waits, but takes effect after them.

    So it is on Windows. Here, another thread gets the signal, and Python's handler has to wait.
    """
    monkeypatch.setattr(_loop_thread, "_SLICE", 0.01)
    monkeypatch.setattr(_loop_thread, "_JOIN_SECONDS", 60)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

    def interrupt() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)

    yield interrupt
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, handler)


def test_interrupted_call(silent_server: SilentServer, interrupt: Callable[[], None]) -> None:
    """Ctrl-C ends a call between two slices, and cancels the request."""
    received = []

    def serve() -> None:
        with silent_server.requested() as connection:
            interrupt()
            received.append(connection.recv(1))

    once = RetryPolicy(attempts=1)
    with Client("token", base_url=silent_server.url, retry=once) as client:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            client.projects.list_resources().first_page()
        thread.join()
    assert [b""] == received


def test_interrupted_close(interrupt: Callable[[], None]) -> None:
    """Ctrl-C ends the wait for a loop that is being closed, and the loop still ends."""
    closing, released = threading.Event(), threading.Event()

    async def nothing() -> None:
        pass

    async def aclose() -> None:
        closing.set()
        await asyncio.to_thread(released.wait, 20)

    def kill() -> None:
        closing.wait(30)
        interrupt()

    portal = Portal(aclose)
    portal.call(nothing)
    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        portal.close()
    assert "digitalocean_projects" in [thread.name for thread in threading.enumerate()]
    released.set()
    thread.join()


def test_long_call(interrupt: Callable[[], None]) -> None:  # noqa: ARG001 - it makes the slices short
    """A call and a close may take longer than a slice."""

    async def wait() -> str:
        await asyncio.sleep(0.1)
        return "waited"

    async def aclose() -> None:
        await wait()
        closed.append(True)

    closed: list[bool] = []
    portal = Portal(aclose)
    assert "waited" == portal.call(wait)
    portal.close()
    assert [True] == closed


@pytest.mark.parametrize("jobs", [1, 3, 40])
def test_executor(jobs: int) -> None:
    """Jobs run in at most 32 daemon threads, which end with the loop."""
    names: set[str] = set()
    barrier = threading.Barrier(min(jobs, _Daemons._MOST))

    def job(number: int) -> int:
        if number < barrier.parties:
            barrier.wait(30)
        thread = threading.current_thread()
        assert thread.daemon
        names.add(thread.name)
        if number == 0:
            raise LookupError
        return number

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(None, job, number) for number in range(jobs)]
        results: list[object] = [*await asyncio.gather(*calls, return_exceptions=True)]
        for number in range(1, 4):  # one after the other, in a thread that is idle
            assert number == await asyncio.to_thread(job, number + jobs + 32) - jobs - 32
        return results

    before = set(threading.enumerate())
    with asyncio.Runner(loop_factory=_Loop) as runner:
        results = runner.run(main())
        workers = set(threading.enumerate()) - before
    assert isinstance(results[0], LookupError)
    assert [*range(1, jobs)] == results[1:]
    assert barrier.parties == len(workers)
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()


def test_job_that_is_cancelled() -> None:
    """A job that is cancelled before its start isn't run."""
    done: list[int] = []
    released = threading.Event()
    executor = _Daemons()
    for _ in range(_Daemons._MOST):
        executor.submit(released.wait, 10)
    first, second = (executor.submit(done.append, number) for number in range(2))
    assert first.cancel()
    released.set()
    second.result(30)
    assert [1] == done
    executor.end()


def test_child_of_a_process_with_an_ended_thread() -> None:
    """A child keeps no thread that had ended in the parent or was never started."""

    async def aclose() -> None:
        """Close nothing."""

    thread = LoopThread(aclose)
    before = sys.getrefcount(thread)
    thread._leave_to_parent()
    assert before == sys.getrefcount(thread)


def test_call_ended_by_several_threads() -> None:
    """Several threads can end a call at once, even after its caller has continued."""

    async def function() -> None:
        """Return None."""

    for _ in range(200):
        call = _Call(function, set())
        threads = [threading.Thread(target=call.end) for _ in range(4)]
        for thread in threads:
            thread.start()
        call.wait()
        for thread in threads:
            thread.join()
        call.end()


def test_cancelled_before_its_first_step() -> None:
    """A call ends if its task is cancelled before its first step, so its caller doesn't wait."""
    tasks = set[asyncio.Task[None]]()
    call = _Call(asyncio.Event().wait, tasks)

    async def cancel() -> None:
        call.begin()
        call.cancel()
        await asyncio.wait(tasks)

    asyncio.run(cancel())
    call.wait()
    assert (set(), False, None) == (tasks, call.returned, call.error)
