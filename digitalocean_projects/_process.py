"""Hooks for forks and for the ends of event loops, and objects that are leaked on purpose."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

T = TypeVar("T")


def call_in_child(function: Callable[[T], object], owner: T) -> None:
    """Register a function that every forked process calls with `owner` before it goes on.

    `os.fork()` calls it. C code may fork without Python's hooks (uWSGI does so by default); then
    the first `check_process()` in the child calls it, or the next registration. Other threads that
    check the process meanwhile wait until all functions have returned.

    Args:
        function: The function. It must not wait for a lock that a thread of the parent may hold,
            and must not touch the parent's threads, event loops and sockets. It is called again if
            a signal handler's exception interrupts it.
        owner: The object that the function updates, which has one function. It must be hashable
            by identity. Only a weak reference is kept: once the object is collected, the function
            isn't called any more.
    """
    check_process()
    _functions[weakref.ref(owner, _forget)] = function


def check_process() -> None:
    """Call the registered functions now if this process is a fork that hasn't called them.

    Call it before any use of state that belongs to a process. It compares process ids, which takes
    0.1 µs.
    """
    if _pid != os.getpid():
        _enter_child()


def keep_for_ever(value: object) -> None:
    """Add a reference to `value` that is never released, even at the interpreter's exit."""
    import ctypes  # noqa: PLC0415 - only forked processes need it, and loading takes time

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def call_at_loop_end(aclose: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Return a generator whose end awaits `aclose`, in this process only.

    asyncio has no public hook for the end of an event loop. But a loop remembers each async
    generator that it has started and that has not ended, and ends them in `shutdown_asyncgens`,
    which `asyncio.run` awaits before it closes the loop. So the generator is started here, in the
    running loop, and waits at its only `yield`. The loop also ends a generator that is collected as
    garbage. The objects that `aclose` refers to must not refer to the generator, or neither of them
    would be collected.
    """
    generator = _wait_for_end(aclose)
    step(generator.__anext__())
    return generator


async def _wait_for_end(aclose: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    pid = os.getpid()
    try:
        yield
    finally:
        await _call_in(pid, aclose)


async def _call_in(pid: int, aclose: Callable[[], Awaitable[None]]) -> None:
    # A forked process must not close the connections of its parent.
    if pid == os.getpid():
        await aclose()


def step(awaitable: Awaitable[None]) -> None:
    """Run an awaitable up to its first wait, without an event loop."""
    with suppress(StopIteration):
        awaitable.__await__().send(None)


_pid = os.getpid()
_functions: dict[weakref.ref[Any], Callable[[Any], object]] = {}
# One lock for each process id: a thread of the parent may hold the parent's lock forever.
_locks: dict[int, threading.RLock] = {}


def _forget(reference: weakref.ref[Any]) -> None:
    del _functions[reference]


def _enter_child() -> None:
    global _pid  # noqa: PLW0603 - a process has one id
    pid = os.getpid()
    # Reentrant: a signal handler that makes or closes a client must not wait for the interrupted
    # code.
    with _locks.setdefault(pid, threading.RLock()):
        if _pid != pid:
            # A dict is copied in one step. While a list of its items is made, garbage may be
            # collected, and `_forget` may change the dict.
            for reference, function in _functions.copy().items():
                owner = reference()
                if owner is not None:
                    function(owner)
            _pid = pid


with suppress(AttributeError):  # where there is no fork
    os.register_at_fork(after_in_child=_enter_child)
