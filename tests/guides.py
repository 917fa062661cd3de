"""The examples of the guides: the docstrings of public modules, in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from types import ModuleType

_EXAMPLES = re.compile(r"```python\n(.*?)```\n(?:```text\n(.*?)```\n)?", re.DOTALL)


@attrs.frozen
class Example:
    """A block of Python, and the output behind it, if there is any."""

    code: str
    output: str

    @property
    def tests(self) -> int:
        """The number of tests in the block."""
        return len(re.findall("^(?:async )?def test_", self.code, re.MULTILINE))


def examples(module: ModuleType) -> list[Example]:
    """Return the examples of a module's docstring, in order."""
    return [Example(*found) for found in _EXAMPLES.findall(f"{module.__doc__}\n")]
