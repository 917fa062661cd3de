"""The text that an exception shows: its message, its attributes and the package's frames."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

from rich.traceback import Traceback

import digitalocean_projects

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(digitalocean_projects.__file__).parent
# Rich cuts longer texts of local variables before it shows them.
_CUT = 12


def messages(error: BaseException) -> Iterator[str]:
    """Return the texts and attributes of an exception and of its chain."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    for linked in filter(None, (error.__cause__, error.__context__)):
        yield from messages(linked)


def exposed(error: BaseException) -> Iterator[str]:
    """Return these, its pickle, and the local variables of its frames in the package."""
    yield from messages(error)
    yield pickle.dumps(error).decode("latin-1")
    found = [*_standard(error), *_rich(error)]
    assert found
    yield from found
    for linked in filter(None, (error.__cause__, error.__context__)):
        yield from exposed(linked)


def _standard(error: BaseException) -> Iterator[str]:
    # As TracebackException does with capture_locals, whose version in Python 3.11 fails on an
    # object that has no `repr` yet.
    for frame, _ in walk_tb(error.__traceback__):
        if _is_ours(frame.f_code.co_filename):
            yield frame.f_code.co_name
            for value in frame.f_locals.values():
                with suppress(AttributeError):
                    yield repr(value)


def _rich(error: BaseException) -> Iterator[str]:
    trace = Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=_CUT
    )
    for frame in trace.stacks[0].frames:
        if _is_ours(frame.filename):
            yield from (str(node) for node in (frame.locals or {}).values())


def _is_ours(filename: str) -> bool:
    return Path(filename).is_relative_to(PACKAGE) or "<attrs generated" in filename
