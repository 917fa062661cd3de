"""Pool: an aiohttp session that is closed with its event loop."""

from __future__ import annotations

import asyncio
import atexit
import os
import warnings
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from digitalocean_projects._errors import CLOSED, ClientUsageError
from digitalocean_projects._process import call_at_loop_end, keep_for_ever, step

from .deadlines import Deadlines

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Callable

    from aiohttp import ClientSession

COPIED = (
    "a client can't be copied or pickled, since it holds connections and a token; "
    "share it, and make one in each process"
)


class Pool:
    """A session that is opened on the first request, in the event loop of that request.

    The session belongs to that loop until the session or the loop is closed. If the pool is never
    closed, its session is closed at the end of the loop.

    Args:
        open_session: Function that makes a session, called in the loop that will use it.

    Attributes:
        tasks: The tasks with a request in flight, which `aclose` cancels.
        is_open: False once the pool was closed.
    """

    _held: Held | None = None

    def __init__(self, open_session: Callable[[], ClientSession]) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self._open_session = open_session
        self.is_open: bool = True

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop of the session, which may be closed by now; None without a session."""
        return None if self._held is None else self._held.loop

    def check_open(self) -> None:
        """Check that the pool is open.

        Raises:
            ClientUsageError: It is closed.
        """
        if not self.is_open:
            raise ClientUsageError(CLOSED)

    def usable(self) -> Held | None:
        """Return the session of the running loop, or None if it is not open yet.

        Raises:
            ClientUsageError: The pool is closed, or belongs to another loop.
        """
        self.check_open()
        loop, held = running_loop(), self._held
        return held if held is not None and held.is_open_in(loop) else None

    def held(self) -> Held:
        """Return the session of the running loop, and open it if necessary.

        Raises:
            ClientUsageError: The pool is closed, or belongs to another loop.
        """
        held = self.usable()
        if held is not None:
            return held
        loop = running_loop()
        self._release()
        # Requests that are pending in a closed loop or in a parent process never end.
        self.tasks.intersection_update(self._tasks_here())
        session = self._open_session()
        self._held = held = Held(
            session=session,
            deadlines=Deadlines(loop),
            guard=call_at_loop_end(session.close),
            loop=loop,
            pid=os.getpid(),
        )
        _open_pools.add(self)
        return held

    def begin(self, task: asyncio.Task[Any]) -> None:
        """Register a task that sends a request."""
        self.tasks.add(task)
        _idle.discard(self._held)

    def end(self, task: asyncio.Task[Any]) -> None:
        """Register the end of the request."""
        self.tasks.discard(task)
        if not self.tasks and self._held is not None:
            _idle.add(self._held)

    async def aclose(self) -> None:
        """Close the session for good, and cancel the requests in flight.

        Raises:
            ClientUsageError: The session belongs to another loop, which isn't closed.
        """
        if self._held is not None:
            self._held.is_open_in(running_loop())
        self.is_open = False
        for task in self._tasks_here():
            self.tasks.discard(task)
            task.cancel()
        held = self._release()
        if held is not None:
            held.deadlines.close()
            await held.guard.aclose()

    def __del__(self) -> None:
        """Close a session that was never closed, or leave that to its loop."""
        held, self._held = self._held, None
        _idle.discard(held)
        if held is None:
            return
        if not held.session.closed and held.pid == os.getpid() and not held.loop.is_running():
            warnings.warn("a client was not closed before its event loop ended", ResourceWarning, 2)
        held.is_beyond_reach()
        # If it can still be reached, its loop closes the guard, which nothing refers to any more.

    def __reduce__(self) -> NoReturn:
        raise TypeError(COPIED)

    def _tasks_here(self) -> list[asyncio.Task[Any]]:
        """Return the tasks of the running loop."""
        return [task for task in self.tasks if task.get_loop() is running_loop()]

    def _release(self) -> Held | None:
        """Forget the session; return it if the running loop can close it."""
        held, self._held = self._held, None
        _idle.discard(held)
        return None if held is None or held.is_beyond_reach() else held


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Held:
    """A session with the deadlines of its requests, its guard, its event loop and its process.

    The guard is an asynchronous generator that closes the session when it ends.
    """

    session: ClientSession
    deadlines: Deadlines
    guard: AsyncGenerator[None, None]
    loop: AbstractEventLoop
    pid: int

    def is_open_in(self, loop: AbstractEventLoop) -> bool:
        """Return True if the session can be used in this loop, False if it can't be used at all.

        Raises:
            ClientUsageError: The session belongs to another loop, which isn't closed.
        """
        if self.pid != os.getpid():
            return False
        if self.loop is loop:
            return not self.session.closed
        if self.loop.is_closed():
            return False
        raise ClientUsageError(
            "the client belongs to another event loop, which isn't closed; "
            "make one client for each event loop"
        )

    def is_beyond_reach(self) -> bool:
        """Return True if no loop can close the session; release it then, as far as possible."""
        if self.pid != os.getpid():
            # Closing or collecting it would remove its sockets from the parent's selector.
            keep_for_ever(self)
            return True
        if self.loop.is_closed():
            # One step is enough, since nothing can be awaited in a closed loop.
            step(self.guard.aclose())
            return True
        return False


_open_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
# The sessions of the pools without a request in flight. They are kept here, since otherwise they
# could be collected together with a forgotten pool, before its `__del__` has closed them. During a
# request, its task refers to the pool, and its loop refers to the task. If that loop is closed
# meanwhile, they form a reference cycle, which must be collectable: so neither this set nor a
# `weakref.finalize` may hold a session with requests in flight.
_idle: set[Held | None] = set()


@atexit.register
def _at_exit() -> None:
    """Close the remaining sessions while the interpreter still works completely."""
    for pool in list(_open_pools):
        pool.__del__()


def running_loop() -> AbstractEventLoop:
    """Return the asyncio loop that the caller runs in.

    Raises:
        ClientUsageError: The caller runs in no loop, or in the loop of another library.
    """
    loop = current_loop()
    if loop is None:
        raise ClientUsageError(
            "the client needs a running asyncio event loop; use Client in blocking code"
        )
    return loop


def current_loop() -> AbstractEventLoop | None:
    """Return the asyncio loop that the caller runs in, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
