"""Standard input of the command."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts text into standard input."""

    def put(text: str) -> None:
        file = io.BytesIO(text.encode())
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file, encoding="utf-8"))

    return put
