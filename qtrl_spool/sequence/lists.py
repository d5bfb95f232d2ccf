"""Several pulses in one append: at the same time, or one after the other.

A *group* is a tuple of components that play together, right-aligned; a stored pulse stands for one
or more groups in succession. `groups_of` holds the rule: a flat list of components is one group; a
list that contains lists is a succession. `simultaneous` and `sequential` say it explicitly. They
work on pulses (for `Sequence`) and on keys (for `SequenceWrapper`) alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.pulse import Pulse, is_component, pulse_of

Group = tuple[Pulse, ...]
Groups = tuple[Group, ...]


@dataclass(frozen=True)
class Simultaneous:
    """Pulses or keys that end together."""

    pulses: tuple[Any, ...]


@dataclass(frozen=True)
class Sequential:
    """Pulses or keys that play one after the other; a tuple in it plays together."""

    groups: tuple[Any, ...]


def simultaneous(*pulses: Any) -> Simultaneous:
    """Return what plays all `pulses` (or keys) at once, all ending together."""
    return Simultaneous(tuple(map(_hashable, pulses)))


def sequential(*groups: Any) -> Sequential:
    """Return what plays `groups` one after the other; what stands in a list plays together."""
    return Sequential(tuple(map(_hashable, groups)))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def groups_of(stored: Any, lookup: Callable[[Any], Any] | None = None) -> Groups:
    """Return the groups that `stored` stands for.

    Parameters
    ----------
    stored:
        A component, a key, a list of them (nested or not), a `Simultaneous` or a `Sequential`.
    lookup:
        Gives what is stored under a key; without it keys are refused.
    """
    if isinstance(stored, str):
        if lookup is None:
            raise SequenceError(
                f"{stored!r} is a key, not a pulse", hint="use SequenceWrapper, or pulses[key]"
            )
        return groups_of(lookup(stored))
    if is_component(stored):
        return ((pulse_of(stored),),)
    if isinstance(stored, Simultaneous):
        return (_together(stored.pulses, lookup),)
    if isinstance(stored, Sequential):
        return _in_turn(stored.groups, lookup)
    if isinstance(stored, (list, tuple)):
        return _by_type(stored, lookup)
    raise SequenceError(f"{stored!r} is not a pulse", hint="a Pulse, a list of them, or their plain form")


def _by_type(stored: Any, lookup: Callable[[Any], Any] | None) -> Groups:
    if not stored:
        raise SequenceError("the list of pulses is empty", hint="leave the append out, or name a pulse")
    found = [lookup(entry) if lookup and isinstance(entry, str) else entry for entry in stored]
    if all(is_component(entry) for entry in found):
        return (tuple(map(pulse_of, found)),)
    return tuple(group for entry in found for group in groups_of(entry, lookup))


def _together(pulses: tuple[Any, ...], lookup: Callable[[Any], Any] | None) -> Group:
    if not pulses:
        raise SequenceError("simultaneous() of nothing", hint="name at least one pulse")
    components: list[Pulse] = []
    for entry in pulses:
        groups = groups_of(entry, lookup)
        if len(groups) != 1:
            raise SequenceError(f"{entry!r} is a succession: it cannot be part of something simultaneous")
        components.extend(groups[0])
    return tuple(components)


def _in_turn(entries: tuple[Any, ...], lookup: Callable[[Any], Any] | None) -> Groups:
    if not entries:
        raise SequenceError("sequential() of nothing", hint="name at least one pulse")
    groups: list[Group] = []
    for entry in entries:
        if isinstance(entry, (list, tuple)) and len(entry) > 1:
            groups.append(_together(tuple(entry), lookup))
        else:
            groups.extend(groups_of(entry, lookup))
    return tuple(groups)
