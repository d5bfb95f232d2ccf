"""``spool.yaml``: the limits and policies of one spool.

Read by servers and by ``submit``; a missing key has the default that the commented file names.
An unknown key is refused, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import ConfigError, QtrlSpoolError, did_you_mean
from qtrl_spool.job import parse_priority
from qtrl_spool.spool.policy import Policy, parse_policy

FORMAT = "qtrl-spool/1"

TEMPLATE = """\
# This file marks the directory as a spool. Servers read it when they start.
format: qtrl-spool/1

settle_s: 2            # s: loose text and folders are taken when they have stood still for so long
abandoned_s: 600       # s: an incomplete ZIP or JSON is given up after so long without a change
lease_s: 60            # s: a server whose heartbeat has not changed for so long counts as dead
max_attempts: 10       # a job that was started so often and never came to an end has failed
durability: durable    # durable: what is acknowledged survives a power cut; fast: nothing is synced
preempt: true          # a more urgent job lets the running one pause after its batch; it goes on later
slice: 10 min          # a job that ran so long pauses when another one of its priority waits; null: never
priorities: {}         # other rules for some: {urgent: {slice: null}, normal: {preempt: false}, …}
hang_s: 600            # s: a batch that takes longer, and 10 times as long as any before it, is given up
scan_s: 1.0            # s: at the latest after so long a server looks, whether or not an event woke it
admins: []             # who may steer everybody's jobs and pause the queue: login names, and @group for all
                       # of a Unix group; root and the server's own user always may
policy: {}             # who may change which paths of the default configuration, besides the admins:
                       # {variables/hardware: {users: [ada], groups: [calibration]}, …}; others: all
limits: {}             # of drops and users, see docs/reference/files: {max_bytes, per_user_queued, …}
"""


@dataclass(frozen=True)
class Settings:
    """What ``spool.yaml`` says.

    Attributes
    ----------
    settle_s, abandoned_s, lease_s, scan_s, hang_s:
        Times in s, see `TEMPLATE`.
    preempt, slice:
        Whether a job may interrupt less urgent ones between batches; for how long (s) a job runs while
        others of its priority wait, None for ever.
    priorities:
        Other rules for some priorities, by number.
    max_attempts:
        Executions after which a job that never ended has failed.
    durability:
        ``durable`` or ``fast``.
    admins:
        Login names, and ``@group`` for all of a Unix group.
    policy:
        Who may change which paths of the default configuration, see `qtrl_spool.spool.policy`.
    limits:
        Of drops, see `qtrl_spool.bundle.Limits`.
    """

    format: str = FORMAT
    settle_s: float = 2.0
    abandoned_s: float = 600.0
    lease_s: float = 60.0
    max_attempts: int = 10
    durability: str = "durable"
    scan_s: float = 1.0
    hang_s: float = 600.0
    preempt: bool = True
    slice: float | None = 600.0
    priorities: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    admins: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def durable(self) -> bool:
        """Whether every change is synced before it is acknowledged."""
        return self.durability == "durable"

    def preempts(self, priority: int) -> bool:
        """Return whether a job of that priority may interrupt less urgent ones between batches."""
        return bool(self.priorities.get(priority, {}).get("preempt", self.preempt))

    def slice_of(self, priority: int) -> float | None:
        """Return for how long (s) a job runs while others of its priority wait; None for ever."""
        found: float | None = self.priorities.get(priority, {}).get("slice", self.slice)
        return found


def read_settings(path: Path) -> Settings:
    """Return what the ``spool.yaml`` at `path` says.

    Raises
    ------
    ConfigError
        If it says something that no spool knows.
    """
    from qtrl_spool.config.yaml12 import parse_yaml

    tree = parse_yaml(fs.read_text(path) or "", path.name)
    if not isinstance(tree, Mapping):
        raise ConfigError("the file must be a mapping", where=path.name)
    known = {each.name for each in fields(Settings)}
    for key in tree:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}", where=path.name, hint=did_you_mean(str(key), known))
    if tree.get("format") != FORMAT:
        raise ConfigError(f"format is {tree.get('format')!r}, this program reads {FORMAT!r}", where=path.name)
    return Settings(**{key: _checked(key, value, path.name) for key, value in tree.items()})


def is_durable(path: Path) -> bool:
    """Return whether the ``spool.yaml`` at `path` asks for syncs; true where it cannot be read."""
    return _is_durable(path, fs.mark_of(path))


@lru_cache(maxsize=16)
def _is_durable(path: Path, mark: str) -> bool:
    """Read it once for each `mark`, which changes with the file: YAML takes longer than a submission."""
    try:
        return read_settings(path).durable
    except QtrlSpoolError:
        return True


def _checked(key: str, value: object, where: str) -> Any:
    positive_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if key.endswith("_s") and positive_number:
        return float(value)  # type: ignore[arg-type]
    if key == "preempt" and isinstance(value, bool):
        return value
    if key == "slice":
        return _duration(value, f"{where}: slice")
    if key == "priorities":
        return _rules(value, f"{where}: priorities")
    if key == "max_attempts" and positive_number and isinstance(value, int):
        return value
    if key == "durability" and value in {"durable", "fast"}:
        return value
    if key == "admins" and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if key == "policy":
        return parse_policy(value, where)
    if key == "limits" and isinstance(value, Mapping):
        return dict(value)
    if key == "format":
        return value
    raise ConfigError(
        f"{key} cannot be {value!r}", where=where, hint="the comments of a new spool say what it may be"
    )


_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def _duration(value: object, where: str) -> float | None:
    """Return a time in s: a number of seconds, or a text such as ``10 min``; None for none."""
    if value is None:
        return None
    number, _, unit = str(value).strip().partition(" ")
    try:
        seconds = float(number) * _SECONDS[unit.strip() or "s"]
    except (ValueError, KeyError):
        seconds = 0.0
    if isinstance(value, bool) or not 0 < seconds < float("inf"):
        raise ConfigError(f"{value!r} is no time", where=where, hint="write 10 min, 90 s, 2 h or null")
    return seconds


def _rules(tree: object, where: str) -> dict[int, dict[str, Any]]:
    """Return the rules of each priority by its number; two that name one number are refused."""
    if not isinstance(tree, Mapping):
        raise ConfigError("expected a mapping of priorities", where=where, hint=_RULE)
    found: dict[int, dict[str, Any]] = {}
    for name, rule in tree.items():
        number = _number(str(name), where)
        if not isinstance(rule, Mapping) or number in found:
            raise ConfigError(f"{name}: {rule!r} is no rule, or its second one", where=where, hint=_RULE)
        found[number] = {str(key): _rule(str(key), value, f"{where}: {name}") for key, value in rule.items()}
    return found


_RULE = "such as {10-urgent: {preempt: true}, 50: {slice: 1 h}}"
_LABELS = {"urgent": 10, "high": 30, "normal": 50, "low": 70, "idle": 90}


def _number(name: str, where: str) -> int:
    parsed = parse_priority(name)
    if parsed is None and name not in _LABELS:
        raise ConfigError(f"{name!r} is no priority", where=where, hint="write its number, such as 50")
    return _LABELS[name] if parsed is None else parsed[0]


def _rule(key: str, value: object, where: str) -> Any:
    if key == "preempt" and isinstance(value, bool):
        return value
    if key == "slice":
        return _duration(value, where)
    hint = did_you_mean(key, ("preempt", "slice")) or _RULE
    raise ConfigError(f"{key} cannot be {value!r}", where=where, hint=hint)
