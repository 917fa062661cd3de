"""Assigning: the subcommands that move resources to a project."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import DEFAULT_CHUNK_SIZE, DEFAULT_PROJECT
from digitalocean_projects._errors import AssignmentError
from digitalocean_projects._messages import one_line

from .output import RESOURCE_COLUMNS, Output
from .progress import Progress, first_attempts, progress_shown, requests_of
from .project import chosen_project
from .terminal import FAILED, Style, complain, is_written, note, styled
from .urns import distinct_arguments

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable
    from typing import TypeAlias

    from digitalocean_projects._assignment.results import (
        AppliedPlan,
        AssignmentResult,
        Reconciliation,
    )
    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._facade.sync import Client

    Outcome: TypeAlias = AppliedPlan | AssignmentResult | AssignmentError | Reconciliation

SOME_MAY_BE_MOVED = "some resources may have been moved; it is safe to run the command again"


def assign(client: Client, options: Namespace) -> int:
    """Move resources to a project."""
    urns = distinct_arguments(options.resources, quiet=options.quiet)
    return _move(
        client, urns, chosen_project(client, options.project, quiet=options.quiet), options
    )


def unassign(client: Client, options: Namespace) -> int:
    """Move resources to the default project."""
    urns = distinct_arguments(options.resources, quiet=options.quiet)
    return _move(client, urns, DEFAULT_PROJECT, options)


def _move(client: Client, urns: list[URN], project: str, options: Namespace) -> int:
    if not urns:
        note("the list of URNs is empty; nothing was moved", quiet=options.quiet)
    before = first_attempts(client)

    def look() -> Progress:
        bucket = client.statistics().bucket
        in_flight = 0 if bucket is None else bucket.in_flight
        chunks = max(first_attempts(client) - before - in_flight, 0)
        return Progress("resource", min(chunks * DEFAULT_CHUNK_SIZE, len(urns)), len(urns))

    outcome: AssignmentResult | AssignmentError
    failure = None
    try:
        with progress_shown(client, look, quiet=options.quiet):
            outcome = result = client.projects.assign_resources(project, urns)
        resources = result.resources
    except AssignmentError as error:
        outcome, resources = error, error.done + error.failed
        failure = error.error
    except KeyboardInterrupt:
        if first_attempts(client) > before:
            note(SOME_MAY_BE_MOVED)
        raise
    written = is_written(partial(Output(options, RESOURCE_COLUMNS).write, resources))
    note_doubts(outcome)
    if failure:
        complain(failure)
    if not written or failure or is_short(outcome):
        return FAILED
    if options.wait is not None and urns:
        with progress_shown(client, requests_of(client, "the move"), quiet=options.quiet):
            client.projects.wait_until_assigned(project, urns, timeout=options.wait)
    return 0


def note_doubts(outcome: Outcome) -> None:
    """Write the reasons of refusals, and the resources whose outcome is unknown or unchanged."""
    for refusal in outcome.refused:
        complain(f"{one_line(str(refusal.urn))}: {refusal}")
    for urn in outcome.unknown:
        note(f"outcome unknown: {urn}")
    for urn in outcome.untouched:
        note(f"not moved: {urn}")


def print_failed(failed: Iterable[Resource]) -> None:
    """Print the resources that were not moved, each with its status, as the end of the changes."""
    for resource in failed:
        text = f"! {one_line(str(resource.urn))}  {one_line(resource.status or '')}"
        print(styled(text, Style.RED))
    print(end="", flush=True)


def is_short(outcome: Outcome) -> bool:
    """Return true if a resource is not, or may not be, in its project."""
    return bool(outcome.failed or outcome.unknown or outcome.untouched)
