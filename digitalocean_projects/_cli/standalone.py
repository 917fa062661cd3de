"""What the command's subcommands do that need no account: the emulator, and completion."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects.testing import Emulator, seed_demo

from .terminal import note

if TYPE_CHECKING:
    from argparse import Namespace

SHELLS = ("bash", "fish", "zsh", "tcsh")


def emulate(options: Namespace) -> int:
    """Serve the API, emulated, for ever."""
    emulator = Emulator(options.host, options.port)
    if options.demo:
        note(f"the projects are 'default' and {seed_demo(emulator)}", quiet=options.quiet)
    with emulator:
        print(f"export DIGITALOCEAN_API_URL={emulator.url}")
        print(f"export DIGITALOCEAN_TOKEN={emulator.token}", flush=True)
        note("Ctrl-C ends it", quiet=options.quiet)
        while True:
            Event().wait()


def complete(options: Namespace) -> int:
    """Print what teaches a shell to complete the command."""
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClientUsageError(
            'completion needs shtab: pip install "digitalocean-projects[cli]"'
        ) from None
    print(shtab.complete(options.parser, options.shell))
    return 0
