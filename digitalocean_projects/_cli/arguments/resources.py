"""Resources: the arguments of the subcommands that list, compare and move resources."""

from __future__ import annotations

from argparse import ArgumentTypeError

from digitalocean_projects._cli.terminal import STDIN, USAGE
from digitalocean_projects._defaults import DEFAULT_PROJECT

from .options import (
    add_command,
    add_project,
    add_project_option,
    add_projects,
    add_strict,
    add_wait,
)
from .tables import (
    CHANGES,
    MOVES,
    RESOURCES,
    ROWS_OF_ACCOUNT,
    ROWS_OF_ONE_PROJECT,
)

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from .parser import Commands, Parser

# The types that doctl knows, with their paths, and the members of the responses.
ENDPOINTS = {
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


def add_inventory(commands: Commands) -> None:
    """Add the subcommand `inventory`."""
    parser = add_command(
        commands,
        "inventory",
        "inventory.inventory",
        "inventory --type droplet --type volume",
        "inventory --with-projects -o jsonl > account.jsonl",
        "emulator --seed account.jsonl",
        "inventory -o csv > account.csv",
        "inventory --all-contexts -o csv > accounts.csv",
        details="It prints each resource with its project, ordered by the projects' names. If a\n"
        "project cannot be listed, it prints the error, goes on, and ends with exit\n"
        "status 1. With '-o jsonl' and '-o json', the output is an export, which 'diff'\n"
        "and the emulator read. The members of its objects are project, project_id, urn,\n"
        "type, id, assigned_at, status and self_link. Those of a project are the API's,\n"
        'after "kind": "project". With --all-contexts, the context comes first, and the\n'
        "output can be read again only if there is one context.",
        table=ROWS_OF_ACCOUNT,
        all_contexts=True,
    )
    add_strict(parser)
    add_project_option(parser)
    add_type(parser)
    parser.add_argument(
        "--with-projects",
        action="store_true",
        help="print each project, too, before its resources, so that empty ones are included",
    )


def add_type(parser: Parser) -> None:
    """Add the option `--type`."""
    parser.add_argument(
        "--type",
        action="append",
        dest="types",
        metavar="TYPE",
        type=_listed_type,
        help="list resources of this type only, such as droplet; can be repeated",
    )


def _listed_type(text: str) -> str:
    """Return the name of a type in listings."""
    from digitalocean_projects._codec.urn import listed_type  # noqa: PLC0415 - it loads slowly

    try:
        return listed_type(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def add_list(commands: Commands) -> None:
    """Add the subcommand `list`."""
    parser = _add_list(
        commands,
        "list web-shop --format URN,Status",
        "list web-shop --format URN --no-header > urns.txt",
        "list web-shop staging --type droplet",
        "list -o jsonl | jq -r .urn",
        details="The JSON objects have the members that the API sends. If several projects are\n"
        "listed, the members project and project_id come first; if one of them cannot be\n"
        "listed, the command prints the error, goes on, and ends with exit status 1.",
    )
    add_projects(parser, DEFAULT_PROJECT)
    add_type(parser)


def add_doctl_list(commands: Commands) -> None:
    """Add `list` as doctl has it: its PROJECT is required."""
    parser = _add_list(commands, "projects resources list web-shop --format URN,Status")
    add_project(parser)
    parser.set_defaults(projects=(), types=None)


def _add_list(
    commands: Commands,
    *examples: str,
    details: str = "The JSON objects have the members that the API sends.",
) -> Parser:
    parser = add_command(
        commands,
        "list",
        "listing.list_resources",
        *examples,
        details=details,
        table=ROWS_OF_ONE_PROJECT,
    )
    add_strict(parser)
    return parser


def add_diff(commands: Commands) -> None:
    """Add the subcommand `diff`."""
    parser = add_command(
        commands,
        "diff",
        "diff.diff",
        "inventory --with-projects -o jsonl > old.jsonl",
        "diff old.jsonl",
        "diff old.jsonl new.jsonl -o jsonl",
        details="It prints the resources that were moved, added or removed. The exit status is 0\n"
        "if there are none, 1 if there are some, and 2 after an error, such as an account\n"
        "that cannot be read completely. Only the resources and their projects are\n"
        "compared. A project is the same if its id is, whatever its name is; if one side\n"
        "has no id, if its name is. Before a resource is removed, the account is read\n"
        "again. The members of its JSON objects are change, urn, from and to.",
        table=CHANGES,
        is_local=lambda options: options.new is not None,
    )
    parser.set_defaults(failed=USAGE)
    parser.add_argument("old", metavar="OLD", help="export; '-' is standard input")
    parser.add_argument(
        "new", metavar="NEW", nargs="?", help="newer export (default: read the account)"
    )


_LATER = """\
The API completes a move seconds to minutes after it has answered. Until then,
the old project may still list the resource. It is safe to repeat a move."""


def add_assign(commands: Commands) -> None:
    """Add the subcommand `assign`."""
    command = add_command(
        commands,
        "assign",
        "assigning.assign",
        "assign web-shop do:droplet:1 do:domain:example.com",
        "assign web-shop - < urns.txt",
        "list --format URN --no-header | grep droplet |\n    {} assign web-shop -",
        details=_LATER,
        table=RESOURCES,
    )
    add_project(command)
    add_urns(command)
    _add_wait(command)


def add_unassign(commands: Commands) -> None:
    """Add the subcommand `unassign`."""
    command = add_command(
        commands,
        "unassign",
        "assigning.unassign",
        "unassign do:droplet:310984024",
        "unassign --demo do:droplet:310984024",
        details=_LATER,
        table=RESOURCES,
    )
    add_urns(command)
    _add_wait(command)


def add_doctl_assign(commands: Commands) -> None:
    """Add `assign` as doctl has it: its URNs follow an option."""
    command = add_command(
        commands,
        "assign",
        "assigning.assign",
        "projects resources assign web-shop \\\n      --resource=do:droplet:310984024",
        details=_LATER,
        table=RESOURCES,
    )
    add_project(command)
    command.add_argument(
        "--resource",
        action="extend",
        type=lambda text: text.split(","),
        required=True,
        dest="resources",
        metavar="URN[,URN]",
        help="URNs, separated by commas; the option can be repeated",
    )
    _add_wait(command)


def _add_wait(command: Parser) -> None:
    add_wait(
        command,
        "after the moves, wait at most SECONDS until the project lists all the resources, and exit "
        "with status 1 if it still lacks one (default: do not wait)",
    )


def add_reconcile(commands: Commands) -> None:
    """Add the subcommand `reconcile`."""
    command = add_command(
        commands,
        "reconcile",
        "reconcile.reconcile",
        "reconcile web-shop urns.txt --dry-run",
        "reconcile web-shop urns.txt --prune",
        details="It assigns the listed resources that the project lacks. It prints '+' before a\n"
        "URN that it added, '-' before one that it removed, '!' before one that failed.\n"
        "The members of its JSON object are added, removed, kept, failed (with the reason\n"
        "of each), unknown (not in the response), untouched (not sent, or only in a\n"
        "refused request), refused (the API's errors for failed resources), and error\n"
        "(of the request after which it stopped, or null).",
    )
    add_project(command)
    command.add_argument(
        "file",
        nargs="?",
        default=STDIN,
        metavar="FILE",
        help="file with one URN per line; empty lines and lines that begin with '#' are skipped "
        "(default: standard input)",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print the changes without making them"
    )
    command.add_argument(
        "--prune",
        action="store_true",
        help="also move all resources that are not in the list to the default project",
    )


_FILE = """\
FILE has the lines that 'inventory -o jsonl' writes, with another 'project' and
no 'project_id' for the resources to move. Or it maps projects to URNs in JSON
or TOML, such as: web-shop = ["do:droplet:1", "do:domain:example.com"]
A resource that FILE doesn't name stays where it is.
"""


_PLAN = """\
Nothing is changed. A resource that no project lists has no project in 'From'.
The members of the JSON object are new_projects, moves and kept. Its lines are
the projects to create (with a 'kind') and the moves.
"""


_APPLY = """\
It prints '+' before a URN that it moved and the name of its project, and '!'
before one that failed. A project that loses resources is listed again just
before, and what has left it isn't moved. You can stop the command at any time:
run again, it goes on. The members of its JSON object are created, moved, kept,
left, failed, unknown, untouched and refused. If you stop it, the resources
without a response are unknown, and created is null if projects are new.
"""


def add_plan(commands: Commands) -> None:
    """Add the subcommand `plan`."""
    command = add_command(
        commands,
        "plan",
        "plan.show_plan",
        "plan wanted.jsonl",
        "plan wanted.toml --create -o json",
        details=_FILE + _PLAN,
        table=MOVES,
    )
    _add_file(command)


def add_apply(commands: Commands) -> None:
    """Add the subcommand `apply`."""
    command = add_command(
        commands,
        "apply",
        "plan.apply",
        "apply wanted.jsonl",
        "apply wanted.toml --create",
        details=_FILE + _APPLY,
    )
    _add_file(command)


def _add_file(command: Parser) -> None:
    command.add_argument(
        "file",
        nargs="?",
        default=STDIN,
        metavar="FILE",
        help="wanted state (default: standard input)",
    )
    command.add_argument(
        "--create",
        action="store_true",
        help="create the projects in FILE whose name doesn't exist, as it describes them",
    )


def add_report(commands: Commands) -> None:
    """Add the subcommand `report`."""
    add_command(
        commands,
        "report",
        "report.report",
        "report",
        "report --demo",
        "report --all-contexts -o jsonl",
        "report -o json | jq 'map({{name, resources}})'",
        details="It lists the projects and the resources of each, which takes at least one\n"
        "request per project, and draws bars if the terminal is wide enough. If a project\n"
        "cannot be listed, it prints the error, goes on, and ends with exit status 1. The\n"
        "members of its JSON objects are id, name, is_default, resources and types; with\n"
        "--all-contexts, the name of the account's context comes first.",
        all_contexts=True,
    )


def add_urns(parser: Parser) -> None:
    """Add the argument URN, of which there is at least one."""
    text = "resource, such as do:droplet:1; '-' reads URNs from standard input, one per line"
    parser.add_argument("resources", nargs="+", metavar="URN", help=text)


def add_get(commands: Commands) -> None:
    """Add the subcommand `get`, which doctl has."""
    command = add_command(
        commands,
        "get",
        "lookup.show_resource",
        "projects resources get do:droplet:310984024",
        "projects resources get do:domain:example.com -o json",
        details="The Projects API cannot show a single resource, so it asks the endpoint of the\n"
        "resource's type, for which the token needs the scope. It prints the object that\n"
        "the API sends; unlike doctl, it has no table for each type. Its types are\n"
        f"{', '.join(sorted(ENDPOINTS)[:6])},\n{', '.join(sorted(ENDPOINTS)[6:])}.",
    )
    command.add_argument("resources", nargs=1, metavar="URN", help="resource, such as do:droplet:1")


def add_mcp(commands: Commands) -> None:
    """Add the subcommand `mcp`."""
    parser = add_command(
        commands,
        "mcp",
        "mcp.serve",
        "mcp",
        "mcp --demo --write",
        details="A client such as an editor or a chat program starts it, and talks to it over\n"
        "standard input and output. Its tools only read, unless --write is given. It\n"
        "requires the package mcp: pip install 'digitalocean-projects[mcp]'",
        has_output=False,
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="add the tools that assign resources, apply a wanted state and create projects",
    )
