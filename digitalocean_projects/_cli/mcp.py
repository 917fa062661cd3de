"""MCP: the subcommand that serves tools for an assistant over standard input and output."""

from __future__ import annotations

import asyncio
import sys
from threading import Thread
from typing import TYPE_CHECKING

from digitalocean_projects._errors import ClientUsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._facade.sync import Client


_SECONDS_BETWEEN_LOOKS = 1.0


def serve(client: Client, options: Namespace) -> int:
    """Serve until the client ends the input."""
    try:
        from digitalocean_projects.contrib.mcp import make_server  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ClientUsageError(str(error)) from None

    errors: list[BaseException] = []

    async def run() -> None:
        # The blocking client has sent nothing, so its connections belong to this loop.
        async with client._async as asynchronous:  # noqa: SLF001 - of this package
            await make_server(asynchronous, write=options.write).run_stdio_async()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            errors.append(error)

    # A signal reaches this thread, which does not wait for the other one. The package mcp reads and
    # writes in threads that no signal interrupts. They inherit `daemon`, so that Python doesn't
    # wait for them when it exits.
    ignore_closed_pipes()
    thread = Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        # On Windows, only a wait with a maximum lets Ctrl-C through.
        thread.join(_SECONDS_BETWEEN_LOOKS)
    if errors:
        raise _cause(errors[0]) from None
    return 0


def ignore_closed_pipes() -> None:
    """Don't report a closed pipe that can't be raised, until the program ends.

    The package mcp opens a copy of standard output. It is freed in any thread or at Python's end,
    and can't write the rest of its buffer if the client has closed the other end.
    """
    hook = sys.unraisablehook

    def report(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, BrokenPipeError):
            hook(unraisable)

    sys.unraisablehook = report


def _cause(error: BaseException) -> BaseException:
    """Return the closed pipe among the errors of a group, or else the first of them."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_cause(each) for each in error.exceptions]
    return next((each for each in causes if isinstance(each, BrokenPipeError)), causes[0])
