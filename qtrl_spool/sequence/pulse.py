"""Pulses: what is played, where, on which carrier.

A `Pulse` is one component: an envelope, a carrier frequency, an analog output (channel) and a
subchannel (0 analog, 1… markers). What a library stores under a key is one component or a flat
list of them. Everything here is a frozen value; `pulse_of` reads the plain form of ``pulses.yaml``
and `with_overrides` returns a changed copy.

Nothing is checked when a pulse is made: a value may still be the unresolved name of a variable.
`field_problems` says what is wrong with one, when a sequence uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.kinds import is_index, is_number

PULSE_FIELDS = ("freq", "channel", "subchannel")
REAL_FIELDS = ("env_func", "kwargs", "width", "t0")
VIRTUAL_FIELDS = ("phase", "width")
LAST_CHANNEL, LAST_SUBCHANNEL = 1023, 31
"""Highest numbers of an output and of a marker; beyond any instrument, so more is a slip."""

OVERRIDES = frozenset((*PULSE_FIELDS, *REAL_FIELDS, *VIRTUAL_FIELDS))


def frozen(value: Any) -> Any:
    """Return a hashable that is equal for equal values and prints alike; arrays count by all their bytes."""
    if type(value) in (float, str):
        return value
    if isinstance(value, float | int | np.number) and not isinstance(value, bool):
        return complex(value) if isinstance(value, np.complexfloating) else float(value)
    if isinstance(value, dict | MappingProxyType | Mapping):
        return tuple(sorted([(str(key), frozen(entry)) for key, entry in value.items()]))
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, (list, tuple, range)):
        return ("list", *map(frozen, value))
    return value


@dataclass(frozen=True, eq=False)
class PulseEnvelope:
    """A baseband shape.

    Attributes
    ----------
    env_func:
        Name of the shape, a key of `qtrl_spool.sequence.envelopes.SHAPES`.
    kwargs:
        Its parameters: ``amplitude`` (full scale), ``phase`` (rad), …; see `envelopes`.
    width:
        Length in s; rounded to whole samples when it is played.
    """

    env_func: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    width: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.kwargs, Mapping):
            object.__setattr__(self, "kwargs", MappingProxyType(dict(self.kwargs)))

    @staticmethod
    def sharing(other: PulseEnvelope, env_func: str, width: float) -> PulseEnvelope:
        """Return another shape with the very same parameters, which nobody can change."""
        made = object.__new__(PulseEnvelope)
        for name, value in (("env_func", env_func), ("kwargs", other.kwargs), ("width", width)):
            object.__setattr__(made, name, value)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (PulseEnvelope, (self.env_func, dict(self.kwargs), self.width))

    def __deepcopy__(self, memo: Any) -> PulseEnvelope:
        return self

    def _key(self) -> Any:
        return (self.env_func, frozen(self.kwargs), self.width)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PulseEnvelope) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True)
class VirtualEnvelope:
    """A virtual Z: from its sample on, the carrier of its frequency turns.

    Attributes
    ----------
    phase:
        Angle in rad, added to the carrier's phase.
    width:
        Length in s of the interval that it takes up, or None for nothing.
    """

    phase: float
    width: float | None = None


@dataclass(frozen=True)
class Pulse:
    """One component of a pulse.

    Attributes
    ----------
    envelope:
        What is played, or the virtual Z that is done.
    freq:
        Modulation frequency in Hz; None means no carrier. Compared exactly.
    channel:
        Analog output, from 0.
    subchannel:
        0 for the analog signal, 1… for markers, which have neither carrier nor virtual Z.
    """

    envelope: PulseEnvelope | VirtualEnvelope
    freq: float | None = None
    channel: int = 0
    subchannel: int = 0

    @property
    def is_virtual(self) -> bool:
        """Whether it is a virtual Z."""
        return isinstance(self.envelope, VirtualEnvelope)


def _mapping(tree: Any, what: str) -> Mapping[str, Any]:
    """Return `tree` as a mapping; an ordered mapping may come as a list of pairs or of single entries."""
    if isinstance(tree, Mapping):
        return tree
    if isinstance(tree, (list, tuple)):
        merged: dict[str, Any] = {}
        for entry in tree:
            if isinstance(entry, Mapping):
                merged.update(entry)
            elif isinstance(entry, (list, tuple)) and len(entry) == 2:
                merged[entry[0]] = entry[1]
            else:
                raise SequenceError(f"{what} must be a mapping, not {tree!r}")
        return merged
    raise SequenceError(f"{what} must be a mapping, not {tree!r}")


def _known_only(tree: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    words = tuple(known)
    for key in tree:
        if key not in words:
            raise SequenceError(
                f"{what} has no {key!r}", hint=did_you_mean(str(key), words) or f"it has {', '.join(words)}"
            )


def _envelope_of(tree: Any) -> PulseEnvelope | VirtualEnvelope:
    if isinstance(tree, (PulseEnvelope, VirtualEnvelope)):
        return tree
    whole = _mapping(tree, "an envelope")
    _known_only(whole, ("type", "properties"), "an envelope")
    properties = _mapping(whole.get("properties", {}), "the properties of an envelope")
    kind = whole.get("type", "PulseEnvelope")
    if kind == "PulseEnvelope":
        _known_only(properties, REAL_FIELDS, "a PulseEnvelope")
        missing = [name for name in ("env_func", "width") if name not in properties]
        if missing:
            raise SequenceError(f"a PulseEnvelope needs {' and '.join(missing)}")
        kwargs = _mapping(properties.get("kwargs") or {}, "the kwargs of an envelope")
        return PulseEnvelope(properties["env_func"], kwargs, properties["width"])
    if kind == "VirtualEnvelope":
        _known_only(properties, (*VIRTUAL_FIELDS, "t0"), "a VirtualEnvelope")
        return VirtualEnvelope(properties.get("phase", 0.0), properties.get("width"))
    raise SequenceError(
        f"the type of an envelope is PulseEnvelope or VirtualEnvelope, not {kind!r}",
        hint=did_you_mean(str(kind), ("PulseEnvelope", "VirtualEnvelope")),
    )


def pulse_of(tree: Any) -> Pulse:
    """Return one component from its plain form, or a `Pulse` as it is.

    The plain form is that of ``pulses.yaml``: ``{envelope: {type, properties}, freq, channel, subchannel}``.
    """
    if isinstance(tree, Pulse):
        return tree
    whole = _mapping(tree, "a pulse")
    _known_only(whole, ("envelope", *PULSE_FIELDS), "a pulse")
    if "envelope" not in whole:
        raise SequenceError("a pulse needs an envelope")
    envelope = _envelope_of(whole["envelope"])
    if isinstance(envelope, PulseEnvelope) and "channel" not in whole:
        raise SequenceError("a pulse needs a channel")
    return Pulse(envelope, whole.get("freq"), whole.get("channel", 0), whole.get("subchannel", 0))


def is_component(tree: Any) -> bool:
    """Whether `tree` is one component: a `Pulse`, or a mapping that has an envelope."""
    return isinstance(tree, Pulse) or (isinstance(tree, Mapping) and "envelope" in tree)


def with_overrides(pulse: Pulse, overrides: Mapping[str, Any]) -> Pulse:
    """Return `pulse` with fields replaced; ``kwargs`` is merged over its own, key by key."""
    envelope = pulse.envelope
    own: tuple[str, ...] = REAL_FIELDS if isinstance(envelope, PulseEnvelope) else VIRTUAL_FIELDS
    for name in overrides:
        if name not in PULSE_FIELDS and name not in own:
            raise _no_such_field(name, pulse)
    fields = [overrides.get(name, getattr(pulse, name)) for name in PULSE_FIELDS]
    return Pulse(_with_changes(envelope, overrides), *fields)


def _with_changes(
    envelope: PulseEnvelope | VirtualEnvelope, overrides: Mapping[str, Any]
) -> PulseEnvelope | VirtualEnvelope:
    width = overrides.get("width", envelope.width)
    if isinstance(envelope, VirtualEnvelope):
        return VirtualEnvelope(overrides.get("phase", envelope.phase), width)
    env_func = overrides.get("env_func", envelope.env_func)
    if "kwargs" not in overrides:
        return PulseEnvelope.sharing(envelope, env_func, width)
    kwargs = {**envelope.kwargs, **_mapping(overrides["kwargs"], "kwargs")}
    return PulseEnvelope(env_func, kwargs, width)


def _no_such_field(name: str, pulse: Pulse) -> SequenceError:
    kind = "virtual" if pulse.is_virtual else "real"
    own = VIRTUAL_FIELDS if pulse.is_virtual else REAL_FIELDS
    hint = did_you_mean(name, (*PULSE_FIELDS, *own, "element", "start", "end", "start_delay", "end_delay"))
    if not pulse.is_virtual and name in ("amplitude", "phase", "alpha", "sigmas", "frequency", "points"):
        hint = f"say kwargs={{{name!r}: …}}"
    return SequenceError(f"a {kind} pulse has no field {name!r}", hint=hint)


def _wrong(name: str, value: Any, rule: str) -> str:
    if isinstance(value, str):
        return f"{name} is the text {value!r}: {rule}, or the name of a variable that exists"
    return f"{name} is {value!r}: {rule}"


def field_problems(pulse: Pulse) -> Iterator[str]:
    """Yield a sentence for each field of `pulse` that cannot be played, its envelope's parameters aside."""
    for name, last in (("channel", LAST_CHANNEL), ("subchannel", LAST_SUBCHANNEL)):
        value = getattr(pulse, name)
        if not is_index(value) or not 0 <= value <= last:
            yield _wrong(name, value, f"it must be an integer from 0 to {last}")
    if pulse.freq is not None and not is_number(pulse.freq):
        yield _wrong("freq", pulse.freq, "it must be a number in Hz or null")
    envelope = pulse.envelope
    width = envelope.width
    if not (is_number(width) and width is not None and width >= 0) and not (
        pulse.is_virtual and width is None
    ):
        yield _wrong("width", width, "it must be a number of seconds, not negative")
    if isinstance(envelope, VirtualEnvelope) and not is_number(envelope.phase):
        yield _wrong("phase", envelope.phase, "it must be a number in rad")
