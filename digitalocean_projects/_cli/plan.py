"""Plan: the subcommands that show and make the moves to a wanted state of several projects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from digitalocean_projects._assignment.results import AppliedPlan, AssignmentResult
from digitalocean_projects._codec.models import Project
from digitalocean_projects._defaults import DEFAULT_CHUNK_SIZE, DEFAULT_CHUNKS
from digitalocean_projects._errors import APIError, AssignmentError, ProjectLookupError
from digitalocean_projects._messages import one_line

from .account_file import read_account_file
from .arguments.tables import MOVES
from .assigning import is_short, note_doubts, print_failed
from .output import Column, Columns, Output, print_document
from .progress import Progress, progress_shown, requests_of
from .terminal import FAILED, Style, complain, counted, is_written, note, styled

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Sequence

    from digitalocean_projects._arguments import ProjectLike
    from digitalocean_projects._assignment.plan import Plan
    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._facade.sync import Client

    from .account_file import AccountProject


def _cell(member: str) -> Callable[[dict[str, Any]], str | None]:
    """Return a function that returns a member of a move, and "" for a project to create."""

    def text(change: dict[str, Any]) -> str | None:
        value: str | None = change.get(member, "")
        return value

    return text


# A project to create, or a move, as the members of its JSON object.
_COLUMNS = Columns[dict[str, Any]](
    MOVES,
    (
        Column("Action", lambda change: "move" if "urn" in change else "create"),
        Column("URN", _cell("urn")),
        Column("From", _cell("source")),
        Column("To", lambda change: change.get("target", change.get("name"))),
        Column("From ID", _cell("source_id")),
        Column("To ID", _cell("target_id")),
    ),
)


def show_plan(client: Client, options: Namespace) -> int:
    """Show the moves to a wanted state."""
    output = Output(options, _COLUMNS)
    plan = _plan(client, options)
    if plan is None:
        return FAILED
    if options.output == "json":
        print_document(plan.to_dict())
    else:
        new = [{"kind": "project", **project.to_dict()} for project in plan.new_projects]
        output.write([*new, *(move.to_dict() for move in plan.moves)])
    _note_plan(plan, quiet=options.quiet)
    return 0


def apply(client: Client, options: Namespace) -> int:
    """Make the moves to a wanted state."""
    plan = _plan(client, options)
    if plan is None:
        return FAILED
    outcomes: list[AssignmentResult] = []
    total = len(plan.moves)

    def look() -> Progress:
        return Progress("resource", sum(map(_number, outcomes)), total)

    failure = None
    try:
        with progress_shown(client, look, quiet=options.quiet):
            done = client.projects.apply(plan, on_chunk=outcomes.append)
    except AssignmentError as error:
        done, failure = _so_far(plan, error), error.error
    except APIError as error:
        for text in getattr(error, "__notes__", ()):  # the projects that were created
            note(text)
        raise
    except KeyboardInterrupt:
        _note_interrupt(plan, outcomes, options)
        raise
    written = is_written(
        partial(_print_changes, plan, done)
        if options.output == "text"
        else partial(print_document, done.to_dict())
    )
    note_doubts(done)
    sources = {move.urn: move.source or "" for move in plan.moves}
    for urn in done.left:
        note(f"not moved, since {one_line(sources[urn])} no longer lists it: {urn}")
    note(_counts(done), quiet=options.quiet)
    if failure:
        complain(failure)
    return FAILED if not written or failure or done.left or is_short(done) else 0


def _plan(client: Client, options: Namespace) -> Plan | None:
    """Return the plan for the wanted state in a file; None if a project doesn't exist."""
    projects = read_account_file(options.file, quiet=options.quiet)
    wanted = _wanted(projects)
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            _check_names(client, projects)
            return client.projects.plan(wanted, create=options.create)
    except ProjectLookupError as error:
        complain(str(error).replace("create=True", "--create"))
        return None


def _check_names(client: Client, projects: Iterable[AccountProject]) -> None:
    """Check that the projects of a file that have a name and an id have both in the account.

    An export in which only the name was edited would otherwise change nothing.

    Raises:
        ValueError: The account has another name for an id; the message names the place.
    """
    known = {project.id: project for project in projects if project.id and project.name}
    if not known:
        return
    for project in client.projects.list():
        ours = known.get(project.id.lower())
        if ours is not None and ours.name != project.name:
            raise ValueError(
                f"{ours.place}: project {ours.name!r} has the id of {project.name!r}; "
                "delete project_id to move its resources, or correct the name"
            )


def _wanted(projects: Iterable[AccountProject]) -> dict[ProjectLike, tuple[URN, ...]]:
    wanted: dict[ProjectLike, tuple[URN, ...]] = {}
    for project in projects:
        key: ProjectLike
        if project.name is None:
            key = project.id or ""
        elif project.id is None:
            key = f"name:{project.name}"
        else:
            texts: dict[str, Any] = project.attributes
            key = Project(id=project.id, name=project.name, **texts)
        wanted[key] = project.urns
    return wanted


def _note_plan(plan: Plan, *, quiet: bool) -> None:
    if unlisted := [move for move in plan.moves if move.source is None]:
        verb = "is" if len(unlisted) == 1 else "are"
        note(f"{len(unlisted):,} of the resources {verb} in no project", quiet=quiet)
    counts = f"{counted(len(plan.moves), 'move')}, {len(plan.kept):,} kept"
    if plan.new_projects:
        counts = f"{counted(len(plan.new_projects), 'new project')}, {counts}"
    note(counts if plan.changed else f"nothing to do, {len(plan.kept):,} kept", quiet=quiet)


def _number(outcome: AssignmentResult) -> int:
    return len(outcome.resources) + len(outcome.unknown) + len(outcome.untouched)


def _so_far(plan: Plan, error: AssignmentError) -> AppliedPlan:
    """Return the outcome of a plan after an error."""
    result = AssignmentResult.of_error(error)
    return AppliedPlan.of([result], created=error.created, kept=plan.kept, left=())


def _note_interrupt(plan: Plan, outcomes: Sequence[AssignmentResult], options: Namespace) -> None:
    """Write what was done before an interrupt."""
    done = AppliedPlan.of(outcomes, created=(), kept=plan.kept, left=())
    known = {*done.moved, *done.kept, *done.unknown, *done.untouched}
    known |= {resource.urn for resource in done.failed}
    rest = [urn for urn in (move.urn.canonical for move in plan.moves) if urn not in known]
    if options.output == "text":
        is_written(partial(_print_changes, plan, done))
    else:
        unknown = [str(urn) for urn in (*done.unknown, *rest)]
        members = {**done.to_dict(), "unknown": unknown}
        if plan.new_projects:
            members["created"] = None
        is_written(partial(print_document, members))
    note_doubts(done)
    if plan.new_projects:
        note("all projects were created" if outcomes else "some projects may have been created")
    most = min(len(rest), DEFAULT_CHUNK_SIZE * DEFAULT_CHUNKS)
    note(
        f"{len(done.moved):,} of {counted(len(plan.moves), 'resource')} moved, up to "
        f"{most} more may have been; run the command again to go on"
    )


def _print_changes(plan: Plan, done: AppliedPlan) -> None:
    targets = {move.urn.canonical: one_line(move.target) for move in plan.moves}
    for project in done.created:
        print(styled(f"+ project {one_line(project.name)}", Style.GREEN))
    for urn in done.moved:
        print(styled(f"+ {one_line(str(urn))}  {targets[urn.canonical]}", Style.GREEN))
    print_failed(done.failed)


def _counts(done: AppliedPlan) -> str:
    counts = f"{len(done.moved):,} moved, {len(done.kept):,} kept"
    left = len(done.left) + len(done.failed) + len(done.unknown) + len(done.untouched)
    if done.created:
        counts = f"{counted(len(done.created), 'project')} created, {counts}"
    return f"{counts}, {left:,} not moved" if left else counts
