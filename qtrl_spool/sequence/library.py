"""The pulse library: from keys such as ``Q6/X180`` to pulses.

A `PulseLibrary` is a read-only mapping over the (already substituted) tree of ``pulses.yaml``, or
over any mapping that has the same form, nested or with slash keys. It adds what the prototypes
``90`` and ``180`` of a qubit imply (I, X90, Y-90, …) and virtual Z of any angle (``Q6/Z45``).

A value is what is stored: a `Pulse`, or a list of them. A key that does not exist raises
`UnknownPulseError`, with near misses. Values are read when they are asked for, so a broken pulse
that nobody uses does no harm; an unresolved variable stays in its pulse as text, and `origin` says
where it comes from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from qtrl_spool.errors import SequenceError, UnknownPulseError, did_you_mean
from qtrl_spool.sequence.kinds import is_number
from qtrl_spool.sequence.pulse import Pulse, PulseEnvelope, VirtualEnvelope, is_component, pulse_of

Stored = Pulse | list[Any]

_Y = -math.pi / 2
_FROM_PROTOTYPE = {
    "I": ("90", None),
    "X-90": ("90", math.pi),
    "X90": ("90", 0.0),
    "X180": ("180", 0.0),
    "X270": ("90", math.pi),
    "Y-90": ("90", _Y + math.pi),
    "Y90": ("90", _Y),
    "Y180": ("180", _Y),
    "Y270": ("90", _Y + math.pi),
}
_SUFFIXES = ("", "_ef")
_MISSING = object()
_WHOLE_NUMBER = re.compile("-?[0-9]{1,18}", re.ASCII)


def _child(tree: Any, key: str) -> Any:
    """Return the entry `key` of a mapping, an integer key included, or `_MISSING`."""
    if not isinstance(tree, Mapping) or is_component(tree):
        return _MISSING
    if key in tree:
        return tree[key]
    if _WHOLE_NUMBER.fullmatch(key) and int(key) in tree:
        return tree[int(key)]
    return _MISSING


def _walk(tree: Any, key: str) -> Any:
    """Return what lies at the slash path `key`: as one key, else going down; or `_MISSING`."""
    whole = _child(tree, key)
    if whole is not _MISSING:
        return whole
    for cut in range(1, len(key)):
        if key[cut] == "/":
            below = _child(tree, key[:cut])
            if below is not _MISSING:
                return _walk(below, key[cut + 1 :])
    return _MISSING


def _is_pulse(tree: Any) -> bool:
    return is_component(tree) or isinstance(tree, (list, tuple))


def _read(tree: Any) -> Stored:
    if isinstance(tree, (list, tuple)):
        return [_read(entry) for entry in tree]
    return pulse_of(tree)


def _turned(stored: Stored, phase: float | None) -> Stored:
    """Return a prototype with `phase` (rad) added, or as virtual Z of nothing if it is None."""
    if isinstance(stored, list):
        return [_turned(entry, phase) for entry in stored]
    envelope = stored.envelope
    if phase is None:
        return replace(stored, envelope=VirtualEnvelope(0.0, None), subchannel=0)
    if not isinstance(envelope, PulseEnvelope):
        return stored
    own = envelope.kwargs.get("phase", [])
    phases = [*(own if isinstance(own, (list, tuple)) else [own]), phase]
    return replace(stored, envelope=replace(envelope, kwargs={**envelope.kwargs, "phase": phases}))


class PulseLibrary(Mapping[str, Any]):
    """What the keys of pulses stand for.

    Parameters
    ----------
    pulses:
        Tree of groups, names and components, variables substituted; slash keys are as good.
    variables:
        Tree of the effective variables; gives the frequency of a virtual Z (``Qn/mod_freq``).
        Where it does not, the frequency of the group's own ``X180`` or ``X90`` is taken.
    unresolved:
        For each path in `pulses` whose text names no variable: a sentence that says where it stands.
    """

    def __init__(
        self,
        pulses: Mapping[Any, Any],
        variables: Mapping[Any, Any] | None = None,
        unresolved: Mapping[str, str] | None = None,
    ) -> None:
        self._tree = pulses
        self._variables = variables or {}
        self.unresolved = dict(unresolved or {})
        self._read: dict[str, Stored] = {}
        self._names: list[str] | None = None

    @classmethod
    def of(cls, pulses: Any) -> PulseLibrary:
        """Return `pulses` as a library: itself, or a wrapper of any mapping."""
        if isinstance(pulses, PulseLibrary):
            return pulses
        if isinstance(pulses, Mapping):
            return cls(pulses)
        raise SequenceError(f"pulses must be a mapping from keys to pulses, not {type(pulses).__name__}")

    def __getitem__(self, key: Any) -> Stored:
        if not isinstance(key, str):
            raise UnknownPulseError(f"{key!r} is not a pulse key", hint="a text such as 'Q6/X180'")
        if key not in self._read:
            found = self._find(key)
            if found is None:
                raise self.unknown(key)
            self._read[key] = found
        stored = self._read[key]
        return list(stored) if isinstance(stored, list) else stored

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self, prefix: str = "") -> list[str]:  # type: ignore[override]
        """Return the keys that begin with `prefix`, those made from prototypes included."""
        if self._names is None:
            self._names = list(dict.fromkeys(self._all_keys(self._tree, "")))
        return [name for name in self._names if name.startswith(prefix)]

    def origin(self, key: str) -> str:
        """Return the path in ``pulses.yaml`` from which `key` is made: ``Q6/180`` for ``Q6/X180``."""
        group, _, name = key.strip("/").rpartition("/")
        prototype = self._prototype(group, name)
        return f"{group}/{prototype[0]}" if prototype else key.strip("/")

    def _all_keys(self, tree: Any, prefix: str) -> Iterator[str]:
        for name, entry in tree.items():
            path = f"{prefix}{name}"
            if _is_pulse(entry):
                yield path
            elif isinstance(entry, Mapping):
                yield from self._all_keys(entry, f"{path}/")
                for suffix in _SUFFIXES:
                    for made in _FROM_PROTOTYPE:
                        if self._prototype(path, made + suffix):
                            yield f"{path}/{made}{suffix}"

    def _find(self, key: str) -> Stored | None:
        path = key[:-1] if key.endswith("/") else key
        group, _, name = path.rpartition("/")
        turn = self._virtual_z(group, name)
        if turn is not None:
            return turn
        prototype = self._prototype(group, name)
        if prototype is not None:
            return _turned(_read(_walk(self._tree, f"{group}/{prototype[0]}")), prototype[1])
        found = _walk(self._tree, path)
        return _read(found) if found is not _MISSING and _is_pulse(found) else None

    def _prototype(self, group: str, name: str) -> tuple[str, float | None] | None:
        """Return the prototype's name and the phase to add, if `name` is made from prototypes."""
        suffix = "_ef" if name.endswith("_ef") else ""
        made = _FROM_PROTOTYPE.get(name.removesuffix("_ef"))
        if made is None or "Q" not in group:
            return None
        found = [_walk(self._tree, f"{group}/{angle}{suffix}") for angle in ("90", "180")]
        return (made[0] + suffix, made[1]) if all(map(_is_pulse, found)) else None

    def _virtual_z(self, group: str, name: str) -> Pulse | None:
        if not name.startswith("Z") or "/" in group or not group:
            return None
        try:
            degrees = float(name[1:])
        except ValueError:
            return None
        if not math.isfinite(degrees):
            return None
        freq = self._frequency(group)
        return None if freq is _MISSING else Pulse(VirtualEnvelope(math.radians(degrees), None), freq)

    def _frequency(self, group: str) -> Any:
        freq = _walk(self._variables, f"{group}/mod_freq")
        if freq is not _MISSING:
            return freq
        for name in ("X180", "X90", "180", "90"):
            stored = self._find(f"{group}/{name}")
            if stored is not None:
                return (stored[0] if isinstance(stored, list) else stored).freq
        return _MISSING

    def unknown(self, key: str) -> UnknownPulseError:
        """Return the error for a `key` that is not here, with near misses."""
        hint = did_you_mean(key, self.keys())
        group = key.partition("/")[0]
        if hint is None and group in self._tree:
            hint = f"{group} has {', '.join(name.partition('/')[2] for name in self.keys(group + '/'))}"
        if (
            key.partition("/")[2].startswith("Z")
            and group in self._tree
            and self._frequency(group) is _MISSING
        ):
            hint = f"a virtual Z of {group} needs the variable {group}/mod_freq"
        return UnknownPulseError(f"there is no pulse {key!r}", hint=hint)

    def why_unresolved(self, key: str, value: str) -> str | None:
        """Return where the text `value` in the pulse `key` comes from and what may be meant."""
        prefix = self.origin(key)
        for path, sentence in self.unresolved.items():
            if (path == prefix or path.startswith(f"{prefix}/")) and repr(value) in sentence:
                return sentence
        return did_you_mean(value, _leaves(self._variables))


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yield the slash paths of all numbers and texts in a tree."""
    for name, entry in tree.items():
        if isinstance(entry, Mapping):
            yield from _leaves(entry, f"{prefix}{name}/")
        elif is_number(entry) or isinstance(entry, str):
            yield f"{prefix}{name}"
