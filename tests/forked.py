"""Processes that run a script each, forked from one interpreter that has imported the package.

To start an interpreter that imports the package takes 0.4 s, to fork one that has done so 10 ms. A
fork runs its script as `__main__`, and ends as any interpreter does.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from types import CodeType

OPTIONS = ["-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning"]  # fork
# This only guards against a hang.
SECONDS = 60.0
# The first line of scripts in development mode, where asyncio warns of steps over 0.1 s: a slow
# machine is no error.
PATIENT = 'import logging; logging.getLogger("asyncio").setLevel(logging.ERROR)\n'
BEGINNING = f"""
{PATIENT}
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.alarm(30)
"""


class Process:
    """A process that runs a script, with the methods that tests use of `subprocess.Popen`."""

    def __init__(self, control: socket.socket, script: str) -> None:
        self._control = control
        source, to_source = os.pipe()
        stdin, to_stdin = os.pipe()
        from_stdout, stdout = os.pipe()
        from_stderr, stderr = os.pipe()
        theirs = [stdin, stdout, stderr, source]
        socket.send_fds(control, [b"fork"], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self._stdin = os.fdopen(to_stdin, "wb")
        self.stdout = os.fdopen(from_stdout, encoding="utf-8")
        self._stderr = os.fdopen(from_stderr, encoding="utf-8")
        with os.fdopen(to_source, "w", encoding="utf-8") as file:
            file.write(BEGINNING + script)
        self._pid = int(control.recv(32))

    def send_signal(self, number: int) -> None:
        """Send a signal; raise `ProcessLookupError` if the process has ended."""
        os.kill(self._pid, number)

    def end(self) -> tuple[str, str, int]:
        """Wait for the end; return the rest of the output, the errors and the status.

        Raises:
            TimeoutError: It has not ended in time, and was killed.
        """
        self._stdin.close()
        readers = [_Reader(self.stdout), _Reader(self._stderr)]
        try:
            status = int(self._control.recv(32))
        except TimeoutError:
            # Its status must not look like an answer about the next process.
            os.kill(self._pid, signal.SIGKILL)
            self._control.recv(32)
            raise
        output, errors = (reader.result() for reader in readers)
        return output, errors, os.waitstatus_to_exitcode(status)


class _Reader(threading.Thread):
    """A thread that reads a pipe to its end, so that its writer never blocks."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(daemon=True)
        self._file = file
        self._text = ""
        self.start()

    def run(self) -> None:
        with self._file:
            self._text = self._file.read()

    def result(self) -> str:
        self.join(SECONDS)
        assert not self.is_alive(), "a process that the script has started keeps its output open"
        return self._text


class Forks:
    """The interpreter that forks processes; at most one runs at a time."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._control.settimeout(SECONDS)
        with theirs:
            self._interpreter = subprocess.Popen(
                [sys.executable, *OPTIONS, __file__],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                # It ignores Ctrl-C on a terminal, and ends with `control`.
                start_new_session=True,
            )

    def start(self, script: str) -> Process:
        return Process(self._control, script)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._interpreter.wait(SECONDS)


def fork_each(control: socket.socket) -> CodeType | None:
    """Fork a process for each request; return its script in the fork, and None at the end."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4, 4)
        if not message:
            return None
        pid = os.fork()
        if not pid:
            control.close()
            for number, descriptor in enumerate(descriptors[:3]):
                os.dup2(descriptor, number)
                os.close(descriptor)
            with os.fdopen(descriptors[3], encoding="utf-8") as file:
                return compile(file.read(), "script", "exec")
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(b"%d" % pid)
        control.send(b"%d" % os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    import gc

    # These are imported once, before the forks.
    import anyio._backends._asyncio  # noqa: F401

    import digitalocean_projects._codec.structure
    import digitalocean_projects._facade.sync
    import digitalocean_projects._session.manager
    import digitalocean_projects.testing  # noqa: F401

    # A fork collects only its own garbage.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=0) as control:
        script = fork_each(control)
    if script is not None:
        exec(script)  # noqa: S102 - in this module, which is `__main__`
