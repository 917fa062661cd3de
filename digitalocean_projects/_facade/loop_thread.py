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
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, TypeVarTuple, cast

import anyio

# The client would import these during its first calls. A process that another thread forks during
# an import can never import the same module.
import backoff  # noqa: F401

from digitalocean_projects._codec import resources as _resources  # noqa: F401
from digitalocean_projects._errors import CLOSED, ClientUsageError
from digitalocean_projects._process import call_in_child, check_process, keep_for_ever

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Task = asyncio.Task[None]

_JOIN_SECONDS = 5.0

CALL: ContextVar[object] = ContextVar("digitalocean_projects_call", default=None)
"""The blocking call to which a task of the loop belongs. A call may have several tasks."""


def _slice(platform: str, version: tuple[int, int]) -> float:
    """Return the maximum number of seconds that a thread waits without a break.

    On Windows before Python 3.14, Ctrl-C takes effect only after a wait. On other systems it
    interrupts the wait. But if two signals arrived within 2 ms, the wait wasn't interrupted in 10
    of 127 trials: neither handler ran before its end, whatever its length. So waits are short.
    """
    return 0.05 if platform == "win32" and version < (3, 14) else 0.5


_SLICE = _slice(sys.platform, sys.version_info[:2])


class _Call(Generic[T]):
    """A call of a coroutine function, which the loop runs while the caller waits.

    The caller waits for a bare lock. A `concurrent.futures.Future` takes its lock in Python code; a
    signal handler's exception can leave that locked, which would block the loop's thread.

    Attributes:
        context: The caller's context variables.
        result: The result, if the coroutine has returned.
        returned: True if the coroutine has returned.
        error: The exception of the coroutine, or None.
        abandoned: True if the caller has stopped waiting.
    """

    result: T

    def __init__(self, function: Callable[[], Awaitable[T]], tasks: set[_Task]) -> None:
        self.context = copy_context()
        self.context.run(CALL.set, object())
        self.returned = False
        self.error: BaseException | None = None
        self.abandoned = False
        self._function = function
        self._task: _Task | None = None
        self._tasks = tasks
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Wait for the end of the call."""
        while not self._lock.acquire(timeout=_SLICE):
            pass

    def end(self) -> None:
        """Release the caller. Any thread may call this, and more than once."""
        # The lock is already released if the call has ended before.
        with suppress(RuntimeError):
            self._lock.release()

    def begin(self) -> None:
        """Start the coroutine in the running loop, in a task that is in `tasks` until its end."""
        loop = asyncio.get_running_loop()
        self._task = task = loop.create_task(self._perform(), context=self.context)
        self._tasks.add(task)
        # A task that is cancelled before its first step never runs `_perform`.
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel the coroutine if it was started. Call this in its loop."""
        if self._task is not None:
            self._task.cancel()

    async def _perform(self) -> None:
        task = cast("_Task", self._task)
        # As a callback, it would need another turn of the loop, in which the loop and the caller
        # compete for the interpreter. A small request needs 4 % fewer instructions without.
        task.remove_done_callback(self._ended)
        try:
            self.result = await self._function()
            self.returned = True
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self.error = error
        finally:
            self._ended(task)

    def _ended(self, task: _Task) -> None:
        self._tasks.discard(task)
        self.end()


class LoopThread:
    """A thread that runs an event loop. Nothing here refers to the `Portal`.

    Args:
        aclose: Coroutine function that the loop runs at its end.

    Attributes:
        failure: The reason why the thread or its loop could not be started, or None.
    """

    def __init__(self, aclose: Callable[[], Awaitable[None]]) -> None:
        self.failure: str | None = None
        self._aclose = aclose
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[_Call[Any]] = set()
        self._inbox: deque[_Call[Any]] = deque()
        self._tasks: set[_Task] = set()
        self._ending: bool | None = None
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="digitalocean_projects", daemon=True)
        call_in_child(LoopThread._leave_to_parent, self)

    def start(self) -> None:
        """Start the thread. It accepts calls before the loop runs."""
        _end_all_at_exit()
        _threads.add(self)
        try:
            self._thread.start()
        except RuntimeError as error:
            if isinstance(error.__context__, Exception | None):
                self.failure = str(error)
                self._refuse_calls()
            else:
                # The thread runs. A signal handler has interrupted `start`, whose clean-up failed.
                raise error.__context__ from None

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """See `Portal.call`."""
        self.check_caller()
        call = _Call(function, self._tasks)
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
        """Check that the caller isn't the loop's own thread, which would wait for itself.

        Raises:
            ClientUsageError: The caller runs in the loop.
        """
        if threading.current_thread() is self._thread:
            raise ClientUsageError(
                "a blocking client can't be used inside its own event loop; use AsyncClient there"
            )

    def end(self, *, aclose: bool = True) -> None:
        """Ask the loop to end; with `aclose`, it closes the client first. This doesn't wait."""
        if self._ending is None:
            self._ending = aclose
        with suppress(RuntimeError):  # it has ended
            self._wake(self._look)

    def abandon(self) -> None:
        """Ask the loop to end, and leave the client open for another loop."""
        self.end(aclose=False)
        self._refuse_calls()

    def join(self, deadline: float) -> None:
        """Wait for the end of the thread until `deadline` on the monotonic clock."""
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
        raise self._refusal(CLOSED)

    def _refusal(self, reason: str) -> ClientUsageError:
        if self.failure is not None:
            reason = f"no thread with an event loop can be started: {self.failure}"
        return ClientUsageError(reason)

    def _abandon(self, call: _Call[Any]) -> None:
        call.abandoned = True
        with suppress(RuntimeError):  # it has ended
            self._wake(call.cancel)

    def _wake(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the loop. A loop that has not started yet looks for calls by itself.

        Raises:
            RuntimeError: The loop is closed.
        """
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)

    def _look(self) -> None:
        """Start the calls that have arrived, and end the loop if `end` was called."""
        while self._inbox:
            call = self._inbox.popleft()
            if not call.abandoned:
                call.begin()
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
            # Calls that arrived too late for the loop are refused here.
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
            # Close first, so that requests end with the same error as in an asynchronous client.
            await self._aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _leave_to_parent(self) -> None:
        if self in _threads:
            _threads.discard(self)
            # Finalizing its loop would remove sockets from the parent's selector.
            keep_for_ever(self)


_threads: set[LoopThread] = set()


def end_collected(thread: LoopThread) -> None:
    """End the thread of a portal that was collected, unless it belongs to a parent process.

    Garbage may be collected in any thread and at any point, so this must not wait.
    """
    check_process()
    if thread in _threads:
        thread.end()


@cache
def _end_all_at_exit() -> None:
    atexit.register(_end_all)


def _end_all() -> None:
    """End all threads at the interpreter's exit, and wait for those that are ending."""
    check_process()
    end_and_join(list(_threads))


def end_and_join(threads: Sequence[LoopThread]) -> None:
    """End threads, and wait for them up to 5 seconds."""
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
    """An event loop whose executor, which resolves host names, has daemon threads.

    At its exit, the interpreter waits for the threads of asyncio's own executor: until a lookup
    ends, and forever in a process that was forked without Python's hooks. To shut that executor
    down, asyncio starts a thread, which Python 3.12 refuses during its exit.
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
    """Do nothing: the future was cancelled."""


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
        """End the threads as soon as all jobs are done."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while job := self._jobs.get():
            future, function = job
            settle: Callable[[], object] = _nothing
            if future.set_running_or_notify_cancel():
                try:
                    settle = partial(future.set_result, function())
                except BaseException as error:  # noqa: BLE001 - the caller gets it
                    settle = partial(future.set_exception, error)
            # Release before settling, so that the next job finds this thread idle.
            self._idle.release()
            settle()
            del job, future, function, settle
