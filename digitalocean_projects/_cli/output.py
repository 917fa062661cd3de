"""Output: resources and projects on standard output, as a table, JSON, or JSON lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Generic, TypeVar

from digitalocean_projects._codec.json import encode, encode_lines, encode_members
from digitalocean_projects._codec.models import Project, Resource
from digitalocean_projects._messages import one_line

from .terminal import Style, styled, width_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Mapping, Sequence

    from .columns import Column, Columns

T = TypeVar("T", Resource, Project)

FORMS = ("text", "json", "jsonl")


class Output(Generic[T]):
    """Where a subcommand writes its items.

    A table's columns are as wide as what was written so far, so that a listing of any length is
    written page by page.

    Args:
        options: What the user asked for.
        columns: What a table may show.

    Raises:
        ValueError: The user asks for what only a table has.
    """

    def __init__(self, options: Namespace, columns: Columns[T]) -> None:
        self._form: str = options.output
        if not self.is_text and (options.columns or options.no_header):
            raise ValueError("--format and --no-header are for tables, so for -o text only")
        self._columns: Sequence[Column[T]] = options.columns or columns.named(columns.default)
        self._widths = [0] * len(self._columns)
        self._headings = [] if options.no_header else [one.heading for one in self._columns]

    @property
    def is_text(self) -> bool:
        """Whether it is read by people."""
        return self._form == "text"

    @property
    def is_streamed(self) -> bool:
        """Whether items may be written part by part."""
        return self._form != "json"

    def write(self, items: Sequence[T]) -> None:
        """Write some items; in JSON, all of them.

        Raises:
            OSError: It can't be written; a BrokenPipeError if nobody reads it any more.
        """
        if self._form == "json":
            print_json(encode(items))
        elif self._form == "jsonl":
            _write(encode_lines(items))
        else:
            self._write_table(items)

    def _write_table(self, items: Sequence[T]) -> None:
        # Without what a server might send to play with the terminal.
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


def print_document(members: Mapping[str, object]) -> None:
    """Write one object, as JSON and as a JSON line alike."""
    print_json(encode_members(members))


def print_documents(some: Iterable[Mapping[str, object]]) -> None:
    """Write objects, as a JSON list."""
    print_json(b"[" + b",".join(map(encode_members, some)) + b"]")


def print_json(document: bytes) -> None:
    """Write JSON at once."""
    _write(document + b"\n")


def _write(data: bytes) -> None:
    """Write JSON, which is UTF-8, whatever the encoding of standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


# The longest URN with a UUID; what is longer moves its own line only.
_WIDEST = 52
