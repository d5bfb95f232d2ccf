"""What a value may be: the parts that the schemas of the documents are made of.

A shape looks at a value and yields what is wrong with it; it also says itself as a JSON Schema, for
editors. A value may be written as the name of a variable or with its unit: the JSON Schema therefore
allows a text wherever a number is meant, while the shape sees what it stands for.

Called by: ``schemas`` (which puts them together), ``validate`` (which runs them).
Fails: never; problems are yielded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from qtrl_spool.config.quantities import Quantity
from qtrl_spool.config.tree import Key, Path, near

__all__ = ["Anything", "Flag", "Listing", "Mapped", "Number", "Problem", "Shape", "Text", "View"]

UNKNOWN = object()
_MISSPELT = 0.8


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    path:
        Where, beginning with the document.
    message:
        What.
    hint:
        How to mend it.
    of_key:
        Whether it is the key at the end of the path that is wrong, not its value.
    """

    path: Path
    message: str
    hint: str | None = None
    of_key: bool = False


@dataclass(frozen=True)
class View:
    """A value under examination.

    Attributes
    ----------
    value:
        As it counts.
    old:
        The same place in a tree that is known to be right, or `UNKNOWN`; the very same is not looked at.
    path:
        Where.
    unresolved:
        Paths whose text is a name that stands for nothing: another's problem.
    """

    value: Any
    old: Any
    path: Path
    unresolved: Mapping[Path, Any]

    def below(self, key: Key) -> View:
        """Return the view of what is at `key`."""
        return View(self.value[key], old_at(self.old, key), (*self.path, key), self.unresolved)

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """Return the problem that this value is."""
        return Problem(self.path, message, hint)


def old_at(old: Any, key: Key) -> Any:
    """Return what is at `key` of a tree that is known to be right; `UNKNOWN` if nothing is."""
    if isinstance(old, dict):
        return dict.get(old, key, UNKNOWN)
    if isinstance(old, list) and isinstance(key, int) and key < len(old):
        return old[key]
    return UNKNOWN


class Shape(Protocol):
    """What a value may be."""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a value."""
        ...

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        ...


@dataclass(frozen=True)
class Anything:
    """The lab's own: whatever it likes."""

    about: str = ""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield nothing."""
        yield from ()

    def json_schema(self) -> dict[str, Any]:
        """Return the schema that allows everything."""
        return {"description": self.about} if self.about else {}


@dataclass(frozen=True)
class Number:
    """A number.

    Attributes
    ----------
    about:
        What it means, for editors.
    dimension:
        Of its SI unit (see `quantities`), or None for a bare number.
    whole:
        Whether it counts something.
    least, most:
        Its bounds, inclusive.
    nullable:
        Whether null is allowed.
    """

    about: str = ""
    dimension: str | None = None
    whole: bool = False
    least: float | None = None
    most: float | None = None
    nullable: bool = False

    @property
    def expected(self) -> str:
        """Return what is expected, in words."""
        return self.dimension or ("a whole number" if self.whole else "a number")

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a value."""
        value = view.value
        if (value is None and self.nullable) or view.path in view.unresolved:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield view.problem(f"expected {self.expected}, got {shown(value)}")
        elif isinstance(value, Quantity) and value.dimension != self.dimension:
            yield view.problem(f"expected {self.expected}, got {value.text!r}, which is {value.dimension}")
        elif self.whole and value != int(value):
            yield view.problem(f"expected a whole number, got {value}")
        elif not self._is_within(value):
            yield view.problem(f"expected {self.expected}{self._range()}, got {value}")

    def _is_within(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def _range(self) -> str:
        low = "" if self.least is None else f" from {self.least:g}"
        return low + ("" if self.most is None else f" up to {self.most:g}")

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema, which allows the name of a variable too."""
        unit = f" [{self.dimension}]" if self.dimension else ""
        types = ["integer" if self.whole else "number", "string", *(["null"] if self.nullable else [])]
        bounds = {"minimum": self.least, "maximum": self.most}
        schema = {name: bound for name, bound in bounds.items() if bound is not None}
        return {"type": types, "description": f"{self.about}{unit}".strip(), **schema}


@dataclass(frozen=True)
class Text:
    """A text.

    Attributes
    ----------
    about:
        What it means.
    choices:
        What it may be; anything if empty.
    """

    about: str = ""
    choices: tuple[str, ...] = ()

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a value."""
        if view.path in view.unresolved:
            return
        if not isinstance(view.value, str | int) or isinstance(view.value, bool):
            yield view.problem(f"expected a text, got {shown(view.value)}")
        elif self.choices and view.value not in self.choices:
            hint = near(view.value, self.choices) or f"it may be {', '.join(self.choices)}"
            yield view.problem(f"there is no {view.value!r} here", hint)

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        return {"type": ["string", "integer"], "description": self.about, **self._examples()}

    def _examples(self) -> dict[str, Any]:
        return {"examples": list(self.choices)} if self.choices else {}


@dataclass(frozen=True)
class Flag:
    """true or false."""

    about: str = ""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a value."""
        if not isinstance(view.value, bool) and view.path not in view.unresolved:
            yield view.problem(f"expected true or false, got {shown(view.value)}")

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        return {"type": ["boolean", "string"], "description": self.about}


@dataclass(frozen=True)
class Listing:
    """A list.

    Attributes
    ----------
    item:
        What each item may be.
    or_one:
        Whether one item may stand without its list.
    or_word:
        A word that may stand instead of a list; none if empty.
    """

    item: Shape
    or_one: bool = False
    or_word: str = ""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a value."""
        if view.value is view.old or view.path in view.unresolved:
            return
        if isinstance(view.value, list):
            for index, item in enumerate(view.value):
                if item is not old_at(view.old, index):
                    yield from self.item.problems(view.below(index))
        elif self.or_one:
            yield from self.item.problems(view)
        elif not self.or_word or view.value != self.or_word:
            or_word = f" or {self.or_word!r}" if self.or_word else ""
            yield view.problem(f"expected a list{or_word}, got {shown(view.value)}")

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        item = self.item.json_schema()
        either = [{"type": "array", "items": item}, *([item] if self.or_one else []), {"type": "string"}]
        return {"anyOf": either}


@dataclass(frozen=True)
class Mapped:
    """A mapping.

    Attributes
    ----------
    keys:
        What is at the keys that the program reads.
    required:
        Those that may not be missing.
    others:
        What is at all other keys, by key and value; None if there may be none.
    strict:
        Whether a key that is nearly one of `keys` which is not there is taken for a misspelling of it.
    choose:
        The shape for a key that is not in `keys`, where its name says what it is.
    about:
        What it means.
    """

    keys: Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    others: Shape | None = Anything()
    strict: bool = True
    choose: Callable[[str], Shape | None] | None = None
    about: str = ""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a value."""
        if view.value is view.old or view.path in view.unresolved:
            return
        if not isinstance(view.value, dict):
            yield view.problem(f"expected a mapping, got {shown(view.value)}")
            return
        for key in self.required:
            if key not in view.value:
                yield self._missing(view, key)
        for key, value in view.value.items():
            if value is not old_at(view.old, key):
                yield from self._at(view, key)

    def _missing(self, view: View, key: str) -> Problem:
        spare = [each for each in view.value if each not in self.keys]
        return view.problem(f"{key!r} is missing", near(key, spare))

    def _at(self, view: View, key: Key) -> Iterator[Problem]:
        shape = self.keys.get(str(key)) or (self.choose(str(key)) if self.choose else None)
        if shape is None:
            absent = (each for each in self.keys if each not in view.value)
            hint = near(key, absent, cutoff=_MISSPELT) if self.strict else None
            if self.others is None or hint:
                known = f"it may have {', '.join(self.keys)}"
                yield Problem((*view.path, key), f"there is no {key!r} here", hint or known, of_key=True)
                return
            shape = self.others
        if isinstance(shape, Anything):
            return
        yield from shape.problems(view.below(key))

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        others: Any = False if self.others is None else self.others.json_schema()
        return {
            "type": "object",
            "properties": {key: shape.json_schema() for key, shape in self.keys.items()},
            "required": list(self.required),
            "additionalProperties": others,
        }


def shown(value: Any) -> str:
    """Return a value as messages say it, long ones cut."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
