"""Pool: an aiohttp session that lives as long as its event loop."""

from __future__ import annotations

import asyncio
import atexit
import os
import warnings
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._process import call_at_loop_end, keep_for_ever, step

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Callable

    from aiohttp import ClientSession


class Pool:
    """A session, opened at the first request, in the event loop of that request.

    It belongs to that loop until it or the loop is closed. A pool that is forgotten closes its
    session with its loop.

    Args:
        open_session: Makes a session, in the loop that will use it.

    Attributes:
        tasks: The tasks that have a request in flight, which `aclose` cancels.
        is_open: False once it was closed.
    """

    _held: _Held | None = None

    def __init__(self, open_session: Callable[[], ClientSession]) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self._open_session = open_session
        self.is_open: bool = True

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop that it belongs to, or has belonged to if that is closed."""
        return None if self._held is None else self._held.loop

    def check_open(self) -> None:
        """Do nothing, unless the pool is closed.

        Raises:
            ClientUsageError: It is.
        """
        if not self.is_open:
            raise ClientUsageError("the client is closed")

    def check_usable(self) -> None:
        """Do nothing, if there is a session, or can be one, for the running loop.

        Raises:
            ClientUsageError: The pool is closed, or belongs to another loop.
        """
        self.check_open()
        loop = running_loop()
        if self._held is not None:
            self._held.is_open_in(loop)

    def session(self) -> ClientSession:
        """The session of the running loop, made if there is none yet.

        Raises:
            ClientUsageError: The pool is closed, or belongs to another loop.
        """
        self.check_open()
        loop = running_loop()
        if self._held is not None and self._held.is_open_in(loop):
            return self._held.session
        self._release()
        # The requests that a closed loop, or a parent process, has left pending never end.
        self.tasks.intersection_update(self._tasks_here())
        session = self._open_session()
        self._held = _Held(
            session=session, guard=call_at_loop_end(session.close), loop=loop, pid=os.getpid()
        )
        _open_pools.add(self)
        return session

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
        """Close the session, for good; a request that is under way is cancelled.

        Raises:
            ClientUsageError: It belongs to another loop, which isn't closed.
        """
        if self._held is not None:
            self._held.is_open_in(running_loop())
        self.is_open = False
        for task in self._tasks_here():
            self.tasks.discard(task)
            task.cancel()
        held = self._release()
        if held is not None:
            await held.guard.aclose()

    def __del__(self) -> None:
        """Close a session that nobody has closed, or leave that to its loop."""
        held, self._held = self._held, None
        _idle.discard(held)
        if held is None:
            return
        if not held.session.closed and held.pid == os.getpid() and not held.loop.is_running():
            warnings.warn("a client was not closed before its event loop ended", ResourceWarning, 2)
        held.is_beyond_reach()
        # If it isn't, its loop closes the guard, to which nothing refers any more.

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds connections and a token: it can't be pickled")

    def _tasks_here(self) -> list[asyncio.Task[Any]]:
        """Return the tasks of the running loop."""
        return [task for task in self.tasks if task.get_loop() is running_loop()]

    def _release(self) -> _Held | None:
        """Part from the session; what is returned can be closed in the running loop."""
        held, self._held = self._held, None
        _idle.discard(held)
        return None if held is None or held.is_beyond_reach() else held


@attrs.frozen(kw_only=True, eq=False)
class _Held:
    """A session, what closes it, and where it may be used."""

    session: ClientSession
    guard: AsyncGenerator[None, None]
    loop: AbstractEventLoop
    pid: int

    def is_open_in(self, loop: AbstractEventLoop) -> bool:
        """Return True if it may be used in this loop.

        Raises:
            ClientUsageError: It may be used in another one.
        """
        if self.pid != os.getpid():
            return False
        if self.loop is loop:
            return not self.session.closed
        if self.loop.is_closed():
            return False
        raise ClientUsageError(
            "the client belongs to another event loop, which isn't closed: make one for each loop"
        )

    def is_beyond_reach(self) -> bool:
        """Return True if no loop can close it; close what can be closed without one."""
        if self.pid != os.getpid():
            # To close or collect it would take its sockets out of the parent's selector.
            keep_for_ever(self)
            return True
        if self.loop.is_closed():
            # One step is all: nothing is waited for in a closed loop.
            step(self.guard.aclose())
            return True
        return False


_open_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
# The sessions of the pools that have no request in flight. They are kept here so that they aren't
# collected as garbage together with a forgotten pool, before its `__del__` has seen to them. While
# there is a request, its task refers to the pool, and its loop to the task. If that loop is closed
# all the same, they refer to each other in a circle, which nothing may keep: so neither this set
# nor a `weakref.finalize` has a session with requests in flight.
_idle: set[_Held | None] = set()


@atexit.register
def _at_exit() -> None:
    """Close what is left while the interpreter still works as a whole."""
    for pool in list(_open_pools):
        pool.__del__()


def running_loop() -> AbstractEventLoop:
    """Return the asyncio loop that the caller runs in.

    Raises:
        ClientUsageError: It runs in none, or in another library's.
    """
    loop = current_loop()
    if loop is None:
        raise ClientUsageError("the client needs a running asyncio event loop")
    return loop


def current_loop() -> AbstractEventLoop | None:
    """Return the asyncio loop that the caller runs in, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
