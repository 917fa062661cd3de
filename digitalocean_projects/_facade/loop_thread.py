"""LoopThread: a thread that runs an event loop for callers in other threads."""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from collections import deque
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import cache, partial
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, TypeVarTuple

import anyio

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._process import call_in_child, check_process, keep_for_ever

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_JOIN_SECONDS = 5.0

CALL: ContextVar[object] = ContextVar("digitalocean_projects_call", default=None)
"""The blocking call that a task of the loop works for; one call may have several tasks."""


def _slice(platform: str, version: tuple[int, int]) -> float:
    """Return for how many seconds a thread may wait at a stretch.

    Before Python 3.14, Ctrl-C doesn't interrupt a wait on Windows, but takes effect after it.
    Elsewhere it does, but of two signals that came within 2 ms, a wait of any length missed both
    in 10 of 127 trials, so that neither handler ran before its end.
    """
    return 0.05 if platform == "win32" and version < (3, 14) else 0.5


_SLICE = _slice(sys.platform, sys.version_info[:2])


class _Call(Generic[T]):
    """A coroutine function that the loop runs while its caller waits.

    The caller waits for a bare lock. A `concurrent.futures.Future` takes its lock in Python code,
    where a signal handler's exception can leave it locked, and with it the loop's thread.

    Attributes:
        context: The caller's context variables.
        result: The result, if the coroutine has returned.
        returned: Whether it has.
        error: The exception that it has raised.
        abandoned: Whether the caller has stopped waiting.
    """

    result: T

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.context = copy_context()
        self.context.run(CALL.set, object())
        self.returned = False
        self.error: BaseException | None = None
        self.abandoned = False
        self._function = function
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Wait for the end of the call."""
        while not self._lock.acquire(timeout=_SLICE):
            pass

    def end(self, _: object = None) -> None:
        """Release the caller. Any thread may call it, and more than once."""
        # A call that has ended may leave its lock open: the caller has stopped waiting for it.
        with suppress(RuntimeError):
            self._lock.release()

    def begin(self) -> asyncio.Task[None]:
        """Start the coroutine, in the running loop."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._perform(), context=self.context)
        # A task that is cancelled before its first step never reaches the end of `_perform`.
        self._task.add_done_callback(self.end)
        return self._task

    def cancel(self) -> None:
        """Cancel the coroutine if it was started, in its loop."""
        if self._task is not None:
            self._task.cancel()

    async def _perform(self) -> None:
        try:
            self.result = await self._function()
            self.returned = True
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self.error = error
        finally:
            self.end()


class LoopThread:
    """A thread that runs an event loop. Nothing here refers to the `Portal`.

    Args:
        aclose: The coroutine function that is run at the end, in the loop.

    Attributes:
        failure: The reason why there is no thread, or no loop in it.
    """

    def __init__(self, aclose: Callable[[], Awaitable[None]]) -> None:
        self.failure: str | None = None
        self._aclose = aclose
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[_Call[Any]] = set()
        self._inbox: deque[_Call[Any]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: bool | None = None
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="digitalocean_projects", daemon=True)
        call_in_child(LoopThread._leave_to_parent, self)

    def start(self) -> None:
        """Begin; calls may be handed over before the loop runs."""
        _end_all_at_exit()
        _threads.add(self)
        try:
            self._thread.start()
        except RuntimeError as error:
            self.failure = str(error)
            self._refuse_calls()

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """See `Portal.call`."""
        self.check_caller()
        call = _Call(function)
        try:
            self._calls.add(call)
            self._hand_over(call)
            call.wait()
        except BaseException:
            self._abandon(call)
            raise
        finally:
            self._calls.discard(call)
        if call.returned:
            return call.result
        error, call.error = call.error, None
        if error is None:
            error = refusal = self._refusal("the client was closed during the call")
            refusal.in_doubt = True
        try:
            raise error
        finally:
            del error  # which refers to this frame

    def check_caller(self) -> None:
        """Refuse the loop's own thread, which would wait for itself.

        Raises:
            ClientUsageError: The caller is in it.
        """
        if threading.current_thread() is self._thread:
            raise ClientUsageError("a blocking client can't be used inside its own event loop")

    def end(self, *, aclose: bool = True) -> None:
        """End the loop, and with `aclose` close the client in it, without waiting for that."""
        if self._ending is None:
            self._ending = aclose
        with suppress(RuntimeError):  # it has ended
            self._wake(self._look)

    def abandon(self) -> None:
        """End the loop, if there is one, and leave the client to another one."""
        self.end(aclose=False)
        self._refuse_calls()

    def join(self, deadline: float) -> None:
        """Wait for the end of the thread, until `deadline` on the monotonic clock."""
        while not sys.is_finalizing() and self._thread.is_alive():
            seconds = deadline - monotonic()
            if seconds <= 0:
                break
            self._thread.join(min(seconds, _SLICE))

    def _hand_over(self, call: _Call[Any]) -> None:
        self._inbox.append(call)
        try:
            self._wake(self._look)
        except RuntimeError:
            pass
        else:
            if self.failure is None:
                return
        raise self._refusal("the client is closed")

    def _refusal(self, reason: str) -> ClientUsageError:
        if self.failure is not None:
            reason = f"no thread with an event loop can be started: {self.failure}"
        return ClientUsageError(reason)

    def _abandon(self, call: _Call[Any]) -> None:
        call.abandoned = True
        with suppress(RuntimeError):  # it has ended
            self._wake(call.cancel)

    def _wake(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the loop. A loop that is yet to start looks by itself.

        Raises:
            RuntimeError: The loop is closed.
        """
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)

    def _look(self) -> None:
        """Begin the calls that have come, and see whether the loop is to end."""
        while self._inbox:
            call = self._inbox.popleft()
            if not call.abandoned:
                task = call.begin()
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if self._ending is not None:
            self._end.set()

    def _run(self) -> None:
        try:
            anyio.run(self._main, backend_options={"loop_factory": _Loop})
        except BaseException as error:
            if self._loop is not None:
                raise
            self.failure = str(error)
        finally:
            # Calls that came too late for the loop to see them get no other answer.
            self._refuse_calls()

    def _refuse_calls(self) -> None:
        _threads.discard(self)
        for call in list(self._calls):
            call.end()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._look()
        await self._end.wait()
        if self._ending:
            # First, so that requests end as they do for callers that await them.
            await self._aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _leave_to_parent(self) -> None:
        if self in _threads:
            _threads.discard(self)
            # To finalize its loop would take sockets out of the parent's selector.
            keep_for_ever(self)


_threads: set[LoopThread] = set()


def end_collected(thread: LoopThread) -> None:
    """End the thread of a portal that was collected, unless it is a parent process's.

    Garbage may be collected in any thread and at any point, so this doesn't wait.
    """
    check_process()
    if thread in _threads:
        thread.end()


@cache
def _end_all_at_exit() -> None:
    atexit.register(_end_all)


def _end_all() -> None:
    """End all threads at the interpreter's exit, also those that are just ending."""
    check_process()
    end_and_join(list(_threads))


def end_and_join(threads: Sequence[LoopThread]) -> None:
    """End threads, and wait for them, but not for ever."""
    for thread in threads:
        thread.end()
    deadline = monotonic() + _JOIN_SECONDS
    for thread in threads:
        thread.join(deadline)


if sys.platform == "win32":  # pragma: no cover - Windows only
    _EventLoop = asyncio.ProactorEventLoop
else:
    _EventLoop = asyncio.SelectorEventLoop


class _Loop(_EventLoop):
    """An event loop whose executor, which looks names up, has daemon threads.

    The interpreter waits at its end for the threads of asyncio's own executor: for as long as a
    look-up takes, and for ever in a process that was forked without Python's hooks. And to shut
    that executor down, asyncio starts a thread, which Python 3.12 refuses at its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._daemons = _Daemons()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """See `asyncio.loop.run_in_executor`."""
        return super().run_in_executor(executor or self._daemons, func, *args)

    def close(self) -> None:
        """See `asyncio.loop.close`."""
        self._daemons.end()
        super().close()


def _nothing() -> None:
    """Settle nothing."""


class _Daemons(Executor):
    """An executor with daemon threads, for one submitting thread."""

    _MOST = 32

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule `fn(*args, **kwargs)`.

        Raises:
            RuntimeError: No thread can be started.
        """
        if not self._idle.acquire(blocking=False) and self._threads < self._MOST:
            name = "digitalocean_projects executor"
            threading.Thread(target=self._work, name=name, daemon=True).start()
            self._threads += 1
        future: Future[T] = Future()
        self._jobs.put((future, partial(fn, *args, **kwargs)))
        return future

    def end(self) -> None:
        """End the threads that are idle, and the others when they have done all jobs."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while job := self._jobs.get():
            future, function = job
            settle: Callable[[], object] = _nothing
            if future.set_running_or_notify_cancel():
                try:
                    settle = partial(future.set_result, function())
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    settle = partial(future.set_exception, error)
            # First, so that a job that follows finds this thread idle.
            self._idle.release()
            settle()
            del job, future, function, settle
