"""The code blocks of README.rst."""

from __future__ import annotations

from pathlib import Path

import attrs
import docutils.core
import docutils.nodes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text("utf-8")


@attrs.frozen
class Block:
    """A code block; it has a name if it is a file or a cell of a notebook."""

    language: str
    text: str
    name: str = ""


def blocks() -> list[Block]:
    """Return all code blocks; a fault of the markup or a dangling link is an exception."""
    settings = {"halt_level": 2, "report_level": 2, "syntax_highlight": "none"}
    document = docutils.core.publish_doctree(README, settings_overrides=settings)
    return [
        Block(node["classes"][1], node.astext(), *node["names"])
        for node in document.findall(docutils.nodes.literal_block)
    ]


def named(name: str) -> str:
    """Return the code of a named block."""
    (text,) = (block.text for block in blocks() if block.name == name)
    return text
