"""Cancel, hold, release, move, edit: what requests ask to be done with a job.

Each can be carried out twice and changes nothing the second time. A ticket that leaves the queue is
moved first and noted then; one that goes into it is noted first, because from that moment on any
server may claim it. A death in between is put right by `Outcome.settle`, and the request is carried out
again.

Called by ``steering``. Fails: `UsageError` where the job's state does not allow it, `NotAllowedError`
for other people's jobs, `NotFoundError`; `MovedOnError` if somebody else moved the ticket meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from qtrl_spool import host
from qtrl_spool.errors import NotAllowedError, NotFoundError, UsageError
from qtrl_spool.job import ADMINS, OWNERS, State, is_id, said_of
from qtrl_spool.server.asking import Asked, MovedOnError
from qtrl_spool.server.editing import Editing
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.settling import unseen
from qtrl_spool.spool.edits import is_edited
from qtrl_spool.spool.journal import Journal, holds_asked_for, read_events, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.orders import Order, between
from qtrl_spool.spool.tickets import Place, Tickets, find, held, queued, running, turn

WAITING = (State.QUEUED, State.PAUSED)
_PARTICIPLES = {"move": "moved", "edit": "edited"}
"""The verbs whose event names the request, by which it is known that they were carried out."""


class JobVerbs:
    """Carries out what is asked about jobs, for one server.

    Parameters
    ----------
    layout:
        The spool.
    journal, moves, outcome:
        Of this server.
    server:
        Its name.
    editing:
        What edits jobs.
    stop_running:
        Called with a job id, why, and whether at once, to stop the job that this server runs.
    park_running:
        Called with a job id, why, and what notes it before, to stop it after its batch, to be held; False if
        it ends anyway.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        moves: Tickets,
        outcome: Outcome,
        server: str,
        editing: Editing,
        stop_running: Callable[[str, str, bool], None],
        park_running: Callable[[str, str, Callable[[], object]], bool],
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._moves = moves
        self._outcome = outcome
        self._server = server
        self._editing = editing
        self._stop_running = stop_running
        self._park_running = park_running

    def carry_out(self, asked: Asked) -> str:
        """Do what is asked and return the answer in words."""
        place = self._place(asked)
        if asked.again and self._was_carried_out(asked):
            return f"{asked.about} is {_PARTICIPLES[asked.verb]}"
        return {
            "cancel": self._cancel,
            "hold": self._hold,
            "release": self._release,
            "move": self._move,
            "edit": self._edit,
        }[asked.verb](place, asked)

    def _was_carried_out(self, asked: Asked) -> bool:
        """Whether this very request moved or edited a job, and a death or trouble kept it from an answer."""
        if asked.verb not in _PARTICIPLES:
            return False
        events = read_events(self._layout, asked.about)
        wanted = _PARTICIPLES[asked.verb], asked.id
        return any((each["event"], each.get("request")) == wanted for each in events)

    def _place(self, asked: Asked, job_id: str | None = None) -> Place:
        """Return where a job's ticket lies, the one that is asked about if no other, if they may steer it."""
        job_id = job_id or asked.about
        place = find(self._layout, job_id) if is_id(job_id) else None
        if place is None and is_edited(self._layout, job_id):
            raise unseen(job_id)
        if place is None:
            record = read_status(self._layout, job_id) if is_id(job_id) else None
            state = f": it is {record['state']}" if record else ""
            hint = None if is_id(job_id) else "name the full id"
            raise NotFoundError(f"there is no job {job_id!r} in the queue{state}", hint=hint)
        self._journal.forget(job_id)
        owner = self._journal.record(job_id).get("uid")
        if asked.uid != owner and not asked.is_admin:
            raise NotAllowedError(
                f"job {job_id} belongs to {host.user_name(owner) if owner is not None else 'somebody else'}, "
                f"not to {asked.user}",
                hint="its owner or an admin (spool.yaml: admins) can steer it",
            )
        return place

    # ------------------------------------------------------------ cancel

    def _cancel(self, place: Place, asked: Asked) -> str:
        job_id, why = place.ticket.job_id, f"cancelled by {asked.user}"
        if place.state is State.CANCELLED:
            return f"{job_id} was cancelled already"
        if place.state is State.RUNNING:
            self._check_ours(place)
            at_once = bool(asked.tree.get("now"))
            self._stop_running(job_id, why, at_once)
            return (
                f"{job_id} stops {'at once' if at_once else 'after this batch'}; "
                "what it has measured is kept as its partial result"
            )
        only(place, "cancelled", *WAITING, State.HELD)
        if not self._outcome.cancel(place, why):
            raise MovedOnError(job_id)
        return f"{job_id} is cancelled"

    # ------------------------------------------------------------ hold, release

    def _hold(self, place: Place, asked: Asked) -> str:
        job_id = place.ticket.job_id
        only(place, "held", *WAITING, State.HELD, State.RUNNING)
        record = self._journal.record(job_id)
        kind = OWNERS if asked.uid == record.get("uid") else ADMINS
        if place.state is State.HELD and kind in (record.get("holds") or {}):
            return f"{job_id} is held already: {record['reason']}"
        note = {"hold": kind, "held_by": asked.user, "why": asked.reason, "request": asked.id}
        if place.state is State.RUNNING:
            return self._hold_running(place, note)
        if place.state is State.HELD:
            self._noted(place, "held", **note)
        else:
            self._moved(place, self._moves.hold, "held", **note)
        return f"{job_id} is {self._journal.record(job_id)['reason']}"

    def _hold_running(self, place: Place, note: Mapping[str, Any]) -> str:
        """Let a running job be parked after its batch; it keeps what it measured and goes on from there."""
        job_id, claim = place.ticket.job_id, place.ticket.claim
        self._check_ours(place)
        done = self._journal.record(job_id).get("progress") or {}
        if done.get("n_batches") and done["batch"] + 1 >= done["n_batches"]:
            raise UsageError(
                f"{job_id} is in its last batch and ends with it", hint="wait for its end, or cancel it"
            )
        asked = holds_asked_for(self._layout, job_id, claim)
        said = said_of(_holds({**asked, note["hold"]: note}))

        def note_it() -> None:
            if note["hold"] not in asked:
                self._journal.note(job_id, claim, "holding", reason=f"after its batch, {said}", **note)

        if not self._park_running(job_id, said or "", note_it):
            raise UsageError(f"{job_id} has measured all and ends now", hint="wait for its end")
        return f"{job_id} is held after its batch, and goes on from there when it is released"

    def _release_running(self, place: Place, asked: Asked) -> str:
        """Take back that a running job shall be parked."""
        job_id, claim = place.ticket.job_id, place.ticket.claim
        self._check_ours(place)
        holds = _holds(holds_asked_for(self._layout, job_id, claim))
        if not (asked.again and self._has_ended_one_hold(asked)):
            if not holds:
                only(place, "released", State.HELD)
            kind = released_hold(holds, is_admin=asked.is_admin)
            if kind is None:
                raise NotAllowedError(f"{job_id} is to be {said_of(holds)}", hint="an admin can release it")
            holds.pop(kind)
            reason = f"after its batch, {said_of(holds)}" if holds else None
            note = {"hold": kind, "off": True, "released_by": asked.user, "request": asked.id}
            self._journal.note(job_id, claim, "holding", reason=reason, **note)
        if holds:
            return f"{job_id} is still {said_of(holds)} after its batch"
        return f"{job_id} is not held after its batch, and goes on in its turn"

    def _check_ours(self, place: Place) -> None:
        if place.server != self._server:
            raise MovedOnError(place.ticket.job_id)

    def _release(self, place: Place, asked: Asked) -> str:
        job_id = place.ticket.job_id
        if place.state in WAITING:
            return f"{job_id} is not held"
        if place.state is State.RUNNING:
            return self._release_running(place, asked)
        only(place, "released", State.HELD)
        if asked.again and self._has_ended_one_hold(asked):
            return f"{job_id} is still {self._journal.record(job_id)['reason']}"
        holds = self._journal.record(job_id).get("holds") or {}
        kind = released_hold(holds, is_admin=asked.is_admin)
        if holds and kind is None:
            raise NotAllowedError(f"{job_id} is {said_of(holds)}", hint="an admin can release it")
        note = {"hold": kind, "released_by": asked.user, "request": asked.id}
        left = {each: hold for each, hold in holds.items() if each != kind}
        if left:
            self._noted(place, "released", held_still=True, **note)
            return f"{job_id} is still {said_of(left)}"
        self._outcome.open(job_id)
        self._journal.note(job_id, place.ticket.claim, "released", **note)
        moved = self._moves.enqueue(place)
        if moved is None:
            self._outcome.settle_if_known(job_id)
            raise MovedOnError(job_id)
        self._outcome.keep_up(moved)
        self._outcome.close_if_idle(job_id)
        return f"{job_id} is released"

    def _has_ended_one_hold(self, asked: Asked) -> bool:
        """Whether this request took away one of two holds before a death: it must not take the other."""
        events = read_events(self._layout, asked.about)
        mine = [each for each in events if each.get("request") == asked.id]
        return any(each.get("held_still") or each.get("off") for each in mine)

    # ------------------------------------------------------------ move

    def _move(self, place: Place, asked: Asked) -> str:
        if ("priority" in asked.tree) == ("before" in asked.tree):
            raise UsageError(
                "the request must name either a priority or the job before which this one shall run",
                hint="write {move: JOB, priority: urgent} or {move: JOB, before: OTHER}",
            )
        only(place, "moved", *WAITING, State.HELD)
        if "before" in asked.tree:
            return self._move_before(place, self._other(asked), asked)
        priority = self._layout.priority(str(asked.tree["priority"]))
        self._moved(
            place,
            lambda each: self._moves.reprioritize(each, priority),
            "moved",
            priority=priority,
            moved_by=asked.user,
            request=asked.id,
        )
        return f"{place.ticket.job_id} has priority {priority} now"

    def _other(self, asked: Asked) -> Place:
        """Return where the job lies before which another one shall run: whoever asks must own it, too."""
        other = self._place(asked, str(asked.tree["before"]))
        if other.ticket.job_id == asked.about:
            raise UsageError("a job cannot be moved before itself", hint="name another one")
        only(other, "overtaken", *WAITING, State.HELD)
        return other

    def _move_before(self, place: Place, other: Place, asked: Asked) -> str:
        """Give a job the place next before another one, by one rename."""
        job_id, priority = place.ticket.job_id, other.ticket.priority
        around = [each for each in self._around() if each.ticket.job_id != job_id]
        said = f"{job_id} runs before {other.ticket.job_id} now, at priority {priority}"
        if self._is_next_before(place, other, around):
            return said
        order = _next_before(other, around)
        self._moved(
            place,
            lambda each: self._moves.reprioritize(each, priority, order),
            "moved",
            priority=priority,
            before=other.ticket.job_id,
            moved_by=asked.user,
            request=asked.id,
        )
        return said

    def _around(self) -> list[Place]:
        """Return every ticket whose order number counts."""
        return [*queued(self._layout), *held(self._layout), *running(self._layout)]

    def _is_next_before(self, place: Place, other: Place, around: Iterable[Place]) -> bool:
        """Whether no job runs between the two; a record that does not say so yet is put right."""
        first, last = turn(place), turn(other)
        if first[0] != last[0] or first > last or any(first < turn(each) < last for each in around):
            return False
        if self._journal.record(place.ticket.job_id)["priority"] != first[0]:
            self._noted(place, "moved", priority=first[0])
        return True

    # ------------------------------------------------------------ edit

    def _edit(self, place: Place, asked: Asked) -> str:
        if place.state is State.RUNNING:
            raise UsageError(
                f"{place.ticket.job_id} is running and cannot be edited",
                hint="that can be done to jobs that are queued or held and have measured nothing yet; "
                "cancel it, and submit it again with 'qtrl-spool retry'",
            )
        only(place, "edited", *WAITING, State.HELD, rule="queued or held and have measured nothing yet")
        return self._editing.edit(place, asked)

    def _noted(self, place: Place, event: str, **details: object) -> None:
        """Note what moves no ticket; a death before the record is written is put right like one in a move."""
        self._outcome.open(place.ticket.job_id)
        self._journal.note(place.ticket.job_id, place.ticket.claim, event, **details)
        self._outcome.keep_up(place)
        self._outcome.close_if_idle(place.ticket.job_id)

    def _moved(
        self, place: Place, move: Callable[[Place], Place | None], event: str, **details: object
    ) -> None:
        job_id = place.ticket.job_id
        self._outcome.open(job_id)
        moved = move(place)
        if moved is None:
            self._outcome.close_if_idle(job_id)
            raise MovedOnError(job_id)
        self._journal.note(job_id, place.ticket.claim, event, **details)
        self._outcome.keep_up(moved)
        self._outcome.close_if_idle(job_id)


def released_hold(holds: object, *, is_admin: bool) -> str | None:
    """Return which of a job's holds a release ends: an admin's first of all the admins', else the owner's.

    None: there is none that whoever asks may end.
    """
    known = set(holds) if isinstance(holds, dict) else set()
    mine = [kind for kind in (ADMINS, OWNERS) if kind in known and (is_admin or kind == OWNERS)]
    return mine[0] if mine else None


def _holds(asked: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return holds that were asked for as a record has them: by whom each is, and why."""
    return {kind: {"by": each["held_by"], "why": each["why"]} for kind, each in asked.items()}


def only(place: Place, participle: str, *states: State, rule: str | None = None) -> None:
    """Refuse what cannot be done to a job in its state; `rule` says to which it can, if not to all of these.

    Raises
    ------
    UsageError
        If it is in none of `states`.
    """
    if place.state not in states:
        raise UsageError(
            f"{place.ticket.job_id} is {place.state} and cannot be {participle}",
            hint=f"that can be done to jobs that are {rule or _either(states)}",
        )


def _next_before(other: Place, around: Iterable[Place]) -> Order:
    """Return the order number next below another ticket's, and above the next smaller that anybody has.

    Raises
    ------
    UsageError
        If there is no room left between them.
    """
    upper = other.ticket.order, other.ticket.fraction
    numbers = ((each.ticket.order, each.ticket.fraction) for each in around)
    order = between(max((each for each in numbers if each < upper), default=(0, "")), upper)
    if order is None:
        raise UsageError(
            f"too many jobs were moved before {other.ticket.job_id}: there is no order number left",
            hint="move it before one of those, or wait until some have run",
        )
    return order


def _either(states: Sequence[State]) -> str:
    """Return states in words: ``queued, paused or held``."""
    first, last = ", ".join(states[:-1]), states[-1]
    return f"{first} or {last}" if first else last
