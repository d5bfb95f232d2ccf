"""Places in a text: what a message points at, and the line that it shows.

A parser's mark holds the name of its text. That name is a `Source`, which brings the text along, so
that whatever was read (a document, a job's patch, a file given to a command) can be shown with a
caret by whoever finds it wrong, however late.

Called by: everything in ``config`` that words an error.
Fails: never.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_MOST_COLUMNS = 100
_BEFORE_CARET = 80


class Source(str):
    """The name of a text, and the text.

    Attributes
    ----------
    text:
        What was read.
    """

    text: str

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """Return `name`, which knows its text."""
        source = cls(name)
        source.text = text
        return source


class Place(NamedTuple):
    """A place in a text; `line` and `column` count from 1."""

    name: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}"

    @property
    def excerpt(self) -> str | None:
        """The line with a caret below it; None where the text is not known."""
        text = getattr(self.name, "text", None)
        return None if text is None else excerpt_of(text, self.line, self.column)


def place_at(mark: Any) -> Place:
    """Return the place of a mark of the YAML parser, which counts from 0."""
    return Place(mark.name, mark.line + 1, mark.column + 1)


def excerpt_of(text: str, line: int, column: int) -> str | None:
    """Return line number `line` of `text` with a caret below `column`; both count from 1."""
    lines = text.splitlines()
    if not 0 < line <= len(lines):
        return None
    first = max(0, column - _BEFORE_CARET)
    shown = lines[line - 1][first : first + _MOST_COLUMNS].replace("\t", " ")
    return f"    {shown}\n    {' ' * (column - 1 - first)}^"
