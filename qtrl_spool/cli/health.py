"""``doctor``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from qtrl_spool.cli.options import json_option, spool_option
from qtrl_spool.cli.say import document, fact, word

_COLOURS = {"fine": "green", "note": "yellow", "wrong": "red"}


@click.command()
@spool_option
@json_option
def doctor(spool: str, as_json: bool) -> int:
    """Try this storage and this spool, and say what to change; exit status 1 if something is wrong."""
    from dataclasses import asdict

    from qtrl_spool.spool.doctor import WRONG, examine
    from qtrl_spool.spool.layout import Layout
    from qtrl_spool.spool.probe import DEADLINE_S, within

    layout = within(DEADLINE_S, lambda: Layout.of(spool), f"looking for {spool}")
    found = []
    for each in examine(layout, now=datetime.now(UTC)):
        found.append(each)
        if not as_json:
            verdict = click.style(f"{each.verdict:<5}", fg=_COLOURS[each.verdict])
            fact(f"{verdict}  {each.what}: {each.said}")
            if each.hint:
                fact(f"       → {each.hint}")
    n_wrong = sum(each.verdict == WRONG for each in found)
    if as_json:
        document({"ok": n_wrong == 0, "findings": [asdict(each) for each in found]})
    else:
        word(
            f"{n_wrong} {'thing is' if n_wrong == 1 else 'things are'} wrong"
            if n_wrong
            else "nothing is wrong"
        )
    return 1 if n_wrong else 0
