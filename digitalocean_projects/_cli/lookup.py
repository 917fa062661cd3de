"""Lookup: the subcommand that shows a resource, as the API's endpoint for its type sends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from .arguments import add_command
from .progress import progress_shown, requests_of
from .urns import distinct_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._facade.sync import Client

    from .arguments import Commands

# The types that doctl knows, with their paths, and the members of the responses.
_ENDPOINTS = {
    "app": ("apps", "app"),
    "domain": ("domains", "domain"),
    "droplet": ("droplets", "droplet"),
    "floatingip": ("reserved_ips", "reserved_ip"),
    "floatingipv6": ("reserved_ipv6", "reserved_ipv6"),
    "kubernetes": ("kubernetes/clusters", "kubernetes_cluster"),
    "loadbalancer": ("load_balancers", "load_balancer"),
    "reservedip": ("reserved_ips", "reserved_ip"),
    "volume": ("volumes", "volume"),
}


def add_get(commands: Commands) -> None:
    """Add the subcommand `get`, which doctl has."""
    command = add_command(
        commands,
        "get",
        show_resource,
        "show a resource",
        "projects resources get do:droplet:310984024",
        "projects resources get do:domain:example.com -o json",
        details="The Projects API cannot show a single resource, so it asks the endpoint of the\n"
        "resource's type, for which the token needs the scope. It prints the object that\n"
        "the API sends; unlike doctl, it has no table for each type. Its types are\n"
        f"{', '.join(sorted(_ENDPOINTS)[:6])},\n{', '.join(sorted(_ENDPOINTS)[6:])}.",
        aliases=["g"],
    )
    command.add_argument("resources", nargs=1, metavar="URN", help="resource, such as do:droplet:1")


def show_resource(client: Client, options: Namespace) -> int:
    """Show a resource."""
    urns = distinct_arguments(options.resources, quiet=options.quiet)
    if len(urns) != 1:
        raise ValueError(f"standard input must have exactly one URN, got {len(urns)}")
    (urn,) = urns
    if urn.type not in _ENDPOINTS:
        raise ValueError(
            f"argument URN: the type must be one of {', '.join(_ENDPOINTS)}, got {urn.type!r}"
        )
    path, member = _ENDPOINTS[urn.type]
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
