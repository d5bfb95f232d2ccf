"""How large and how intricate a drop may be: the ``limits:`` of ``spool.yaml``.

The defaults leave a factor of ten above the largest sequences known (27 MB of JSON for thirty
random sequences of 500 gates) and bound what one drop costs the server to a few seconds and a few
hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from qtrl_spool.errors import ConfigError, did_you_mean

_KIB, _MIB = 1024, 1024 * 1024


def or_raise(limit: str, instead: str) -> str:
    """Return the remedy of what is beyond a limit: what to do instead, and the limit's name."""
    return f"{instead}; or an admin raises limits: {limit} in spool.yaml"


@dataclass(frozen=True)
class Limits:
    """What one drop may hold, and one user may hand in; every value is a count or a number of bytes.

    Attributes
    ----------
    max_bytes:
        Size of a drop as it lies there; of a folder, all its files together.
    max_members:
        Files in a ZIP or a folder, system junk counted.
    max_unpacked_bytes:
        All members of a ZIP unpacked, counted while they are read.
    max_ratio:
        Unpacked bytes for one packed byte, where a member unpacks to more than `max_bytes`.
    max_yaml_bytes:
        One YAML text (YAML takes a hundred times as long to read as JSON).
    max_request_bytes:
        One file in ``requests/``.
    max_depth:
        Nesting of lists and mappings.
    max_values:
        Values in one JSON text.
    max_appends:
        Appends of one sequence.
    per_user_queued:
        Jobs of one user that may wait at once; what is more waits in ``incoming/``. None: no limit.
    per_user_per_minute:
        Drops of one user that are taken within a minute, by each server. None: no limit.
    """

    max_bytes: int = 64 * _MIB
    max_members: int = 64
    max_unpacked_bytes: int = 128 * _MIB
    max_ratio: int = 200
    max_yaml_bytes: int = 1 * _MIB
    max_request_bytes: int = 256 * _KIB
    max_depth: int = 64
    max_values: int = 10_000_000
    max_appends: int = 1_000_000
    per_user_queued: int | None = None
    per_user_per_minute: int | None = None

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], where: str = "spool.yaml") -> Limits:
        """Return the limits that the ``limits:`` section of ``spool.yaml`` sets, defaults elsewhere.

        Raises
        ------
        ConfigError
            If it names an unknown limit, or one is no whole number above 0.
        """
        known = [each.name for each in fields(cls)]
        for key, value in tree.items():
            if key not in known:
                hint = did_you_mean(str(key), known) or f"there are {', '.join(known)}"
                raise ConfigError(f"unknown limit {key!r}", where=where, hint=hint)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(
                    f"limits: {key} is {value!r}, it must be a whole number above 0", where=where
                )
        return cls(**tree)
