"""Lookup: the subcommand that shows a resource, as the API's endpoint for its type sends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from .arguments.resources import ENDPOINTS
from .progress import progress_shown, requests_of
from .urns import distinct_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._facade.sync import Client


def show_resource(client: Client, options: Namespace) -> int:
    """Show a resource."""
    urns = distinct_arguments(options.resources, quiet=options.quiet)
    if len(urns) != 1:
        raise ValueError(f"standard input must have exactly one URN, got {len(urns)}")
    (urn,) = urns
    if urn.type not in ENDPOINTS:
        raise ValueError(
            f"argument URN: the type must be one of {', '.join(ENDPOINTS)}, got {urn.type!r}"
        )
    path, member = ENDPOINTS[urn.type]
    with progress_shown(client, requests_of(client), quiet=options.quiet):
        response = client.request("GET", f"/v2/{path}/{quote(urn.id, safe='')}")
    document = response.json()
    shown = document.get(member, document) if isinstance(document, dict) else document
    # doctl prints a list of one object with `-o json`, too. JSON in ASCII suits each terminal.
    print(
        json.dumps(
            [shown] if options.output == "json" else shown,
            indent=2 if options.output == "text" else None,
        )
    )
    return 0
