"""Program: what the command does from its arguments to its exit status."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from digitalocean_projects._errors import APIError, ClientUsageError
from digitalocean_projects._facade.sync import Client

from .arguments import make_parser
from .doctl import context_token
from .resources import FAILED
from .signals import Ended, ended_by_signals
from .terminal import complain, drop_unwritten, note, prepare_streams

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

_USAGE = 2


def run(arguments: Sequence[str] | None) -> int:
    """Run the command, and return its exit status.

    Raises:
        SystemExit: The arguments are wrong, or only help was requested.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    prepare_streams()
    try:
        with ended_by_signals():
            status = _run(make_parser().parse_args(arguments))
            # Here, so that a reader who has left is noticed here.
            sys.stdout.flush()
    except Ended as end:
        return end.status
    except (ValueError, ClientUsageError) as error:
        return _fail(error, _USAGE)
    except BrokenPipeError:
        return 0
    except (APIError, OSError) as error:
        return _fail(error, FAILED)
    finally:
        drop_unwritten(sys.stdout)
        drop_unwritten(sys.stderr)
    return status


def _fail(error: Exception, status: int) -> int:
    complain(error)
    return status


def _run(options: Namespace) -> int:
    status: int
    if "command" in options:
        with _client(options) as client:
            status = options.command(client, options)
    else:
        status = options.run(options)
    return status


@contextmanager
def _client(options: Namespace) -> Iterator[Client]:
    if not options.demo:
        token = None if options.context is None else context_token(options.context)
        with Client(token) as client:
            yield client
        return
    from digitalocean_projects.testing import (  # noqa: PLC0415 - it takes a while
        Emulator,
        seed_demo,
    )

    with Emulator() as emulator:
        web_shop = seed_demo(emulator)
        note(f"on an emulator: projects 'default' and {web_shop}", quiet=options.quiet)
        with Client(emulator.token, base_url=emulator.url) as client:
            yield client
