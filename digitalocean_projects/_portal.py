"""Portal: runs coroutines for blocking callers, in an event loop of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

import anyio

from ._errors import ClientUsageError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from ._models import HasItems

P = ParamSpec("P")
T = TypeVar("T")

_JOIN_SECONDS = 5.0

CALL: ContextVar[object] = ContextVar("digitalocean_projects_call", default=None)
"""The blocking call that a task of a portal's loop works for; one call may have several tasks."""


class Portal:
    """An event loop in a thread of its own, which starts with the first call.

    It serves any number of threads. It ends when it is closed, or forgotten, or with the
    interpreter, whose end it doesn't delay. A forked process gets a new one.

    Args:
        aclose: What to run at the end, in the loop.
    """

    def __init__(self, aclose: Callable[[], Awaitable[None]]) -> None:
        self._aclose = aclose
        self._closed = False
        # Reentrant, because a signal handler may close what is just being started.
        self._lock = threading.RLock()
        self._thread: _Thread | None = None
        self._finalizer: weakref.finalize[[], Portal] | None = None
        _portals.add(self)

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the coroutine, which sees the caller's context variables.

        Whatever ends the wait for it, such as KeyboardInterrupt, cancels it.

        Raises:
            ClientUsageError: The portal is closed, or the caller is in its loop.
        """
        thread = self._thread
        if thread is None or thread.failed:
            thread = self._start()
        return thread.run(partial(function, *args, **kwargs))

    def iterate(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        """What the iterator yields; the loop is entered once for each."""
        return _Iteration(self, iterator)

    def items(self, pages: AsyncIterator[HasItems[T]]) -> Iterator[T]:
        """The items of the pages; the loop is entered once a page."""
        return _Items(self.iterate(pages))

    def call_if_open(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call it, unless the portal is closed, which has ended whatever it would end.

        Raises:
            ClientUsageError: The caller is in the loop.
        """
        if not self._closed:
            self.call(function)

    def close(self) -> None:
        """End the loop and what runs in it; does nothing a second time.

        Raises:
            ClientUsageError: The caller is in the loop.
        """
        with self._lock:
            if self._thread is not None:
                self._thread.check_caller()
            thread, self._thread = self._thread, None
            self._closed = True
        if thread is not None:
            thread.stop()

    def _start(self) -> _Thread:
        with self._lock:
            if self._closed:
                raise ClientUsageError("the client is closed")
            thread = self._thread
            if thread is None or thread.failed:
                if self._finalizer is not None:
                    self._finalizer.detach()
                thread = _Thread(self._aclose)
                self._finalizer = weakref.finalize(self, thread.stop)
                try:
                    self._thread = thread
                    thread.start()
                except BaseException:
                    self._thread = None
                    thread.abandon()
                    raise
            return thread

    def _leave_to_parent(self) -> None:
        """Part from the thread, which isn't in this forked process, and maybe from a held lock."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._lock = threading.RLock()
        self._thread = None


class _Iteration(Generic[T]):
    """An iterator that, unlike a generator, may be asked again after an error."""

    def __init__(self, portal: Portal, iterator: AsyncIterator[T]) -> None:
        self._portal = portal
        self._iterator = iterator

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self._portal.call(self._iterator.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


class _Items(Generic[T]):
    """The items of some pages; it may be asked again after an error, too."""

    def __init__(self, pages: Iterator[HasItems[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while True:
            for item in self._items:
                return item
            self._items = iter(next(self._pages).items)


_portals: weakref.WeakSet[Portal] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for portal in _portals:
        portal._leave_to_parent()  # noqa: SLF001 - of this module


with suppress(AttributeError):  # where there is no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _Thread:
    """A thread that runs a loop. Nothing here refers to the `Portal`."""

    def __init__(self, aclose: Callable[[], Awaitable[None]]) -> None:
        self._aclose = aclose
        self._ready: Future[AbstractEventLoop] = Future()
        self._stopping: Future[bool] = Future()
        self._calls: set[Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="digitalocean_projects", daemon=True)

    def start(self) -> None:
        """Begin; `run` waits until it has begun."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self._ready.set_exception(error)

    @property
    def failed(self) -> bool:
        """Whether there could be no thread, or no loop in it."""
        return self._ready.done() and self._ready.exception() is not None

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """See `Portal.call`."""
        self.check_caller()
        future: Future[T] = Future()
        self._calls.add(future)
        try:
            self._hand_over(function, future)
            return future.result()
        except CancelledError:
            pass
        except BaseException:
            future.cancel()
            raise
        finally:
            self._calls.discard(future)
            del future
        raise ClientUsageError("the client was closed during the call")

    def check_caller(self) -> None:
        """Refuse the loop's own thread, which would wait for itself.

        Raises:
            ClientUsageError: It is the caller.
        """
        if threading.current_thread() is self._thread:
            raise ClientUsageError("a blocking client can't be used inside its own event loop")

    def stop(self) -> None:
        """End the loop, and wait for it a while, unless it can't be waited for from here."""
        self._stop(aclose=True)
        if (
            self._thread.is_alive()
            and threading.current_thread() is not self._thread
            and not sys.is_finalizing()
        ):
            self._thread.join(_JOIN_SECONDS)

    def abandon(self) -> None:
        """End the loop, and leave the client to another one."""
        self._stop(aclose=False)

    def _stop(self, *, aclose: bool) -> None:
        with suppress(InvalidStateError):
            self._stopping.set_result(aclose)

    def _hand_over(self, function: Callable[[], Awaitable[T]], future: Future[T]) -> None:
        try:
            loop = self._ready.result()
        except (OSError, RuntimeError) as error:
            failure = f"no thread with an event loop can be started: {error}"
        else:
            # What it raises is that the loop is closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(copy_context().run, self._spawn, function, future)
                return
            failure = "the client is closed"
        raise ClientUsageError(failure)

    def _spawn(self, function: Callable[[], Awaitable[T]], future: Future[T]) -> None:
        CALL.set(object())
        task = asyncio.get_running_loop().create_task(_perform(function, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        future.add_done_callback(partial(self._cancel, task))

    def _cancel(self, task: asyncio.Task[None], future: Future[Any]) -> None:
        if future.cancelled():
            with suppress(RuntimeError):
                self._ready.result().call_soon_threadsafe(task.cancel)

    def _run(self) -> None:
        try:
            anyio.run(self._main)
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
        finally:
            # The loop is closed: whoever called too late for it to see gets no answer.
            for future in list(self._calls):
                future.cancel()

    async def _main(self) -> None:
        self._ready.set_result(asyncio.get_running_loop())
        if await asyncio.wrap_future(self._stopping):
            # First, so that requests end as they do for who awaits.
            await self._aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _perform(function: Callable[[], Awaitable[T]], future: Future[T]) -> None:
    try:
        result = await function()
    except asyncio.CancelledError:
        future.cancel()
        raise
    except BaseException as error:  # noqa: BLE001 - it is the caller's
        with suppress(InvalidStateError):  # of a caller who has left
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)
