"""``spool.yaml``: the limits and policies of one spool.

Read by servers and by ``submit``; a missing key has the default that the commented file names.
An unknown key is refused, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import ConfigError, did_you_mean
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
scan_s: 1.0            # s: at the latest after so long a server looks, whether or not an event woke it
admins: []             # who may steer everybody's jobs and pause the queue: login names, and @group for all
                       # of a Unix group; root and the server's own user always may
policy: {}             # who may change which paths of the default configuration, besides the admins:
                       # {variables/hardware: {users: [ada], groups: [calibration]}, …}; others: all
limits: {}             # of drops, see docs/reference: {max_bytes, max_members, …}
"""


@dataclass(frozen=True)
class Settings:
    """What ``spool.yaml`` says.

    Attributes
    ----------
    settle_s, abandoned_s, lease_s, scan_s:
        Times in s, see `TEMPLATE`.
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
    admins: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def durable(self) -> bool:
        """Whether every change is synced before it is acknowledged."""
        return self.durability == "durable"


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


def _checked(key: str, value: object, where: str) -> Any:
    positive_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if key.endswith("_s") and positive_number:
        return float(value)  # type: ignore[arg-type]
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
