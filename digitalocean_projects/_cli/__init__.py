"""The command `digitalocean-projects`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from digitalocean_projects._errors import APIError, ClientUsageError
from digitalocean_projects._sync import Client
from digitalocean_projects.testing import Emulator, seed_demo

from .arguments import make_parser
from .doctl import context_token
from .resources import FAILED
from .terminal import complain, discard_output, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

_USAGE, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    options = make_parser().parse_args(arguments)
    try:
        status = _run(options)
        # Here, so that a reader who has left is noticed here.
        print(end="", flush=True)
    except UnicodeError as error:
        return _fail(error, FAILED)
    except (ValueError, ClientUsageError) as error:
        return _fail(error, _USAGE)
    except BrokenPipeError:
        discard_output()
        return 0
    except (APIError, OSError) as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
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
        with Client(context_token(options.context) if options.context else None) as client:
            yield client
        return
    with Emulator() as emulator:
        web_shop = seed_demo(emulator)
        note(f"on an emulator: projects 'default' and {web_shop}", quiet=options.quiet)
        with Client(emulator.token, base_url=emulator.url) as client:
            yield client
