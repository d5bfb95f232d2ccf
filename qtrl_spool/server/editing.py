"""Edit a job that waits: its patch and its manifest are replaced, checked as at acceptance, or nothing is.

The event ``editing`` says beforehand what is meant, ``edited`` afterwards that it counts; so a death in
between is brought to its end from the files that it left (see ``spool.edits``) and from that event.
Either an edit or a claim gets the ticket, and whoever asked is told which.

Called by ``verbs``; what a death left is put right by `Settling.settle_edits`. Fails: as acceptance does for
what cannot be; `MovedOnError` if the ticket was moved in the same moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from qtrl_spool import fs, run
from qtrl_spool.bundle import Bundle, Limits, job_name, pack, unpack
from qtrl_spool.bundle.change import Change, changed, told
from qtrl_spool.config import Configuration
from qtrl_spool.errors import ConfigConflictError, UsageError
from qtrl_spool.server.after import check_after
from qtrl_spool.server.asking import Asked, MovedOnError
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.spool.edits import Edits
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets


class Editing:
    """Edits jobs, for one server.

    Parameters
    ----------
    layout, limits:
        Of the spool; an edited bundle is held to them like a dropped one.
    journal, moves, outcome:
        Of this server.
    server:
        Its name.
    default:
        Returns the default configuration at a version, or in force.
    """

    def __init__(
        self,
        layout: Layout,
        limits: Limits,
        journal: Journal,
        moves: Tickets,
        outcome: Outcome,
        server: str,
        default: Callable[[int | str], Configuration],
    ) -> None:
        self._layout = layout
        self._limits = limits
        self._journal = journal
        self._outcome = outcome
        self._default = default
        self._edits = Edits(layout, server, moves)

    def edit(self, place: Place, asked: Asked) -> str:
        """Replace the bundle of a job that waits; return the answer in words."""
        job_id = place.ticket.job_id
        self._check_fresh(place)
        data = fs.read(place.path)
        if data is None:
            raise MovedOnError(job_id)
        _check_base(asked.tree.get("base"), data, job_id)
        old = unpack(data, self._limits)
        new = changed(old, Change.from_request(asked.tree))
        said = told(old, new)
        if not said:
            return f"{job_id} stays as it is: it says that already"
        packed = self._checked(new, job_id)
        note = {"request": asked.id, "edited_by": asked.user, "changes": said, "old_sha256": _sha256(data)}
        self._replace(place, packed, {**note, **self._facts(old, new, job_id)})
        return f"{job_id} is edited: {'; '.join(said)}"

    # ------------------------------------------------------------ may it be

    def _check_fresh(self, place: Place) -> None:
        batch = self._journal.record(place.ticket.job_id)["progress"]["batch"]
        if batch:
            raise UsageError(
                f"{place.ticket.job_id} has measured {batch} batches and cannot be edited",
                hint="cancel it, and submit it again with 'qtrl-spool retry'",
            )

    def _checked(self, bundle: Bundle, job_id: str) -> bytes:
        """Return the ticket of a bundle that could be accepted."""
        run.check(bundle, self._default(bundle.manifest.config_version))
        check_after(self._layout, job_id, bundle.manifest.after)
        packed = pack(bundle)
        unpack(packed, self._limits)
        return packed

    def _facts(self, old: Bundle, new: Bundle, job_id: str) -> dict[str, Any]:
        """Return what the record says of the new bundle, as at acceptance."""
        manifest, default = new.manifest, self._default(new.manifest.config_version)
        record = self._journal.record(job_id)
        is_pinned = manifest.config_version == old.manifest.config_version
        return {
            "name": job_name(new, record["name"]),
            "tags": list(manifest.tags),
            "instrument": manifest.instrument,
            "after": list(manifest.after),
            "not_before": manifest.not_before,
            "config_version": record["config_version"] if is_pinned else default.version,
            "n_batches": (shape := run.check(new, default))["n_batches"],
            "shape": shape,
        }

    # ------------------------------------------------------------ do it

    def _replace(self, place: Place, packed: bytes, details: dict[str, Any]) -> None:
        job_id = place.ticket.job_id
        self._outcome.open(job_id)
        note = {**details, "new_sha256": _sha256(packed)}
        self._journal.note(job_id, place.ticket.claim, "editing", **note)
        edit = self._edits.begin(place, packed)
        if edit is None or not self._edits.decide(edit):
            self._outcome.settle_if_known(job_id)
            raise MovedOnError(job_id)
        self._outcome.note_edit(edit)
        self._outcome.keep_up(self._edits.end(edit))
        self._outcome.close_if_idle(job_id)


def _check_base(base: object, data: bytes, job_id: str) -> None:
    """Refuse an edit of a bundle that is no longer the one that was looked at."""
    if base is not None and base != _sha256(data):
        raise ConfigConflictError(
            f"{job_id} was edited since it was looked at", hint="look again, and edit what is there now"
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
