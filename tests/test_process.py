"""The functions that a forked process calls first, with and without Python's hooks."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import _process

if TYPE_CHECKING:
    from collections.abc import Callable

    from .forked import Forks

    Run = Callable[[str], tuple[str, str, int]]

PRELUDE = """
import ctypes, gc, os, signal, sys, threading
from digitalocean_projects import _process
from digitalocean_projects._process import call_in_child, check_process, keep_for_ever

class Owner:
    def __init__(self, name):
        self.name = name
        call_in_child(Owner.leave, self)
    def leave(self):
        print(self.name, flush=True)

def wait():
    status = os.wait()[1]
    check_process()
    print(status, flush=True)

raw_fork = ctypes.PyDLL(None).fork  # without Python's hooks
"""


@pytest.fixture
def run(forks: Forks) -> Run:
    """Return a function that runs a script and returns its output, errors and status."""
    return lambda script: forks.start(PRELUDE + script).end()


@pytest.mark.process
def test_fork(run: Run) -> None:
    """A fork calls each living function once, in order, in the child and in its child."""
    script = """
kept, dropped, last = Owner("kept"), Owner("dropped"), Owner("last")
del dropped
if not os.fork():
    check_process()
    if not os.fork():
        sys.exit()
    wait()
    sys.exit()
wait()
"""
    assert ("kept\nlast\nkept\nlast\n0\n0\n", "", 0) == run(script)


@pytest.mark.process
def test_fork_without_hooks(run: Run) -> None:
    """Without Python's hooks, the first check or the next registration calls the functions."""
    script = """
kept = Owner("kept")
for use in (check_process, lambda: Owner("new")):
    if not raw_fork():
        print("child", flush=True)
        use()
        check_process()
        if not raw_fork():
            check_process()
            sys.exit()
        wait()
        sys.exit()
    wait()
"""
    once = "child\nkept\nkept\n0\n0\n"
    assert (2 * once, "", 0) == run(script)


@pytest.mark.process
def test_threads_of_a_child(run: Run) -> None:
    """A second thread of the child waits until all functions have returned."""
    script = """
class Slow:
    def leave(self):
        second.start()
        second.join(0.2)
        print("left", flush=True)

def check():
    check_process()
    print("second", flush=True)

slow, second = Slow(), threading.Thread(target=check)
call_in_child(Slow.leave, slow)
if not raw_fork():
    check_process()
    second.join()
    sys.exit()
wait()
"""
    assert ("left\nsecond\n0\n", "", 0) == run(script)


@pytest.mark.process
def test_interrupted(run: Run) -> None:
    """A function that an exception has interrupted is called again."""
    script = """
class Interrupted:
    failures = [KeyboardInterrupt]
    def leave(self):
        if self.failures:
            raise self.failures.pop()
        print("left", flush=True)

interrupted = Interrupted()
call_in_child(Interrupted.leave, interrupted)
if not raw_fork():
    try:
        check_process()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    check_process()
    sys.exit()
wait()
"""
    assert ("interrupted\nleft\n0\n", "", 0) == run(script)


@pytest.mark.process
def test_lock_of_the_parent(run: Run) -> None:
    """A thread of the parent that calls the functions doesn't block the child."""
    script = """
class Held:
    def leave(self):
        if os.getpid() == middle:
            held.set()
            released.wait()
        print("left", flush=True)

value, held, released = Held(), threading.Event(), threading.Event()
call_in_child(Held.leave, value)
middle = 0
if not raw_fork():
    middle = os.getpid()
    thread = threading.Thread(target=check_process)
    thread.start()
    held.wait()
    if not raw_fork():
        check_process()
        os._exit(0)
    print(os.wait()[1], flush=True)
    released.set()
    thread.join()
    os._exit(0)
wait()
"""
    assert ("left\n0\nleft\n0\n", "", 0) == run(script)


def test_nothing_is_kept_alive() -> None:
    """A registered object is collected like any other, and its registration ends."""

    class Owner:
        def leave(self) -> None:
            raise AssertionError

    gc.collect()  # what other tests left
    before = len(_process._functions)
    owner = Owner()
    _process.call_in_child(Owner.leave, owner)
    assert before + 1 == len(_process._functions)
    del owner
    gc.collect()
    assert before == len(_process._functions)


@pytest.mark.process
def test_collected_meanwhile(run: Run) -> None:
    """The function of an object that another function lets be collected isn't called."""
    script = """
class Last:
    def leave(self):
        print("left", flush=True)
        kept.clear()

last, kept = Last(), []
call_in_child(Last.leave, last)
kept.append(Owner("kept"))
if not raw_fork():
    check_process()
    sys.exit()
wait()
"""
    assert ("left\n0\n", "", 0) == run(script)


@pytest.mark.process
def test_garbage_of_the_parent(run: Run) -> None:
    """A fork may collect the parent's garbage while it calls the functions."""
    script = """
class Node:
    def leave(self):
        pass

kept = [Node() for _ in range(3000)]
for node in kept:
    call_in_child(Node.leave, node)
gc.collect()
gc.disable()
garbage = Node()
garbage.itself = garbage
call_in_child(Node.leave, garbage)
del garbage
gc.set_threshold(gc.get_count()[0] + 1000)
gc.enable()
if not raw_fork():
    check_process()
    os._exit(0)
wait()
"""
    assert ("0\n", "", 0) == run(script)


@pytest.mark.process
def test_kept_for_ever(run: Run) -> None:
    """An object that is kept for ever isn't finalized, even at the interpreter's exit."""
    script = """
class Value:
    def __del__(self):
        print("collected")

Value()
kept = Value()
keep_for_ever(kept)
print("ctypes" in sys.modules)
del kept
gc.collect()
"""
    assert ("collected\nTrue\n", "", 0) == run(script)


@pytest.mark.process
def test_end_of_a_loop(run: Run) -> None:
    """The end of an event loop calls what was registered, but not in a forked process."""
    script = """
import asyncio
from digitalocean_projects._process import call_at_loop_end, step

async def aclose():
    print("closed", flush=True)

async def main():
    generator = call_at_loop_end(aclose)
    if not os.fork():
        step(generator.aclose())
        os._exit(0)
    wait()

asyncio.run(main())
"""
    assert ("0\nclosed\n", "", 0) == run(script)
