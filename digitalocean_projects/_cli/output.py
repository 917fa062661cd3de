"""Output: resources and projects on standard output as a table, JSON, JSON lines, or CSV."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from digitalocean_projects._assignment.results import REFUSED
from digitalocean_projects._codec.enums import ResourceStatus
from digitalocean_projects._codec.json import encode, encode_lines, encode_members
from digitalocean_projects._codec.models import Project, Resource
from digitalocean_projects._codec.structure import time_text
from digitalocean_projects._messages import one_line

from .arguments.tables import PROJECTS, RESOURCES, Table
from .terminal import Style, styled, width_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")

_MISSING = "N/A"
_REFUSALS = frozenset({ResourceStatus.NOT_FOUND, ResourceStatus.SERVICE_DOWN, REFUSED})
# The longest URN with a UUID has 52 characters. A longer cell shifts the rest of its own line only.
_WIDEST = 52
_find_words = re.compile(r"(?<=[a-z])(?=[A-Z])").sub
# A spreadsheet takes a cell that begins so for a formula, which can start programs and send data.
# https://owasp.org/www-community/attacks/CSV_Injection
# Programs skip the first characters that are invisible, such as a byte order mark.
_INVISIBLE = (
    r"[\s\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_is_formula = re.compile(rf"'*(?:[\t\r\n]|{_INVISIBLE}*[=+\-@\uff1d\uff0b\uff0d\uff20])").match
# Some readers guess the separator.
_needs_quotes = re.compile(r'[",;|\t\r\n]|^\s|\s\Z').search
# Terminals act on these.
_mask_controls = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]").sub


@attrs.frozen
class Column(Generic[T]):
    """A column of a table.

    Args:
        heading: Its heading.
        value: Returns the text or the time of an item; None if it has no such value.
        is_bad: Returns true if the item is to be printed in red.
    """

    heading: str
    value: Callable[[T], str | datetime | None]
    is_bad: Callable[[T], bool] = attrs.field(default=lambda _: False)

    def text(self, item: T) -> str:
        """Return the text of an item's cell in a table."""
        value = self.value(item)
        if isinstance(value, datetime):
            value = time_text(value.replace(microsecond=0))
        return _MISSING if value is None else value

    def cell(self, item: T) -> str:
        """Return the text of an item's cell in CSV, which no spreadsheet takes for a formula.

        Such a text gets an apostrophe in front, after which spreadsheets expect text.
        """
        value = self.value(item)
        text = (time_text(value) if isinstance(value, datetime) else value) or ""
        text = _mask_controls("\ufffd", text)
        return f"'{text}" if _is_formula(text) else text


@attrs.frozen
class Columns(Generic[T]):
    """The columns of a table for one kind of item.

    Args:
        table: The names of the columns.
        known: The columns, in the order of their names.
        plain: Returns the JSON form of an item.
    """

    table: Table
    known: tuple[Column[T], ...]
    plain: Callable[[T], object] = attrs.field(default=lambda item: item)

    def named(self, names: Iterable[str]) -> list[Column[T]]:
        """Return the columns with these names."""
        by_name = dict(zip(self.table.names.split(","), self.known, strict=True))
        return [by_name[name] for name in names]


RESOURCE_COLUMNS = Columns[Resource](
    RESOURCES,
    (
        Column("URN", lambda resource: str(resource.urn)),
        Column("Type", lambda resource: resource.type),
        Column("ID", lambda resource: resource.urn.id),
        Column("Assigned At", lambda resource: resource.assigned_at),
        Column("Status", lambda resource: resource.status, lambda r: r.status in _REFUSALS),
        Column("Self Link", lambda resource: resource.self_link),
    ),
)
PROJECT_COLUMNS = Columns[Project](
    PROJECTS,
    (
        Column("ID", lambda project: project.id),
        Column("Owner UUID", lambda project: project.owner_uuid),
        Column("Owner ID", lambda p: None if p.owner_id is None else str(p.owner_id)),
        Column("Name", lambda project: project.name),
        Column("Description", lambda project: project.description),
        Column("Purpose", lambda project: project.purpose),
        Column("Environment", lambda project: project.environment),
        Column("Is Default?", lambda project: str(project.is_default).lower()),
        Column("Created At", lambda project: project.created_at),
        Column("Updated At", lambda project: project.updated_at),
    ),
)


class Output(Generic[T]):
    """A writer of items to standard output.

    The columns of a table are as wide as the cells written so far, so that a listing of any length
    can be written page by page.

    Args:
        options: The options of the user.
        columns: The columns that a table can show.
    """

    def __init__(self, options: Namespace, columns: Columns[T]) -> None:
        self._form: str = options.output
        is_csv = self._form == "csv"
        default = columns.table.csv_default if is_csv else columns.table.default
        names = options.columns or default.split(",")
        self._columns = columns.named(names)
        self._plain = columns.plain
        self._widths = [0] * len(self._columns)
        headings = map(_member, names) if is_csv else (one.heading for one in self._columns)
        self._headings = [] if options.no_header else list(headings)

    @property
    def is_text(self) -> bool:
        """True if the output is a table."""
        return self._form == "text"

    @property
    def is_streamed(self) -> bool:
        """True if items can be written in several calls."""
        return self._form != "json"

    def write(self, items: Sequence[T]) -> None:
        """Write items; with `-o json`, all items in one call.

        Raises:
            OSError: They cannot be written; a BrokenPipeError if the reader has closed the pipe.
        """
        if self._form == "json":
            print_json(encode(map(self._plain, items)))
        elif self._form == "jsonl":
            _write(encode_lines(map(self._plain, items)))
        elif self._form == "csv":
            self._write_csv(items)
        else:
            self._write_table(items)

    def _write_table(self, items: Sequence[T]) -> None:
        # one_line removes control characters, which a server could send to alter the terminal.
        rows: list[list[str]] = [
            [one_line(column.text(item)) for column in self._columns] for item in items
        ]
        self._widen([self._headings, *rows])
        if self._headings:
            print(styled(self._line(self._headings), Style.BOLD))
            self._headings = []
        for item, row in zip(items, rows, strict=True):
            line = self._line(row)
            bad = any(column.is_bad(item) for column in self._columns)
            print(styled(line, Style.RED) if bad else line)
        print(end="", flush=True)

    def _write_csv(self, items: Sequence[T]) -> None:
        rows = [[column.cell(item) for column in self._columns] for item in items]
        if self._headings:
            rows.insert(0, self._headings)
            self._headings = []
        _write("".join(map(_csv_line, rows)).encode("utf-8", "replace"))

    def _widen(self, rows: Iterable[list[str]]) -> None:
        for row in rows:
            for number, text in enumerate(row):
                width = min(width_of(text), _WIDEST)
                self._widths[number] = max(self._widths[number], width)

    def _line(self, row: Sequence[str]) -> str:
        padded = (
            text + " " * (width - width_of(text))
            for text, width in zip(row, self._widths, strict=True)
        )
        return "  ".join(padded).rstrip()


def _member(name: str) -> str:
    """Return a column's name in JSON and in CSV, such as `assigned_at`."""
    return _find_words("_", name).lower()


def _csv_line(cells: Sequence[str]) -> str:
    """Return a line of CSV, quoted as in RFC 4180.

    It ends with a line feed, which spreadsheets accept as well, and which all tools of a shell
    expect.
    """
    # Until Python 3.13, `csv` doesn't quote a carriage return in lines that end so.
    quoted_cells = [
        '"{}"'.format(cell.replace('"', '""')) if _needs_quotes(cell) else cell for cell in cells
    ]
    # Readers skip an empty line.
    return (",".join(quoted_cells) or '""') + "\n"


def print_document(members: Mapping[str, object]) -> None:
    """Write one object on one line, which serves as a JSON document and as a JSON line."""
    print_json(encode_members(members))


def print_documents(some: Iterable[Mapping[str, object]]) -> None:
    """Write objects as a JSON array."""
    print_json(b"[" + b",".join(map(encode_members, some)) + b"]")


def print_json(document: bytes) -> None:
    """Write a JSON document and flush it."""
    _write(document + b"\n")


def _write(data: bytes) -> None:
    """Write JSON or CSV in UTF-8, whatever the encoding of standard output is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
