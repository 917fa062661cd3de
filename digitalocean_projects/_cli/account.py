"""Account: the token of the account that the options choose, and the work on several accounts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import CONTEXT_VARIABLE
from digitalocean_projects._errors import APIError, ClientUsageError
from digitalocean_projects._messages import TOKEN_VARIABLES, one_line
from digitalocean_projects.contrib import doctl

from .terminal import FAILED, complain, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from digitalocean_projects._facade.sync import Client

# With --all-contexts, views of the client have the tokens. No request is sent with this one.
_NO_TOKEN = "none"  # noqa: S105 - it is not a token


def chosen_token(options: Namespace) -> str | None:
    """Return the token of a doctl context, or None for the token in the environment.

    As with doctl, the variable DIGITALOCEAN_CONTEXT comes before the token in the environment,
    unless it names the context `default`.

    Raises:
        ClientUsageError: There is no token.
        OSError: doctl's configuration file can't be read.
    """
    if options.all_contexts:
        return _NO_TOKEN
    if options.context is not None or options.current_context:
        return doctl.token(options.context)
    named = os.environ.get(CONTEXT_VARIABLE, "")
    variables = [name for name in TOKEN_VARIABLES if os.environ.get(name)]
    if named and not (variables and named.lower() == doctl.DEFAULT_CONTEXT):
        if variables:
            note(
                f"{CONTEXT_VARIABLE} selects the context {one_line(named)}; "
                f"{variables[0]} is not used",
                quiet=options.quiet,
            )
        return doctl.token(named)
    if not variables:
        raise ClientUsageError(
            f"no API token; set {TOKEN_VARIABLES[0]}, pass --context, or try --demo"
        )
    return None


def for_each_account(
    client: Client, options: Namespace, function: Callable[[Client, str], int]
) -> int:
    """Call a function with the client of each account, and return the largest of its results.

    Without `--all-contexts`, that is `client`, with "" as its name. Otherwise an error of an
    account is printed with the name of its context, and the other accounts follow.
    """
    if not options.all_contexts:
        return function(client, "")
    status = 0
    for context in doctl.contexts():
        try:
            view = client.with_options(token=doctl.token(context))
            status = max(status, function(view, context))
        except (APIError, ClientUsageError, ValueError) as error:
            complain(f"{one_line(context)}: {error}")
            status = FAILED
    return status
