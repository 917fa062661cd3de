"""Work: what a subcommand does, from its options to its exit status."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import ENVIRONMENT

from .arguments.options import ALLOW_INSECURE_VARIABLE
from .progress import log_noted
from .signals import Ended, ended_by_signals
from .terminal import FAILED, USAGE, complain

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator
    from typing import Any

    from digitalocean_projects._facade.sync import Client


def perform(options: Namespace) -> int:
    """Do what the options say, and return the exit status.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    try:
        with ended_by_signals():
            status = _perform(options)
            # This reports a closed pipe here, and not when Python exits.
            sys.stdout.flush()
    except Ended as end:
        return end.status
    except BrokenPipeError:
        return 0
    except Exception as error:
        # The emulator starts without the client's modules.
        from digitalocean_projects._errors import APIError, ClientUsageError  # noqa: PLC0415 - as above

        if isinstance(error, ValueError | ClientUsageError):
            return _fail(error, USAGE)
        if isinstance(error, APIError | OSError):
            return _fail(error, getattr(options, "failed", FAILED))
        raise
    return status


def _fail(error: Exception, status: int) -> int:
    complain(error)
    return status


def _perform(options: Namespace) -> int:
    status: int
    if "command" not in options:
        status = function_of(options.run)(options)
    elif options.is_local(options):
        status = function_of(options.command)(None, options)
    else:
        with (
            log_noted(quiet=options.quiet, verbose=options.verbose),
            _client(options) as client,
        ):
            status = function_of(options.command)(client, options)
    return status


def function_of(path: str) -> Callable[..., Any]:
    """Return the function with this path of a module and a name, and load the module."""
    module, _, name = path.partition(".")
    function: Callable[..., Any] = getattr(import_module(f".{module}", __package__), name)
    return function


@contextmanager
def _client(options: Namespace) -> Iterator[Client]:
    if options.demo and options.proxy != ENVIRONMENT:
        raise ValueError("--proxy must not be passed with --demo, which uses no network")
    limits = {"timeout": options.timeout, "deadline": options.deadline}
    if not options.demo:
        # The emulator and the comparison of two files don't need it.
        from digitalocean_projects._facade.sync import Client  # noqa: PLC0415 - it loads slowly

        from .account import chosen_token  # noqa: PLC0415 - as above

        allow_insecure = options.allow_insecure or os.environ.get(ALLOW_INSECURE_VARIABLE) == "1"
        try:
            client = Client(
                chosen_token(options),
                allow_insecure=allow_insecure,
                proxy=None if options.proxy == "none" else options.proxy,
                **limits,
            )
        except ValueError as error:
            text = str(error).replace("allow_insecure=True", "--allow-insecure")
            text = text.replace("'env' or None", "'env' or 'none'")
            raise ValueError(text) from None
        with client:
            yield client
        return
    from .demo import demo_client  # noqa: PLC0415 - the emulator loads slowly

    with demo_client(quiet=options.quiet, **limits) as client:
        yield client
