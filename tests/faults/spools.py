"""A quick spool to be copied: short waits, and everything synced."""

from __future__ import annotations

from pathlib import Path

from qtrl_spool.create import create_spool

_QUICK = {
    "settle_s: 2 ": "settle_s: 0.05 ",
    "scan_s: 1.0 ": "scan_s: 0.05 ",
    "lease_s: 60 ": "lease_s: 0.4 ",
    "max_attempts: 10 ": "max_attempts: 1000000 ",
}


def template(root: Path, **settings: object) -> Path:
    """Make a spool at `root` and return it.

    Parameters
    ----------
    root:
        Where.
    settings:
        What its ``spool.yaml`` shall say instead.
    """
    create_spool(root, who="the tests")
    mark = root / "spool.yaml"
    quick = {old.split(":")[0]: new for old, new in _QUICK.items()}
    quick |= {key: f"{key}: {value} " for key, value in settings.items()}
    lines = [quick.pop(line.split(":")[0], line) for line in mark.read_text().splitlines()]
    assert not quick, f"spool.yaml has no {', '.join(quick)}"
    mark.write_text("\n".join(lines) + "\n")
    return root
