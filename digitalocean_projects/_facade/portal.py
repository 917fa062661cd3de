"""Portal: runs coroutines for blocking callers in an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._process import call_in_child, check_process

from .loop_thread import LoopThread, end_and_join, end_collected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from digitalocean_projects._codec.models import HasItems

P = ParamSpec("P")
T = TypeVar("T")


class Portal:
    """An event loop in a thread of its own, which starts with the first call.

    Any number of threads may call it concurrently. The loop ends when the portal is closed or
    collected, and at the interpreter's exit, which it doesn't delay. A forked process gets a loop
    of its own.

    Args:
        aclose: Coroutine function that the loop runs at its end.
    """

    def __init__(self, aclose: Callable[[], Awaitable[None]]) -> None:
        self._aclose = aclose
        self._closed = False
        # Reentrant, since a signal handler may close the portal while it is being started.
        self._lock = threading.RLock()
        self._thread: LoopThread | None = None
        self._finalizer: weakref.finalize[[LoopThread], Portal] | None = None
        call_in_child(Portal._leave_to_parent, self)

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine with the caller's context variables, and return its result.

        An exception that interrupts the wait, such as KeyboardInterrupt, cancels the coroutine.

        Raises:
            ClientUsageError: The portal is closed, or the caller runs in its loop.
        """
        check_process()
        thread = self._thread
        if thread is None or thread.failure is not None:
            thread = self._start()
        return thread.run(partial(function, *args, **kwargs))

    def iterate(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        """Iterate over `iterator`, which must not yield None. Each step enters the loop once."""
        return _Iteration(self, iterator)

    def items(self, pages: AsyncIterator[HasItems[T]]) -> Iterator[T]:
        """Iterate over the items of the pages. Each page enters the loop once."""
        return _Items(_Iteration(self, pages))

    @property
    def is_open(self) -> bool:
        """False once it was closed."""
        return not self._closed

    def call_if_open(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call `function`, unless the portal is closed: closing it has ended all its tasks.

        Raises:
            ClientUsageError: The caller runs in the loop.
        """
        if not self._closed:
            self.call(function)

    def close(self) -> None:
        """End the loop and its tasks. A second call has no effect.

        Raises:
            ClientUsageError: The caller runs in the loop.
        """
        check_process()
        with self._lock:
            if self._thread is not None:
                self._thread.check_caller()
            thread, self._thread = self._thread, None
            self._closed = True
        if thread is not None:
            end_and_join([thread])

    def _start(self) -> LoopThread:
        with self._lock:
            if self._closed:
                raise ClientUsageError("the client is closed")
            thread = self._thread
            if thread is None or thread.failure is not None:
                if self._finalizer is not None:
                    self._finalizer.detach()
                thread = LoopThread(self._aclose)
                self._finalizer = weakref.finalize(self, end_collected, thread)
                self._finalizer.atexit = False
                try:
                    self._thread = thread
                    thread.start()
                except BaseException:
                    self._thread = None
                    thread.abandon()
                    raise
            return thread

    def _leave_to_parent(self) -> None:
        """Forget the thread, which only the parent process has, and a lock that it may hold."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._lock = threading.RLock()
        self._thread = None


class _Iteration(Generic[T]):
    """A blocking iterator that loses no value when an exception interrupts a step.

    A signal handler may raise an exception at any call of the waiting thread, even when the value
    has arrived. So the coroutine stores the value in `arrived`, where it stays until a step takes
    it. After taking it, the step makes no call, since Python runs signal handlers after calls.

    Attributes:
        arrived: The value that no step has taken yet.
        owner: The id of the thread that is in a step, or None.
    """

    def __init__(self, portal: Portal, iterator: AsyncIterator[T]) -> None:
        self.arrived: T | None = None
        self.owner: int | None = None
        self._portal = portal
        self._iterator = iterator
        self._task: asyncio.Task[Any] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        self.claim()
        try:
            while self.arrived is None:
                self.advance()
            value, self.arrived = self.arrived, None
        finally:
            self.owner = None
        return value

    def claim(self) -> None:
        """Start a step of this thread, which ends when the thread sets `owner` to None.

        Raises:
            ClientUsageError: Another thread is in a step.
        """
        thread = threading.get_ident()
        if self.owner not in {None, thread}:
            raise ClientUsageError(
                "this iterator is already in use by another thread; create one for each thread"
            )
        self.owner = thread

    def advance(self) -> None:
        """Wait for the next value.

        Raises:
            StopIteration: The iterator has ended.
        """
        try:
            self._portal.call(self._advance)
        except StopAsyncIteration:
            raise StopIteration from None

    async def _advance(self) -> None:
        loop = asyncio.get_running_loop()
        # The task of an interrupted step may still run. A task of the parent process never ends.
        while (task := self._task) and task.get_loop() is loop and not task.done():
            await asyncio.wait([task])
        self._task = asyncio.current_task()
        if self.arrived is None:
            self.arrived = await anext(self._iterator)


class _Items(Generic[T]):
    """A blocking iterator over the items of pages, which also loses nothing when interrupted."""

    def __init__(self, pages: _Iteration[HasItems[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while True:
            for item in self._items:
                return item
            pages = self._pages
            pages.claim()
            try:
                while pages.arrived is None:
                    pages.advance()
                self._items, pages.arrived = iter(pages.arrived.items), None
            finally:
                pages.owner = None
