"""Emulator: the command that serves the emulated API to other programs."""

from __future__ import annotations

import shlex
import socket
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import BASE_URL_VARIABLE
from digitalocean_projects._messages import TOKEN_VARIABLES
from digitalocean_projects.testing import RESOURCE_TYPES, Emulator, seed_demo

from .state_file import StateFile
from .terminal import label_of, note

if TYPE_CHECKING:
    from argparse import Namespace


# Seconds between two looks for a change, and for a signal, which does not interrupt a wait on every
# system.
_A_WHILE = 0.5
# The newest requests are kept for `/_emulator/requests`.
_KEPT_REQUESTS = 1_000
_KEPT_BYTES = 4 << 20
_ELSEWHERE = ("192.0.2.1", 9)


def emulate(options: Namespace) -> int:
    """Serve an emulator of the API until a signal ends the command."""
    with ExitStack() as stack:
        state = None
        if options.state is not None:
            state = stack.enter_context(closing(StateFile(Path(options.state))))
        emulator = _emulator(options, state)
        stack.enter_context(emulator)
        try:
            if state is not None:
                state.try_to_save(emulator)
            _print_settings(emulator, options)
            while True:
                sleep(_A_WHILE)
                if state is not None:
                    state.try_to_save(emulator)
        finally:
            if state is not None:
                # Another Ctrl-C may interrupt the stop, so the state is saved before it, too.
                state.try_to_save(emulator)
                emulator.stop()
                state.save(emulator)


def seed(emulator: Emulator) -> str:
    """Fill an emulator with the sample data, and return the text of a note on its projects."""
    seed_demo(emulator)
    names = [
        f"{project.name} (default)" if project.is_default else project.name
        for project in emulator.projects()
    ]
    return f"projects {' and '.join(names)}"


def _emulator(options: Namespace, state: StateFile | None) -> Emulator:
    """Return the emulator that the options describe, with the state of a file if it has one."""
    first = Emulator(token=options.token)
    if state is not None and state.content:
        _load(first, options.state, state.content)
    else:
        if options.demo:
            note(seed(first), quiet=options.quiet)
        for name in options.seed:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            _load(first, name, data)
    arguments = {} if options.limits is None else {"limits": options.limits}
    latency, jitter = options.latency
    return Emulator(
        options.host,
        options.port,
        token=options.token,
        scopes=options.scopes,
        contents=first.dump(),
        move_delay=options.move_delay,
        busy_time=options.busy_time,
        resource_types={*RESOURCE_TYPES, *options.resource_types},
        sparse=options.sparse,
        latency=latency,
        jitter=jitter,
        allow_hosts=options.allow_host,
        keep_requests=_KEPT_REQUESTS,
        keep_bytes=_KEPT_BYTES,
        **arguments,
    )


def _load(emulator: Emulator, name: str, data: bytes) -> None:
    """Load the content of a file into an emulator.

    Raises:
        ValueError: It is invalid; the message names the file.
    """
    try:
        emulator.load(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{label_of(name)}: the file must be UTF-8 text") from None
    except ValueError as error:
        raise ValueError(f"{label_of(name)}: {error}") from None


def _print_settings(emulator: Emulator, options: Namespace) -> None:
    token = shlex.quote(emulator.token)
    print(f"export {BASE_URL_VARIABLE}={emulator.url}")
    for variable in TOKEN_VARIABLES:
        print(f"export {variable}={token}", flush=True)
    if not options.host.strip("0.:"):  # all addresses, such as 0.0.0.0 or ::
        port = emulator.url.rpartition(":")[2]
        note(f"other machines reach it at http://{_own_address()}:{port}", quiet=options.quiet)
    note(
        "paste these lines into another terminal, or open the URL in a browser; "
        "press Ctrl-C to stop",
        quiet=options.quiet,
    )


def _own_address() -> str:
    """Return an address of this machine in its network, or its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            # This sends nothing, but chooses the address from which it would be sent.
            sock.connect(_ELSEWHERE)
        except OSError:
            return socket.gethostname()
        address: str = sock.getsockname()[0]
        return address
