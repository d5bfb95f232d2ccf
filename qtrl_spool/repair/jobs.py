"""Puts one job right: one ailment after another, each with a look of its own before it.

Called by ``repair`` for jobs whose ailments lasted over several looks. Every step is one or a few renames
and appends, after each of which the job is no worse than before, so a death anywhere is mended by
repairing again. A ticket is moved by its full name, claim number included: if a server moved it meanwhile,
the step does nothing. Fails: a step that the storage refuses is told, and the job is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import Manifest, job_name, unpack
from qtrl_spool.bundle.archive import pack_members
from qtrl_spool.errors import QtrlSpoolError, StorageError
from qtrl_spool.job import State, Ticket, final_name, is_id
from qtrl_spool.repair.living import REPAIR
from qtrl_spool.repair.mending import FAILED, LEFT, MENDED, Mending, refused
from qtrl_spool.repair.parking import Parking
from qtrl_spool.repair.sources import events_of, ticket_of
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.spool import survey, tickets
from qtrl_spool.spool.diagnosis import Ailment, Seen, chosen, diagnose
from qtrl_spool.spool.journal import PARTIAL, RESULT, Journal, claimed_result, read_status
from qtrl_spool.spool.layout import DEFAULT_PRIORITY, Layout
from qtrl_spool.spool.orders import Order, between
from qtrl_spool.spool.settings import Settings
from qtrl_spool.spool.snapshot import read_snapshot
from qtrl_spool.spool.tickets import Place

_ONLY_IF_LASTING = {Ailment.TWICE, Ailment.EMPTY, Ailment.TICKETLESS}
"""One look may see these of a ticket that is on its way."""
_NEW_HOME = "its home was lost; made anew by 'qtrl-spool doctor --repair'"
_LOST = pack_members({"lost.txt": b"The ticket of this job was lost, and no copy of it was left.\n"})


class Jobs:
    """Mends jobs.

    Parameters
    ----------
    layout, settings:
        The spool.
    parking:
        Where to put what is in the way.
    """

    def __init__(self, layout: Layout, settings: Settings, parking: Parking) -> None:
        self._layout = layout
        self._parking = parking
        self._durable = settings.durable
        self._journal = Journal(layout, REPAIR, durable=settings.durable)
        moves = tickets.Tickets(layout, durable=settings.durable)
        self._outcome = Outcome(layout, self._journal, moves, REPAIR, settings.max_attempts)
        self._steps: dict[Ailment, Callable[[Seen], Mending]] = {
            Ailment.TWICE: self._keep_one,
            Ailment.UNREADABLE: self._take_unreadable_out,
            Ailment.EMPTY: self._park_home,
            Ailment.TICKETLESS: self._make_ticket,
            Ailment.HOMELESS: self._make_home,
            Ailment.EVENTLESS: self._make_events,
            Ailment.TORN: self._untear,
            Ailment.UNPUBLISHED: self._publish,
            Ailment.RECORD: self._settle,
            Ailment.RESULTLESS: self._tell_lost_result,
        }

    def mend(self, job_id: str, lasting: Iterable[Ailment]) -> Iterator[Mending]:
        """Mend what was seen to last, and what follows from it while it is mended."""
        known, tried = set(lasting), set[Ailment]()
        while True:
            self._journal.forget(job_id)
            seen = survey.look(self._layout, job_id)
            ailment = next((each for each in diagnose(seen) if each in known - tried), None)
            if ailment is None:
                return
            tried.add(ailment)
            known |= set(Ailment) - _ONLY_IF_LASTING
            known |= {Ailment.TICKETLESS} if ailment is Ailment.UNREADABLE else set()
            try:
                yield self._steps[ailment](seen)
            except (StorageError, OSError) as error:
                yield refused(job_id, error, str(ailment))
                return

    # ------------------------------------------------------------ tickets

    def _keep_one(self, seen: Seen) -> Mending:
        kept, others = chosen(seen.places, seen.recorded)
        if not fs.exists(kept.path):
            return Mending(LEFT, seen.job_id, "it moves at present: repair again when it is at rest")
        parked = [each for each in others if self._parking.park(each.path)]
        gone = ", ".join(self._below(each.path) for each in parked) or "none, they had gone"
        said = f"it had {len(seen.places)} tickets: {self._below(kept.path)} counts, put aside: {gone}"
        return Mending(MENDED, seen.job_id, said)

    def _take_unreadable_out(self, seen: Seen) -> Mending:
        place = seen.place
        if place is None or ticket_of(self._layout, self._parking, seen.job_id) is None:
            said = (
                "its ticket cannot be read and no copy of it is left: a server will fail it, with the reason"
            )
            return Mending(LEFT, seen.job_id, said, "submit it again")
        aside = self._parking.park(place.path)
        where = "" if aside is None else f" in {self._below(aside)}"
        return Mending(MENDED, seen.job_id, f"its ticket could not be read: it was put aside{where}")

    def _park_home(self, seen: Seen) -> Mending:
        aside = self._parking.park(self._layout.home(seen.job_id))
        where = "" if aside is None else f" in {self._below(aside)}"
        return Mending(MENDED, seen.job_id, f"nothing is known of it but its empty home, put aside{where}")

    def _make_ticket(self, seen: Seen) -> Mending:
        record = seen.record or self._journal.record(seen.job_id)
        state = State.DONE if RESULT in seen.names else State(record["state"])
        copy = ticket_of(self._layout, self._parking, seen.job_id)
        claim = self._last_claim(seen)
        if state.final:
            data = copy[0] if copy else _LOST
            fs.replace(self._layout.home(seen.job_id) / final_name(state, claim), data, durable=self._durable)
            said = f"its ticket was lost; it is {state}, and has {'a new one' if copy else 'an empty one'}"
            return Mending(MENDED, seen.job_id, said)
        if copy is None:
            return self._give_up(seen, claim)
        where = self._put(seen.job_id, record, state, claim, *copy)
        said = f"its ticket was lost, and made anew from {self._below(copy[1])}: {self._below(where)}"
        return Mending(MENDED, seen.job_id, said)

    def _give_up(self, seen: Seen, claim: int) -> Mending:
        """End a job of which nothing is left that could be run."""
        message = "the job's ticket was lost from the spool, and no copy of it is left"
        error = StorageError(message, hint="submit it again").record()
        self._journal.note(seen.job_id, claim, "error", error=error)
        target = self._layout.home(seen.job_id) / final_name(State.FAILED, claim)
        fs.replace(target, _LOST, durable=self._durable)
        self._journal.note(seen.job_id, claim, "failed", error=error)
        said = "its ticket was lost and no copy of it is left: it has failed, and its record says so"
        return Mending(FAILED, seen.job_id, said, "submit it again")

    def _put(
        self, job_id: str, record: Mapping[str, Any], state: State, claim: int, data: bytes, copy: Path
    ) -> Path:
        """Put a ticket made anew among those that wait, before those that were accepted later."""
        priority = record.get("priority")
        priority = DEFAULT_PRIORITY if priority is None else int(priority)
        order, fraction = _order_in(copy.name, job_id) or self._order(record)
        name = Ticket(priority, order, job_id, claim, fraction).name
        moves = tickets.Tickets(self._layout, durable=self._durable)
        folder = self._layout.held if state is State.HELD else moves.queue_folder(priority)
        fs.replace(folder / name, data, durable=self._durable)
        return folder / name

    def _order(self, record: Mapping[str, Any]) -> Order:
        """Return an order number before all that were accepted later and wait."""
        accepted = str(record.get("accepted") or "")
        waiting = [place for places in survey.open_places(self._layout).values() for place in places]
        orders = {(each.ticket.order, each.ticket.fraction): self._accepted(each) for each in waiting}
        following = min((order for order, at in orders.items() if at > accepted), default=None)
        if following is None:
            return 1 + max((whole for whole, _ in orders), default=0), ""
        before = max((order for order in orders if order < following), default=(0, ""))
        return between(before, following) or following

    def _accepted(self, place: Place) -> str:
        record = read_status(self._layout, place.ticket.job_id) or {}
        return str(record.get("accepted") or "")

    @staticmethod
    def _last_claim(seen: Seen) -> int:
        """Return the highest number that a claim of the job may have had: no ticket falls behind it."""
        parts = (name.split(".") for name in seen.names if name.startswith(("events.c", "result.c")))
        return max((int(part[1][1:]) for part in parts if part[1][1:].isdigit()), default=0)

    # ------------------------------------------------------------ what is known of it

    def _make_home(self, seen: Seen) -> Mending:
        place = seen.place
        if place is None:
            return Mending(LEFT, seen.job_id, "its ticket moved on meanwhile")
        self._journal.open_home(seen.job_id)
        facts = fs.facts(place.path)
        uid = facts.st_uid if facts else -1
        name, manifest = _about(place)
        user = manifest.user or self._user_told(seen.job_id)
        self._journal.note(
            seen.job_id, 0, "accepted", uid=uid, user=user, name=name,
            priority=place.ticket.priority or DEFAULT_PRIORITY, tags=list(manifest.tags),
            instrument=manifest.instrument, after=list(manifest.after), not_before=manifest.not_before,
            n_batches=manifest.n_batches,
        )  # fmt: skip
        if place.state is State.RUNNING:
            self._journal.note(seen.job_id, place.ticket.claim, "claimed", server=place.server)
        elif place.state is State.HELD:
            self._journal.note(seen.job_id, place.ticket.claim, "held", reason=_NEW_HOME)
        said = "its ticket had no home: made anew; who dropped it is not known any more"
        return Mending(MENDED, seen.job_id, said, "admins can steer it")

    def _user_told(self, job_id: str) -> str | None:
        """Return whose job it is by the last snapshot of the queue; its ticket is the server's own file."""
        told = read_snapshot(self._layout)
        try:
            user = ((told.record(job_id) if told else None) or {}).get("user")
        except ValueError:  # a line that is none
            return None
        return None if user is None else str(user)

    def _make_events(self, seen: Seen) -> Mending:
        lines = (
            json.dumps(each, ensure_ascii=False) for each in events_of(seen.record or {}, self._journal.now())
        )
        log = self._layout.home(seen.job_id) / "events.c0.jsonl"
        fs.append_line(log, "\n".join(lines), durable=self._durable)
        return Mending(
            MENDED, seen.job_id, "its events were lost: made anew from its record, as far as it knows"
        )

    def _untear(self, seen: Seen) -> Mending:
        home = self._layout.home(seen.job_id)
        asides = []
        for name in sorted(seen.torn):
            data = fs.read(home / name) or b""
            asides.append(self._below(self._parking.keep(home / name, data)))
            whole = [line for line in data.splitlines() if survey.kind_of(line) is not None]
            fs.replace(home / name, b"".join(line + b"\n" for line in whole), durable=self._durable)
        said = f"its events had torn lines: taken out, the file as it was is in {', '.join(asides)}"
        return Mending(MENDED, seen.job_id, said)

    # ------------------------------------------------------------ its end

    def _publish(self, seen: Seen) -> Mending:
        place, home = seen.place, self._layout.home(seen.job_id)
        if place is not None:
            self._park_partial(seen)
            fs.move(home / claimed_result(place.ticket.claim), home / RESULT, durable=self._durable)
        return Mending(MENDED, seen.job_id, "it was done and its result not published: published now")

    def _settle(self, seen: Seen) -> Mending:
        if seen.place is None:
            self._journal.rewrite(seen.job_id)
        else:
            if seen.place.state is State.DONE and RESULT in seen.names:
                self._park_partial(seen)
            self._outcome.settle(seen.job_id)
        before = "was missing" if seen.record is None else f"said {seen.record.get('state')}"
        after = (read_status(self._layout, seen.job_id) or {}).get("state")
        return Mending(MENDED, seen.job_id, f"its record {before}: it says {after} now, as its ticket does")

    def _park_partial(self, seen: Seen) -> None:
        if PARTIAL in seen.names:
            self._parking.park(self._layout.home(seen.job_id) / PARTIAL)

    def _tell_lost_result(self, seen: Seen) -> Mending:
        message = "the job was done, and its result is not there any more"
        error = StorageError(message, hint="submit it again with --like").record()
        claim = seen.place.ticket.claim if seen.place else 0
        self._journal.note(seen.job_id, claim, "error", error=error)
        said = "it is done and its result is gone: its record says so now"
        return Mending(
            FAILED, seen.job_id, said, f"'qtrl-spool submit --like {seen.job_id}' runs it once more"
        )

    def _below(self, path: Path) -> str:
        return self._parking.below(path)


def _order_in(name: str, job_id: str) -> Order | None:
    """Return the order number that the name of a ticket's copy has, if it is one of this job."""
    ticket = Ticket.parse(name.removeprefix("."))
    return (ticket.order, ticket.fraction) if ticket is not None and ticket.job_id == job_id else None


def _about(place: Place) -> tuple[str, Manifest]:
    """Return a job's name and its manifest by its ticket; what can be known without, if it is unreadable."""
    job_id = place.ticket.job_id
    plain = job_id[16:-6] if is_id(job_id) else job_id
    try:
        bundle = unpack(fs.read(place.path) or b"")
    except QtrlSpoolError:
        return plain, Manifest()
    return job_name(bundle, plain), bundle.manifest
