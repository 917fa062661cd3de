"""Report: the subcommand that counts the resources of each type and draws bars."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._errors import APIError, ClientUsageError, InventoryError
from digitalocean_projects._messages import one_line
from digitalocean_projects._paginator.reader import UNSETTLED

from .account import for_each_account
from .inventory import note_hidden, start_of
from .output import print_document, print_documents
from .progress import progress_shown, requests_of
from .terminal import (
    FAILED,
    Style,
    complain,
    counted,
    is_written,
    note,
    styled,
    symbols_of,
    terminal_width,
    width_of,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from digitalocean_projects._codec.models import Project, ProjectResources
    from digitalocean_projects._facade.sync import Client


_HEADINGS = ("Project", "Type", "Resources")
_GAP = "  "
_NARROWEST = 8
_UNICODE = ("▏▎▍▌▋▊▉█", "…")
_ASCII = ("#", "~")


def report(client: Client, options: Namespace) -> int:
    """Count the resources of each type in each project."""
    collected: list[dict[str, object]] = []
    status = for_each_account(client, options, partial(_report, options, collected))
    if options.output == "json" and not is_written(partial(print_documents, collected)):
        return FAILED
    return status


def _report(
    options: Namespace, collected: list[dict[str, object]], client: Client, context: str
) -> int:
    """Count the resources of one account, and return the exit status.

    With `-o json`, the objects are added to `collected`; otherwise, they are written.
    """
    summaries: list[Summary] = []
    failures: list[str] = []
    is_streamed = options.output == "jsonl"
    look, start = requests_of(client), start_of(context)
    try:
        with progress_shown(client, look, quiet=options.quiet, streamed=is_streamed) as watched:
            for page in watched(client.projects.resources_by_project().pages()):
                summaries.append(Summary.of(page, context))
                if not page.settled:
                    note(f"{start}{one_line(page.project.name)}: {UNSETTLED}")
                note_hidden(page, start)
                if is_streamed:
                    print_document(summaries[-1].members())
    except InventoryError as error:
        failures = [f"{one_line(project.name)}: {reason}" for project, reason in error.failures]
    except (APIError, ClientUsageError) as error:
        if not summaries:
            raise
        failures = [str(error)]
    written = True
    if options.output == "json":
        collected += [summary.members() for summary in summaries]
    elif options.output == "text":
        written = is_written(partial(print_report, summaries, context))
        total = sum(summary.total for summary in summaries)
        note(
            f"{counted(total, 'resource')} in {counted(len(summaries), 'project')}",
            quiet=options.quiet,
        )
    for failure in failures:
        complain(f"{one_line(context)}: {failure}" if context else failure)
    return FAILED if failures or not written else 0


@attrs.frozen
class Summary:
    """The counts of the resources of a project.

    Args:
        project: The project.
        types: The number of resources of each type, in descending order.
        context: The doctl context of the account; "" if there is only one account.
    """

    project: Project
    types: dict[str, int]
    context: str = ""

    @classmethod
    def of(cls, page: ProjectResources, context: str = "") -> Summary:
        """Return the summary of a project and its resources."""
        types = Counter(resource.type for resource in page.resources)
        # Equal counts are ordered by type.
        ordered = sorted(types.items(), key=lambda item: (-item[1], item[0]))
        return cls(page.project, dict(ordered), context)

    @property
    def total(self) -> int:
        """The number of all its resources."""
        return sum(self.types.values())

    def shortened(self, most: int) -> Summary:
        """Return the summary with the first `most` types; several other ones become one sum."""
        if len(self.types) <= most + 1:
            return self
        types = dict(list(self.types.items())[:most])
        types[f"{len(self.types) - most} more types"] = self.total - sum(types.values())
        return attrs.evolve(self, types=types)

    def members(self) -> dict[str, object]:
        """Return the members of the JSON object for the summary."""
        project = self.project
        context = {"context": self.context} if self.context else {}
        return context | {
            "id": project.id,
            "name": project.name,
            "is_default": project.is_default,
            "resources": self.total,
            "types": self.types,
        }


def print_report(summaries: Sequence[Summary], context: str = "") -> None:
    """Write the summaries as a table, below the name of the context if there is one.

    The table fits into the terminal if that has room for the types, the counts, and the first
    letters of the names. A narrow terminal gets no bars.
    """
    if context:
        print(styled(f"context {one_line(context)}", Style.BOLD))
    rows = [row for summary in summaries for row in _rows(summary)]
    texts = [_HEADINGS, *((name, kind, f"{count:,}") for name, kind, count in rows)]
    counts = [0, *(count for _, _, count in rows)]
    most = max(counts)
    longest, kinds, digits = (max(map(width_of, column)) for column in zip(*texts, strict=True))
    left = terminal_width() - kinds - digits - 2 * len(_GAP)
    names = min(longest, max(left // 2, _NARROWEST))
    blocks, ellipsis = _glyphs()
    for number, ((name, kind, digit), count) in enumerate(zip(texts, counts, strict=True)):
        bar = _bar(count / most, left - names - len(_GAP), blocks) if count else ""
        cells = (_fitted(name, names, ellipsis), kind.ljust(kinds), digit.rjust(digits), bar)
        line = _GAP.join(cells).rstrip()
        print(line if number else styled(line, Style.BOLD))
    print(end="", flush=True)


def _rows(summary: Summary) -> Iterator[tuple[str, str, int]]:
    name = one_line(summary.project.name)
    for kind, count in (summary.types or {"": 0}).items():
        yield name, kind, count
        name = ""


def _fitted(text: str, width: int, ellipsis: str) -> str:
    """Return `text` cut or padded to `width` cells."""
    if width_of(text) > width:
        symbols = symbols_of(text)
        while width_of("".join(symbols)) >= width:
            symbols.pop()
        text = "".join([*symbols, ellipsis])
    return text + " " * (width - width_of(text))


def _glyphs() -> tuple[str, str]:
    """Return the blocks of bars, from the smallest to a full cell, and the ellipsis.

    They are ASCII if the encoding of standard output lacks the Unicode ones.
    """
    try:
        "".join(_UNICODE).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return _ASCII
    return _UNICODE


def _bar(part: float, cells: int, blocks: str) -> str:
    """Return a bar for a fraction of `cells`; it has at least the smallest block."""
    if cells < 1:
        return ""
    length = max(round(part * cells * len(blocks)), 1)
    full, rest = divmod(length, len(blocks))
    return blocks[-1] * full + (blocks[rest - 1] if rest else "")
