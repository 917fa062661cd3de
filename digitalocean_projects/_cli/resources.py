"""Resources: the subcommands that list, assign and reconcile them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitalocean_projects._arguments import DEFAULT_PROJECT, is_project_id
from digitalocean_projects._assignment.results import Reconciliation
from digitalocean_projects._codec.models import ResourceStatus
from digitalocean_projects._codec.urn import distinct_urns
from digitalocean_projects._config import DEFAULT_CHUNK_SIZE
from digitalocean_projects._errors import AssignmentError
from digitalocean_projects._messages import one_line

from .arguments import add_command, add_project
from .output import RESOURCE_COLUMNS, Output, print_document
from .progress import Progress, told
from .terminal import Style, complain, is_written, note, styled

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable, Iterator

    from digitalocean_projects._assignment.results import AssignmentResult
    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._facade.sync import Client, Paginator

    from .arguments import Commands

FAILED = 1
_NAME_PREFIX = "name:"

_SOME_MAY_BE_ASSIGNED = "some may have been assigned: to assign them again does no harm"


def add_commands(commands: Commands) -> None:
    """Add the subcommands on resources."""
    add_project(_add_list(commands), nargs="?", default=DEFAULT_PROJECT)

    command = add_command(
        commands,
        "assign",
        assign,
        "move resources to a project",
        "assign web-shop do:droplet:1 do:domain:example.com",
        "assign web-shop - < urns.txt",
        "list --format URN --no-header | grep droplet |\n    {} assign web-shop -",
        columns=RESOURCE_COLUMNS,
    )
    add_project(command)
    _add_urns(command)

    command = add_command(
        commands,
        "unassign",
        unassign,
        "move resources to the default project",
        "unassign do:droplet:310984024",
        columns=RESOURCE_COLUMNS,
    )
    _add_urns(command)

    command = add_command(
        commands,
        "reconcile",
        reconcile,
        "assign what is missing, only that",
        "reconcile web-shop urns.txt --dry-run",
        "reconcile web-shop urns.txt --prune",
    )
    add_project(command)
    command.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="lines of the wanted URNs (default: standard input)",
    )
    command.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    command.add_argument("--prune", action="store_true", help="unassign what isn't in the file")


def add_doctl_commands(commands: Commands) -> None:
    """Add the subcommands on resources that doctl has, with its arguments."""
    add_project(_add_list(commands))
    command = add_command(
        commands,
        "assign",
        assign,
        "move resources to a project",
        "projects resources assign web-shop \\\n      --resource=do:droplet:310984024",
        columns=RESOURCE_COLUMNS,
        aliases=["a"],
    )
    add_project(command)
    command.add_argument(
        "--resource",
        action="extend",
        type=lambda text: text.split(","),
        required=True,
        dest="resources",
        metavar="URN[,URN]",
        help="may be repeated",
    )


def _add_list(commands: Commands) -> ArgumentParser:
    return add_command(
        commands,
        "list",
        list_resources,
        "list a project's resources",
        "list",
        "list web-shop --format URN,Status",
        "list web-shop --format URN --no-header > urns.txt",
        "list -o jsonl | jq -r .urn",
        columns=RESOURCE_COLUMNS,
        aliases=["ls"],
    )


def _add_urns(parser: ArgumentParser) -> None:
    text = "like do:droplet:1, or '-' for lines of standard input"
    parser.add_argument("resources", nargs="+", metavar="URN", help=text)


def list_resources(client: Client, options: Namespace) -> int:
    """List a project's resources."""
    output = _output(options)
    paginator = client.projects.list_resources(project_id(client, options.project))
    if output.is_streamed:
        _stream(client, output, paginator, options)
    else:
        with told(client, requests_of(client), quiet=options.quiet):
            resources = paginator.collect()
        output.write(resources)
    note_change(paginator)
    return 0


def assign(client: Client, options: Namespace) -> int:
    """Move resources to a project."""
    output = _output(options)
    urns = distinct_urns(_urns(options.resources))
    project = project_id(client, options.project)
    return _tell(client, output, urns, partial(client.projects.assign_resources, project), options)


def unassign(client: Client, options: Namespace) -> int:
    """Move resources to the default project."""
    urns = distinct_urns(_urns(options.resources))
    return _tell(client, _output(options), urns, client.projects.unassign_resources, options)


def reconcile(client: Client, options: Namespace) -> int:
    """Bring a project to a wanted state."""
    desired = distinct_urns(_lines(options.file))
    if options.prune and not desired:
        raise ValueError("there is no URN to keep, so all would be pruned: unassign them instead")
    project = project_id(client, options.project)
    failure = None
    try:
        with told(client, requests_of(client), quiet=options.quiet):
            done = client.projects.reconcile(
                project, desired, dry_run=options.dry_run, prune=options.prune
            )
    except AssignmentError as error:
        done, failure = _so_far(error, desired), error.error
    except KeyboardInterrupt:
        if _first_attempts(client) and not options.dry_run:
            note(_SOME_MAY_BE_ASSIGNED)
        raise
    written = is_written(
        partial(_print_changes, done)
        if options.output == "text"
        else partial(print_document, _as_members(done))
    )
    _note_doubts(done)
    added, removed = len(done.added), len(done.removed)
    to_be = " to be" if options.dry_run else ""
    counts = f"{added}{to_be} added, {removed}{to_be} removed, {len(done.kept)} kept"
    note(counts, quiet=options.quiet)
    if failure:
        complain(failure)
    return FAILED if not written or failure or _is_short(done) else 0


def project_id(client: Client, text: str) -> str:
    """Return the id of the project that `text` names by its id, `default` or its name.

    Text after `name:` is always a name.
    """
    if text.startswith(_NAME_PREFIX):
        return client.projects.find(text.removeprefix(_NAME_PREFIX)).id
    return text if is_project_id(text) else client.projects.find(text).id


def requests_of(client: Client) -> Callable[[], Progress]:
    """Return a function that counts the requests that the client has sent."""
    return lambda: Progress("requests", client.statistics().requests)


def note_change(paginator: Paginator[Any]) -> None:
    """Tell the user that a listing may be incomplete or out of date."""
    if not paginator.settled:
        note("the listing changed while it was read: items may be missing, or have left")


def _output(options: Namespace) -> Output[Resource]:
    return Output(options, RESOURCE_COLUMNS)


def _stream(
    client: Client, output: Output[Resource], paginator: Paginator[Resource], options: Namespace
) -> None:
    progress = Progress("resources")
    pages = 0
    with told(client, lambda: progress, quiet=options.quiet, streamed=True):
        for page in paginator.pages():
            progress.done += len(page.items)
            progress.total = page.total
            output.write(page.items)
            pages = page.number
    if output.is_text:
        note(f"{progress.done} resources on {pages} pages", quiet=options.quiet)


def _lines(name: str) -> Iterator[str]:
    """Yield the lines of a file, or of standard input, except empty ones and comments."""
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        source = "standard input" if name == "-" else repr(name)
        raise OSError(f"{source} is not in UTF-8") from None
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            yield line


def _urns(arguments: Iterable[str]) -> Iterator[str]:
    for argument in arguments:
        yield from _lines(argument) if argument == "-" else [argument]


def _tell(
    client: Client,
    output: Output[Resource],
    urns: list[URN],
    assigning: Callable[[list[URN]], AssignmentResult],
    options: Namespace,
) -> int:
    if not urns:
        note("there is nothing to assign", quiet=options.quiet)
    before = _first_attempts(client)

    def look() -> Progress:
        # What is under way isn't done.
        chunks = max(_first_attempts(client) - before - 1, 0)
        return Progress("resources", min(chunks * DEFAULT_CHUNK_SIZE, len(urns)), len(urns))

    outcome: AssignmentResult | AssignmentError
    failure = None
    try:
        with told(client, look, quiet=options.quiet):
            outcome = result = assigning(urns)
        resources = result.resources
    except AssignmentError as error:
        outcome, resources = error, error.done + error.failed
        failure = error.error
    except KeyboardInterrupt:
        if _first_attempts(client) > before:
            note(_SOME_MAY_BE_ASSIGNED)
        raise
    written = is_written(partial(output.write, resources))
    _note_doubts(outcome)
    if failure:
        complain(failure)
    return FAILED if not written or failure or _is_short(outcome) else 0


def _first_attempts(client: Client) -> int:
    """Return the number of requests that the client has sent, without retries."""
    statistics = client.statistics()
    return statistics.requests - statistics.retries


def _note_doubts(outcome: AssignmentResult | AssignmentError | Reconciliation) -> None:
    """Write why resources were refused, and which ones have no known outcome."""
    for refusal in outcome.refused:
        complain(f"{one_line(str(refusal.urn))}: {refusal}")
    for urn in outcome.unknown:
        note(f"it is unknown what became of {urn}")
    for urn in outcome.untouched:
        note(f"nothing was done with {urn}")


def _is_short(outcome: AssignmentResult | AssignmentError | Reconciliation) -> bool:
    """Return true unless every resource is where it should be."""
    return bool(outcome.failed or outcome.unknown or outcome.untouched)


def _so_far(error: AssignmentError, desired: Iterable[URN]) -> Reconciliation:
    """Return what was done before an error."""
    wanted = dict.fromkeys(urn.canonical for urn in desired)
    there = {r.urn for r in error.done if r.status == ResourceStatus.ALREADY_ASSIGNED}
    done = [resource.urn for resource in error.done if resource.urn not in there]
    others = {resource.urn.canonical for resource in error.failed}
    others |= {urn.canonical for urn in (*done, *error.unknown, *error.untouched)}
    return Reconciliation(
        added=tuple(urn for urn in done if urn.canonical in wanted),
        removed=tuple(urn for urn in done if urn.canonical not in wanted),
        kept=tuple(urn for urn in wanted if urn not in others),
        failed=error.failed,
        unknown=error.unknown,
        untouched=error.untouched,
        refused=error.refused,
    )


def _print_changes(done: Reconciliation) -> None:
    for urn in done.added:
        print(styled(f"+ {one_line(str(urn))}", Style.GREEN))
    for urn in done.removed:
        print(styled(f"- {one_line(str(urn))}", Style.GREEN))
    for resource in done.failed:
        text = f"! {one_line(str(resource.urn))}  {one_line(resource.status or '')}"
        print(styled(text, Style.RED))
    print(end="", flush=True)


def _as_members(done: Reconciliation) -> dict[str, object]:
    urns = {
        "added": done.added,
        "removed": done.removed,
        "kept": done.kept,
        "failed": [resource.urn for resource in done.failed],
        "unknown": done.unknown,
        "untouched": done.untouched,
    }
    return {name: list(map(str, some)) for name, some in urns.items()}
