"""How a server notices what happens in its spool: chosen by what its storage is, and said in the log.

Called once by the main loop when the server starts; it costs a few ms on a local disk and at most
`probe.DEADLINE_S` on a storage that does not answer. What takes longer, because a second process has to
look, too, is tried beside it by the command. Fails never: what cannot be tried is a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from qtrl_spool.errors import StorageError
from qtrl_spool.server.wake import Wake
from qtrl_spool.spool import probe, trials
from qtrl_spool.spool.findings import FINE
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings

_log = logging.getLogger(__name__)


def watch(layout: Layout, settings: Settings, wake: Wake, folders: Iterable[Path], *, events: bool) -> str:
    """Try the storage, say what is worth knowing of it, and begin to watch.

    Parameters
    ----------
    layout, settings:
        The spool.
    wake:
        What events set.
    folders:
        What to watch, with all below.
    events:
        Whether events may be used at all.

    Returns
    -------
    str
        ``events`` or ``scanning``, as the heartbeat says under ``watching``.
    """
    storage = probe.look(layout)
    decision = probe.decide(storage, settings.scan_s)
    for warning in probe.warnings(storage, settings):
        _log.warning("%s", warning)
    heard = events and wake.watch(folders)
    watching = decision.watching if heard else probe.SCANNING
    _log.info("watching: %s (%s)", watching, decision.why if heard or not events else "no events here")
    return watching


def try_the_rest(layout: Layout) -> None:
    """Try renames, links, names, locks and what a second process sees; say what is wrong or worth knowing."""
    try:
        found = probe.within(
            probe.DEADLINE_S, lambda: list(trials.storage(layout)), "trying renames and locks"
        )
    except StorageError as error:
        _log.warning("the storage could not be tried: %s", error)
        return
    for each in found:
        if each.verdict != FINE:
            _log.warning("%s: %s%s", each.what, each.said, f" ({each.hint})" if each.hint else "")
    fine = ", ".join(dict.fromkeys(each.what for each in found if each.verdict == FINE))
    _log.info("tried on this storage and found fine: %s", fine or "nothing")
