"""Who may change which paths of the default configuration: ``policy`` in ``spool.yaml``.

::

    policy:
      variables/hardware: {users: [ada], groups: [calibration]}
      devices: {groups: [instruments]}
      '*': {groups: [lab]}

The longest path that holds what is changed counts; ``'*'`` is for all that no other one holds. A
path that nothing is said of is everybody's; one with neither users nor groups is for admins only,
and admins may always change everything. What counts is what really differs, not what was asked for:
a value that stays as it is needs no permission, and a mapping that is taken out or put in as a
whole needs that of every path below it.

Called by: ``settings`` (reads it), ``server.configuring`` (enforces it). Pure.
Fails: `ConfigError` for a policy that makes no sense; refusals are returned as `PolicyError`, not raised.

Known limits: users and groups are those of the machine on which the server runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qtrl_spool.config.tree import join_path, leaves, split_path
from qtrl_spool.errors import ConfigError, PolicyError, did_you_mean

REST = "*"
_KEYS = ("users", "groups")


@dataclass(frozen=True)
class Person:
    """Who asks for a change.

    Attributes
    ----------
    name:
        Login name.
    groups:
        Names of their Unix groups.
    is_admin:
        Whether they may do everything.
    """

    name: str
    groups: frozenset[str] = frozenset()
    is_admin: bool = False


@dataclass(frozen=True)
class Rule:
    """Who may change what lies below one path, besides the admins.

    Attributes
    ----------
    users, groups:
        Login names, and names of Unix groups.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def allows(self, person: Person) -> bool:
        """Return whether a person may."""
        return person.is_admin or person.name in self.users or not person.groups.isdisjoint(self.groups)

    def __str__(self) -> str:
        users = [f"user {', '.join(self.users)}"] if self.users else []
        groups = [f"group {', '.join(self.groups)}"] if self.groups else []
        return " and ".join(users + groups) or "admins only"


@dataclass(frozen=True)
class Policy:
    """The rules of a spool, by path."""

    rules: Mapping[str, Rule] = field(default_factory=dict)

    def rule_of(self, path: str) -> tuple[str, Rule] | None:
        """Return the path and the rule that count for `path`; None if it is everybody's."""
        parts = split_path(path)
        for n in range(len(parts), 0, -1):
            above = join_path(parts[:n])
            if above in self.rules:
                return above, self.rules[above]
        return (REST, self.rules[REST]) if REST in self.rules else None


def refusals(policy: Policy, person: Person, changes: Sequence[Mapping[str, Any]]) -> list[PolicyError]:
    """Return why a person may not make these changes: one error for each change and rule.

    Parameters
    ----------
    policy:
        Of the spool.
    person:
        Who asks.
    changes:
        What differs, as the log keeps it: ``{path, old, new}``; a side that is not there is left out.
    """
    found: dict[tuple[str, str], PolicyError] = {}
    for change in changes:
        for path in _touched(change):
            ruled = policy.rule_of(path)
            if ruled is not None and not ruled[1].allows(person):
                found.setdefault((change["path"], ruled[0]), _refusal(change["path"], *ruled, person))
    return list(found.values())


def _touched(change: Mapping[str, Any]) -> Iterator[str]:
    """Yield the path of every single value that a change puts in, takes out or replaces."""
    for side in ("old", "new"):
        if side in change:
            for below, _ in leaves(change[side]):
                yield join_path((change["path"], *below))


def _refusal(path: str, ruled: str, rule: Rule, person: Person) -> PolicyError:
    what = "all that has no rule of its own" if ruled == REST else ruled
    return PolicyError(
        f"{person.name} may not change it: {what} is for {rule}",
        where=path,
        hint="ask one of them, or an admin; spool.yaml says so under policy",
    )


def parse_policy(tree: object, where: str) -> Policy:
    """Return the policy that ``spool.yaml`` says.

    Raises
    ------
    ConfigError
        If it says something that is no rule.
    """
    if not isinstance(tree, Mapping):
        raise ConfigError(
            "policy is a mapping of paths", where=where, hint="such as {devices: {groups: [admins]}}"
        )
    return Policy({str(path).strip("/"): _rule(str(path), rule, where) for path, rule in tree.items()})


def _rule(path: str, tree: object, where: str) -> Rule:
    place = f"{where}: policy: {path}"
    if not isinstance(tree, Mapping):
        raise ConfigError(f"a rule is a mapping, not {tree!r}", where=place, hint="such as {users: [ada]}")
    for key, names in tree.items():
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or "a rule has users and groups"
            raise ConfigError(f"unknown key {key!r}", where=place, hint=hint)
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise ConfigError(f"{key} is a list of names, not {names!r}", where=place)
    return Rule(*(tuple(tree.get(key, ())) for key in _KEYS))
