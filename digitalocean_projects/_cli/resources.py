"""Resources: the subcommands that list, assign and reconcile them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from digitalocean_projects._arguments import DEFAULT_PROJECT, is_project_id
from digitalocean_projects._assignment.results import Reconciliation
from digitalocean_projects._codec.models import ResourceStatus
from digitalocean_projects._codec.urn import distinct_urns
from digitalocean_projects._config import DEFAULT_CHUNK_SIZE
from digitalocean_projects._errors import AssignmentError
from digitalocean_projects._messages import one_line

from .arguments import add_command, add_project
from .input import STDIN, urns_in, urns_of
from .output import RESOURCE_COLUMNS, Output, print_document
from .progress import Progress, progress_shown
from .terminal import Style, complain, counted, is_written, note, styled

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable

    from digitalocean_projects._assignment.results import AssignmentResult
    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._facade.sync import Client, Paginator

    from .arguments import Commands

FAILED = 1
_NAME_PREFIX = "name:"

_SOME_MAY_BE_ASSIGNED = "some resources may have been moved; it is safe to run the command again"
_LATER = """\
The API completes a move seconds to minutes after it has answered. Until then,
the old project may still list the resource. It is safe to repeat a move."""


def add_commands(commands: Commands) -> None:
    """Add the subcommands on resources."""
    parser = _add_list(
        commands,
        "list",
        "list web-shop --format URN,Status",
        "list web-shop --format URN --no-header > urns.txt",
        "list -o jsonl | jq -r .urn",
    )
    add_project(parser, default=DEFAULT_PROJECT)

    command = add_command(
        commands,
        "assign",
        assign,
        "move resources to a project",
        "assign web-shop do:droplet:1 do:domain:example.com",
        "assign web-shop - < urns.txt",
        "list --format URN --no-header | grep droplet |\n    {} assign web-shop -",
        details=_LATER,
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
        "unassign --demo do:droplet:310984024",
        details=_LATER,
        columns=RESOURCE_COLUMNS,
    )
    _add_urns(command)

    command = add_command(
        commands,
        "reconcile",
        reconcile,
        "make a project match a list of URNs",
        "reconcile web-shop urns.txt --dry-run",
        "reconcile web-shop urns.txt --prune",
        details="It assigns the listed resources that the project lacks. It prints '+' before a\n"
        "URN that it added, '-' before one that it removed, '!' before one that failed.\n"
        "The members of its JSON object are added, removed, kept, failed, unknown (not\n"
        "in the response), untouched (not sent, or only in a refused request), and\n"
        "refused (the API's errors for failed resources).",
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


def add_doctl_commands(commands: Commands) -> None:
    """Add the subcommands on resources that doctl has, with its arguments."""
    add_project(_add_list(commands, "projects resources list web-shop --format URN,Status"))
    command = add_command(
        commands,
        "assign",
        assign,
        "move resources to a project",
        "projects resources assign web-shop \\\n      --resource=do:droplet:310984024",
        details=_LATER,
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
        help="URNs, separated by commas; the option can be repeated",
    )


def _add_list(commands: Commands, *examples: str) -> ArgumentParser:
    return add_command(
        commands,
        "list",
        list_resources,
        "list the resources of a project",
        *examples,
        details="The JSON objects have the members that the API sends.",
        columns=RESOURCE_COLUMNS,
        aliases=["ls"],
    )


def _add_urns(parser: ArgumentParser) -> None:
    text = "resource, such as do:droplet:1; '-' reads URNs from standard input, one per line"
    parser.add_argument("resources", nargs="+", metavar="URN", help=text)


def list_resources(client: Client, options: Namespace) -> int:
    """List the resources of a project."""
    output = _output(options)
    paginator = client.projects.list_resources(project_id(client, options.project))
    if output.is_streamed:
        _stream(client, output, paginator, options)
    else:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            resources = paginator.collect()
        output.write(resources)
    note_change(paginator)
    return 0


def assign(client: Client, options: Namespace) -> int:
    """Move resources to a project."""
    output = _output(options)
    urns = urns_of(options.resources, quiet=options.quiet)
    project = project_id(client, options.project)
    return _move(client, output, urns, partial(client.projects.assign_resources, project), options)


def unassign(client: Client, options: Namespace) -> int:
    """Move resources to the default project."""
    urns = urns_of(options.resources, quiet=options.quiet)
    return _move(client, _output(options), urns, client.projects.unassign_resources, options)


def reconcile(client: Client, options: Namespace) -> int:
    """Assign the listed resources that a project lacks; with `--prune`, move the rest away."""
    desired = distinct_urns(urns_in(options.file, quiet=options.quiet))
    if not desired and not options.prune:
        note("the list of URNs is empty; nothing is assigned", quiet=options.quiet)
    project = project_id(client, options.project)
    failure = None
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
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
        else partial(print_document, done.to_dict())
    )
    _note_doubts(done)
    note(_counts(done, " to be" if options.dry_run else ""), quiet=options.quiet)
    if failure:
        complain(failure)
    return FAILED if not written or failure or _is_short(done) else 0


def project_id(client: Client, text: str) -> str:
    """Return `text` if it is a project's UUID or `default`, else the id of the project so named.

    Text after `name:` is always a name.
    """
    if text.startswith(_NAME_PREFIX):
        return client.projects.find(text.removeprefix(_NAME_PREFIX)).id
    return text if is_project_id(text) else client.projects.find(text).id


def requests_of(client: Client) -> Callable[[], Progress]:
    """Return a function that counts the requests that the client has sent."""
    return lambda: Progress("request", client.statistics().requests)


def note_change(paginator: Paginator[Any]) -> None:
    """Warn the user if a listing may be incomplete or out of date."""
    if not paginator.settled:
        note("the listing changed while it was read; items may be missing or out of date")


def _output(options: Namespace) -> Output[Resource]:
    return Output(options, RESOURCE_COLUMNS)


def _stream(
    client: Client, output: Output[Resource], paginator: Paginator[Resource], options: Namespace
) -> None:
    progress = Progress("resource")
    pages = 0
    with progress_shown(client, lambda: progress, quiet=options.quiet, streamed=True):
        for page in paginator.pages():
            progress.done += len(page.items)
            progress.total = page.total
            output.write(page.items)
            pages = page.number
    if output.is_text:
        note(
            f"{counted(progress.done, 'resource')} on {counted(pages, 'page')}",
            quiet=options.quiet,
        )


def _move(
    client: Client,
    output: Output[Resource],
    urns: list[URN],
    assigning: Callable[[list[URN]], AssignmentResult],
    options: Namespace,
) -> int:
    if not urns:
        note("the list of URNs is empty; nothing was moved", quiet=options.quiet)
    before = _first_attempts(client)

    def look() -> Progress:
        # The latest request has no response yet.
        chunks = max(_first_attempts(client) - before - 1, 0)
        return Progress("resource", min(chunks * DEFAULT_CHUNK_SIZE, len(urns)), len(urns))

    outcome: AssignmentResult | AssignmentError
    failure = None
    try:
        with progress_shown(client, look, quiet=options.quiet):
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
    """Write the reasons of refusals, and the resources whose outcome is unknown or unchanged."""
    for refusal in outcome.refused:
        complain(f"{one_line(str(refusal.urn))}: {refusal}")
    for urn in outcome.unknown:
        note(f"outcome unknown: {urn}")
    for urn in outcome.untouched:
        note(f"not moved: {urn}")


def _is_short(outcome: AssignmentResult | AssignmentError | Reconciliation) -> bool:
    """Return true if a resource is not, or may not be, in its project."""
    return bool(outcome.failed or outcome.unknown or outcome.untouched)


def _so_far(error: AssignmentError, desired: Iterable[URN]) -> Reconciliation:
    """Return the changes that were made before an error."""
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


def _counts(done: Reconciliation, to_be: str) -> str:
    added, removed, kept = len(done.added), len(done.removed), len(done.kept)
    counts = f"{added:,}{to_be} added, {removed:,}{to_be} removed, {kept:,} kept"
    left = len(done.failed) + len(done.unknown) + len(done.untouched)
    return f"{counts}, {left:,} not moved" if left else counts
