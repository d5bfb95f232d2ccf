"""The intake of one server, without the server: what the tests of it share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.config import ConfigStore
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server.intake import Intake
from qtrl_spool.spool import tickets
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import read_settings

SEQUENCE = pi_no_pi(0).to_dict()
TEXT = json.dumps(SEQUENCE)


def intake_of(
    layout: Layout,
    *,
    renamed: bool = True,
    index: Index | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    server: str = "lab",
    settle: Callable[[str], None] = lambda job_id: None,
) -> Intake:
    settings = read_settings(layout.mark)
    store = ConfigStore(layout.config)
    fs.make_folder(layout.accepting_by(server))
    journal = Journal(layout, server, durable=settings.durable)
    index = index or Index(layout)
    default, was_renamed = (lambda _: store.current()), (lambda _: renamed)
    return Intake(layout, settings, journal, server, default, was_renamed, index, meanwhile, settle)


def drop(layout: Layout, name: str, text: str = TEXT, box: str = "50-normal") -> Path:
    path = layout.incoming / box / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def queued(layout: Layout) -> list[str]:
    return [place.ticket.job_id for place in tickets.queued(layout)]
