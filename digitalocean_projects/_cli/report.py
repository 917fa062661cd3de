"""Report: how many resources of each type the projects hold, with bars to look at."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._messages import one_line

from .terminal import Style, styled, terminal_width, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from digitalocean_projects._codec.models import Project, ProjectResources


@attrs.frozen
class Summary:
    """What a project holds.

    Args:
        project: The project.
        types: How many resources it has of each type, most first.
    """

    project: Project
    types: dict[str, int]

    @classmethod
    def of(cls, page: ProjectResources) -> Summary:
        """The summary of a project and its resources."""
        types = Counter(resource.type for resource in page.resources)
        # By name, where there are as many.
        ordered = sorted(types.items(), key=lambda item: (-item[1], item[0]))
        return cls(page.project, dict(ordered))

    @property
    def total(self) -> int:
        """How many resources it has."""
        return sum(self.types.values())

    def members(self) -> dict[str, object]:
        """The same for JSON."""
        project = self.project
        return {
            "id": project.id,
            "name": project.name,
            "is_default": project.is_default,
            "resources": self.total,
            "types": self.types,
        }


def print_report(summaries: Sequence[Summary]) -> None:
    """Write the summaries as a table.

    It is no wider than the terminal, if that has room for the types, the numbers, and the first
    letters of the names; in a narrower one there are no bars.
    """
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
    """`text` in so many cells."""
    if width_of(text) > width:
        while width_of(text) >= width:
            text = text[:-1]
        text += ellipsis
    return text + " " * (width - width_of(text))


def _glyphs() -> tuple[str, str]:
    """What bars are made of, from little to a full cell, and what stands for a text's end.

    As far as the encoding of standard output has them.
    """
    try:
        "".join(_UNICODE).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return _ASCII
    return _UNICODE


def _bar(part: float, cells: int, blocks: str) -> str:
    """A bar for a part of all cells; whatever there is shows."""
    if cells < 1:
        return ""
    length = max(round(part * cells * len(blocks)), 1)
    full, rest = divmod(length, len(blocks))
    return blocks[-1] * full + (blocks[rest - 1] if rest else "")


_HEADINGS = ("Project", "Type", "Resources")
_GAP = "  "
_NARROWEST = 8
_UNICODE = ("▏▎▍▌▋▊▉█", "…")
_ASCII = ("#", "~")
