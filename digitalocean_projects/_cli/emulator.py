"""Emulator: the command that serves the emulated API to other programs."""

from __future__ import annotations

import argparse
import math
import re
import shlex
import socket
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import BASE_URL_VARIABLE
from digitalocean_projects._messages import TOKEN_VARIABLES

from .arguments import add_parser, add_quiet
from .terminal import label_of, note

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects.testing import Emulator

    from .arguments import Commands
    from .state_file import StateFile

_LAST_PORT = 65535
# Seconds between two looks for a change, and for a signal, which does not interrupt a wait on every
# system.
_A_WHILE = 0.5
# The newest requests are kept for `/_emulator/requests`.
_KEPT_REQUESTS = 1_000
_KEPT_BYTES = 4 << 20
_ELSEWHERE = ("192.0.2.1", 9)
_match_limit = re.compile(r"([0-9]{1,9})/([0-9.]{1,12})").fullmatch
_match_latency = re.compile(r"([0-9.]{1,12})(ms|s)(?:(?:±|\+-)([0-9.]{1,12}))?").fullmatch


def add_emulator(commands: Commands) -> None:
    """Add the subcommand `emulator`."""
    parser = add_parser(
        commands,
        "emulator",
        "run a local emulator of the API",
        "emulator --demo --port 8080",
        "emulator --seed account.jsonl --state state.jsonl",
        "emulator --host 0.0.0.0 --allow-host emulator",
        details="It prints lines for your shell, which set DIGITALOCEAN_API_URL and the token,\n"
        "also for doctl, and runs until Ctrl-C (exit status 130). The page at its URL\n"
        "describes how to read and change the state, add tokens and faults, and move\n"
        "the clock, over HTTP. A file to start with has JSON lines, or what 'doctl\n"
        "projects list' and 'doctl projects resources list' print with '-o json'.",
    )
    add_quiet(parser)
    _add_listener(parser)
    _add_account(parser)
    _add_behavior(parser)
    parser.set_defaults(run=_emulate)


def _add_listener(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    group.add_argument(
        "--port", type=_port, default=0, help="port to listen on (default: a free port)"
    )
    group.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="name by which other machines and browsers may call it, besides addresses and the "
        "names of this machine; can be repeated",
    )


def _add_account(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("account")
    group.add_argument(
        "--demo", action="store_true", help="start with sample resources in two projects"
    )
    group.add_argument(
        "--seed",
        metavar="FILE",
        action="append",
        default=[],
        help="start with the projects and resources in this file; - is standard input; can be "
        "repeated. Serve a real account with a --token of your own, because web pages can guess "
        "the default one",
    )
    group.add_argument(
        "--state",
        metavar="FILE",
        type=Path,
        help="keep the projects, resources, accounts and tokens in this file: start with it if it "
        "exists and isn't empty, instead of --demo and --seed, write it within about a second "
        "after a change, and at the end. The clock, the limits, attachments and moves under way "
        "aren't kept: a resource that moves is in its new project",
    )
    group.add_argument(
        "--token",
        metavar="TOKEN",
        help="token to accept, which is not secret here (default: the same in each run)",
    )
    group.add_argument(
        "--scopes",
        metavar="SCOPE,...",
        type=lambda text: [scope.strip() for scope in text.split(",")],
        help="scopes of the token, such as project:read,droplet:read (default: every scope)",
    )


def _add_behavior(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("behavior")
    limits = group.add_mutually_exclusive_group()
    limits.add_argument(
        "--limits",
        metavar="N/SECONDS,...",
        type=_limits,
        help="maximum numbers of requests of each token (default: 250/60,5000/3600)",
    )
    limits.add_argument(
        "--no-limits", dest="limits", action="store_const", const=(), help="set no limits"
    )
    group.add_argument(
        "--move-delay",
        metavar="SECONDS",
        type=_seconds,
        default=0.0,
        help="time until listings show an assignment (default: 0)",
    )
    group.add_argument(
        "--busy-time",
        metavar="SECONDS",
        type=_seconds,
        default=0.0,
        help="time after a move for which its project refuses assignments (default: 0)",
    )
    group.add_argument(
        "--resource-types",
        metavar="TYPE,...",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=[],
        help="types that assignments accept besides the known ones, such as one that the API has "
        "since learned",
    )
    group.add_argument(
        "--sparse",
        action="store_true",
        help="leave out of listings what the API leaves out at times: links, times and statuses",
    )
    group.add_argument(
        "--latency",
        metavar="TIME[+-TIME]",
        type=_latency,
        default=(0.0, 0.0),
        help="delay of answers, such as 20ms, 20ms+-10 or 0.5s (default: 0ms)",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be from 0 to {_LAST_PORT}, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _limits(text: str) -> list[tuple[int, float]]:
    limits = []
    for part in text.split(","):
        found = _match_limit(part.strip())
        if found is None or int(found[1]) < 1 or not _number(found[2]) > 0:
            raise argparse.ArgumentTypeError(
                f"each must be a number of requests and of seconds, such as 250/60, got {part!r}"
            )
        limits.append((int(found[1]), float(found[2])))
    return limits


def _seconds(text: str) -> float:
    seconds = _number(text) if "_" not in text else math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, at least 0, got {text!r}")
    return seconds


def _latency(text: str) -> tuple[float, float]:
    """Return the latency and the jitter in seconds."""
    number, unit, more = found.groups() if (found := _match_latency(text)) else ("x", "s", None)
    factor = 0.001 if unit == "ms" else 1.0
    latency, jitter = _number(number) * factor, _number(more or "0") * factor
    if not 0 <= jitter <= latency < math.inf:
        raise argparse.ArgumentTypeError(f"must be such as 20ms, 20ms+-10 or 0.5s, got {text!r}")
    return latency, jitter


def _emulate(options: Namespace) -> int:
    """Serve an emulator of the API until a signal ends the command."""
    from .state_file import StateFile  # noqa: PLC0415 - it loads slowly

    with ExitStack() as stack:
        state = None
        if options.state is not None:
            state = stack.enter_context(closing(StateFile(options.state)))
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


def _emulator(options: Namespace, state: StateFile | None) -> Emulator:
    """Return the emulator that the options describe, with the state of a file if it has one."""
    # The emulator loads slowly.
    from digitalocean_projects.testing import RESOURCE_TYPES, Emulator  # noqa: PLC0415 - as above

    from .demo import seed  # noqa: PLC0415 - as above

    first = Emulator(token=options.token)
    if state is not None and state.content:
        _load(first, str(options.state), state.content)
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
