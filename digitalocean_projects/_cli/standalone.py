"""The subcommands that need no account: the emulator, and completion."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

from digitalocean_projects._errors import ClientUsageError

from .terminal import note

if TYPE_CHECKING:
    from argparse import Namespace

SHELLS = ("bash", "fish", "zsh", "tcsh")
# Seconds. A signal can't end a longer wait on each system, and two signals may miss it.
_A_WHILE = 0.5


def emulate(options: Namespace) -> int:
    """Serve an emulator of the API until a signal ends the command."""
    from digitalocean_projects.testing import (  # noqa: PLC0415 - it takes a while
        Emulator,
        seed_demo,
    )

    # Nobody can look at the requests of this process.
    emulator = Emulator(options.host, options.port, keep_requests=0)
    if options.demo:
        note(f"the projects are 'default' and {seed_demo(emulator)}", quiet=options.quiet)
    with emulator:
        print(f"export DIGITALOCEAN_API_URL={emulator.url}")
        print(f"export DIGITALOCEAN_TOKEN={emulator.token}", flush=True)
        note("Ctrl-C ends it", quiet=options.quiet)
        while True:
            sleep(_A_WHILE)


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
