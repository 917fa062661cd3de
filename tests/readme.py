"""The code blocks of README.rst."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import attrs
import docutils.core
import docutils.nodes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text("utf-8")


@attrs.frozen
class Block:
    """A code block, which has a name if it is a part of a recipe."""

    language: str
    text: str
    name: str = ""


@attrs.frozen
class Example:
    """A block of Python, and the output that is shown behind it, if there is any."""

    code: str
    output: str
    name: str


def blocks() -> list[Block]:
    """All code blocks; a markup fault is an exception."""
    settings = {"halt_level": 2, "report_level": 2, "syntax_highlight": "none"}
    document = docutils.core.publish_doctree(README, settings_overrides=settings)
    return [
        Block(node["classes"][1], node.astext(), *node["names"])
        for node in document.findall(docutils.nodes.literal_block)
    ]


def examples() -> list[Example]:
    """All blocks of Python."""
    return [
        Example(block.text, following.text if following.language == "none" else "", block.name)
        for block, following in pairwise([*blocks(), Block("", "")])
        if block.language == "python"
    ]


def recipe(name: str) -> Example:
    """The recipe of this name."""
    (found,) = (example for example in examples() if example.name == f"recipe-{name}")
    return found
