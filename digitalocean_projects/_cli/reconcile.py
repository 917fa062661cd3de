"""Reconcile: the subcommand that makes a project match a list of URNs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from digitalocean_projects._assignment.results import Reconciliation, split_done
from digitalocean_projects._codec.urns import distinct_urns
from digitalocean_projects._errors import AssignmentError
from digitalocean_projects._messages import one_line

from .assigning import SOME_MAY_BE_MOVED, is_short, note_doubts, print_failed
from .output import print_document
from .progress import first_attempts, progress_shown, requests_of
from .project import chosen_project
from .terminal import FAILED, Style, complain, is_written, note, styled
from .urns import urns_in

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._facade.sync import Client


def reconcile(client: Client, options: Namespace) -> int:
    """Assign the listed resources that a project lacks; with `--prune`, move the rest away."""
    desired = list(distinct_urns(urns_in(options.file, quiet=options.quiet)))
    if not desired and not options.prune:
        note("the list of URNs is empty; nothing is assigned", quiet=options.quiet)
    project = chosen_project(client, options.project, quiet=options.quiet)
    failure = None
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            done = client.projects.reconcile(
                project, desired, dry_run=options.dry_run, prune=options.prune
            )
    except AssignmentError as error:
        done, failure = _so_far(error, desired), error.error
    except KeyboardInterrupt:
        if first_attempts(client) and not options.dry_run:
            note(SOME_MAY_BE_MOVED)
        raise
    written = is_written(
        partial(_print_changes, done)
        if options.output == "text"
        else partial(print_document, _members(done, failure))
    )
    note_doubts(done)
    note(_counts(done, " to be" if options.dry_run else ""), quiet=options.quiet)
    if failure:
        complain(failure)
    return FAILED if not written or failure or is_short(done) else 0


def _so_far(error: AssignmentError, desired: Iterable[URN]) -> Reconciliation:
    """Return the changes that were made before an error."""
    wanted = dict.fromkeys(urn.canonical for urn in desired)
    done, _ = split_done(error.done)
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
        request_ids=error.request_ids,
    )


def _members(done: Reconciliation, error: Exception | None) -> dict[str, object]:
    """Return the members of the JSON object, with the reason of each failure."""
    reasons = {refusal.urn: str(refusal) for refusal in done.refused}
    failed = [
        {**resource.to_dict(), "reason": reasons.get(resource.urn, resource.status)}
        for resource in done.failed
    ]
    return {**done.to_dict(), "failed": failed, "error": None if error is None else str(error)}


def _print_changes(done: Reconciliation) -> None:
    for urn in done.added:
        print(styled(f"+ {one_line(str(urn))}", Style.GREEN))
    for urn in done.removed:
        print(styled(f"- {one_line(str(urn))}", Style.GREEN))
    print_failed(done.failed)


def _counts(done: Reconciliation, to_be: str) -> str:
    added, removed, kept = len(done.added), len(done.removed), len(done.kept)
    counts = f"{added:,}{to_be} added, {removed:,}{to_be} removed, {kept:,} kept"
    left = len(done.failed) + len(done.unknown) + len(done.untouched)
    return f"{counts}, {left:,} not moved" if left else counts
