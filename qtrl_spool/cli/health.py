"""``doctor``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import json_option, spool_option
from qtrl_spool.cli.say import document, fact, word
from qtrl_spool.errors import harmless

if TYPE_CHECKING:
    from qtrl_spool.repair import Mending
    from qtrl_spool.spool.findings import Finding
    from qtrl_spool.spool.layout import Layout

_COLOURS = {
    "fine": "green", "note": "yellow", "wrong": "red", "mended": "green", "left": "yellow", "failed": "red",
}  # fmt: skip


@click.command()
@click.option("--repair", is_flag=True, help="Put right first what is wrong with the spool; deletes nothing.")
@spool_option
@json_option
def doctor(repair: bool, spool: str, as_json: bool) -> int:
    """Try this storage and this spool, and say what to change; exit status 1 if something is wrong.

    With --repair a damaged spool is put right before, whether or not servers are running: each line says
    what was wrong and what was done. What is in the way goes to lost+found/ in the spool.
    """
    from dataclasses import asdict

    from qtrl_spool.spool.doctor import WRONG, examine
    from qtrl_spool.spool.layout import Layout
    from qtrl_spool.spool.probe import DEADLINE_S, within

    layout = within(DEADLINE_S, lambda: Layout.of(spool), f"looking for {spool}")
    mended = _repair(layout, as_json=as_json) if repair else []
    found = []
    for each in examine(layout, now=datetime.now(UTC)):
        found.append(each)
        if not as_json:
            _tell(each)
    n_wrong = sum(each.verdict == WRONG for each in found)
    if as_json:
        repairs = {"repairs": mended} if repair else {}
        document({"ok": n_wrong == 0, **repairs, "findings": [asdict(each) for each in found]})
    else:
        word(
            f"{n_wrong} {'thing is' if n_wrong == 1 else 'things are'} wrong"
            if n_wrong
            else "nothing is wrong"
        )
    return 1 if n_wrong else 0


def _repair(layout: Layout, *, as_json: bool) -> list[dict[str, Any]]:
    """Repair a spool, and return what was done as documents."""
    from dataclasses import asdict

    from qtrl_spool.repair import repair
    from qtrl_spool.spool.settings import read_settings

    mended = []
    for each in repair(layout, read_settings(layout.mark)):
        mended.append(asdict(each))
        if not as_json:
            _tell(each)
    if not mended and not as_json:
        word("there was nothing to repair")
    return mended


def _tell(found: Finding | Mending) -> None:
    """Print one thing that was found or mended."""
    verdict = click.style(f"{found.verdict:<6}", fg=_COLOURS[found.verdict])
    fact(f"{verdict} {found.what}: {harmless(found.said)}")
    if found.hint:
        fact(f"       → {harmless(found.hint)}")
