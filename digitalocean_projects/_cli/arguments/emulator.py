"""Emulator: the arguments of the subcommand `emulator`."""

from __future__ import annotations

import argparse
import math
import re

from .options import add_quiet

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from .parser import Commands, Parser

_LAST_PORT = 65535
_LIMIT = r"([0-9]{1,9})/([0-9.]{1,12})"
_LATENCY = r"([0-9.]{1,12})(ms|s)(?:(?:±|\+-)([0-9.]{1,12}))?"


def add_emulator(commands: Commands) -> None:
    """Add the subcommand `emulator`."""
    parser = commands.add(
        "emulator",
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
    parser.set_defaults(run="emulator.emulate")


def _add_listener(parser: Parser) -> None:
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


def _add_account(parser: Parser) -> None:
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


def _add_behavior(parser: Parser) -> None:
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
        help="time during which a project refuses assignments after a move (default: 0)",
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
        found = re.fullmatch(_LIMIT, part.strip())
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
    number, unit, more = (
        found.groups() if (found := re.fullmatch(_LATENCY, text)) else ("x", "s", None)
    )
    factor = 0.001 if unit == "ms" else 1.0
    latency, jitter = _number(number) * factor, _number(more or "0") * factor
    if not 0 <= jitter <= latency < math.inf:
        raise argparse.ArgumentTypeError(f"must be such as 20ms, 20ms+-10 or 0.5s, got {text!r}")
    return latency, jitter
