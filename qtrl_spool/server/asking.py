"""What a request says and whose it is, before anything is done about it.

A request belongs to the owner of its *file*, whatever it says inside; `Asked` is made from the
descriptor that the request was read from, so that nothing can be put in its place in between.
Called by ``steering``. Pure.

Fails: `UsageError` for a request that makes no sense, `NotAllowedError` for one that its owner may not make.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from qtrl_spool.errors import NotAllowedError, OperatorError, UsageError, did_you_mean


class MovedOnError(OperatorError):
    """The ticket was no longer where it had been seen: the request may be carried out again."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"{job_id} moved on meanwhile", hint="look at its status and ask again")


KNOWS: Mapping[str, frozenset[str]] = {
    "cancel": frozenset({"now"}),
    "hold": frozenset({"reason"}),
    "release": frozenset(),
    "move": frozenset({"priority", "before"}),
    "edit": frozenset({"set", "unset", "manifest", "patch", "base"}),
    "pause": frozenset({"server", "reason"}),
    "resume": frozenset({"server"}),
    "drain": frozenset({"server"}),
    "config": frozenset({"base", "reason", "job"}),
    "rollback": frozenset({"reason"}),
}
"""Every verb, and what a request may say besides."""
_LONGEST_REASON = 500


@dataclass(frozen=True)
class Asked:
    """A request that was taken.

    Attributes
    ----------
    tree:
        What it says; its keys are checked.
    verb:
        One of `KNOWS`.
    id:
        Its own: no other request has it, and it stays when the request is carried out again after a death.
    uid, user:
        Whose file it is: number and login name.
    is_admin:
        Whether they may steer everybody's jobs.
    again:
        Whether it may have been carried out before, by a server that died before it could answer.
    """

    tree: Mapping[str, Any]
    verb: str
    id: str
    uid: int
    user: str
    is_admin: bool
    again: bool = False

    @property
    def about(self) -> str:
        """What the verb names: a job, ``queue``, …."""
        return str(self.tree[self.verb])

    @property
    def reason(self) -> str | None:
        """One line that says why; None if it gives none.

        Raises
        ------
        UsageError
            If it is no line of text.
        """
        why = self.tree.get("reason")
        if why is None:
            return None
        if isinstance(why, str) and not why.strip():
            raise UsageError("the reason is empty", hint="say why in one sentence, for whoever waits")
        if not isinstance(why, str) or len(why) > _LONGEST_REASON:
            raise UsageError(
                "the reason is no text, or a very long one",
                hint=f"write reason: WHY, one sentence of at most {_LONGEST_REASON} characters",
            )
        return " ".join(why.split())

    def check_admin(self, what: str) -> None:
        """Refuse whoever is no admin.

        Raises
        ------
        NotAllowedError
            If they are none.
        """
        if not self.is_admin:
            raise NotAllowedError(
                f"{self.user} may not {what}: that is for admins", hint="spool.yaml names them under admins"
            )


def verb_of(tree: object) -> str | None:
    """Return the verb of a request, or None if it has none or several."""
    found = [verb for verb in KNOWS if verb in tree] if isinstance(tree, Mapping) else []
    return found[0] if len(found) == 1 else None


def checked_verb(tree: Mapping[str, Any]) -> str:
    """Return the verb of a request.

    Raises
    ------
    UsageError
        If it has none or several, or says something that its verb does not know.
    """
    verb = verb_of(tree)
    if verb is None:
        raise UsageError(
            f"a request names one of {', '.join(KNOWS)}; "
            f"this one has {', '.join(map(str, tree))[:200] or 'nothing'}",
            hint="for instance {cancel: 20261123-101530-rabi-k3f9x}",
        )
    known = {verb} | KNOWS[verb]
    for key in tree:
        if key not in known:
            raise UsageError(
                f"{verb!r} knows no {str(key)[:200]!r}",
                hint=did_you_mean(str(key)[:200], known) or f"it knows {', '.join(sorted(known))}",
            )
    return verb


def is_admin(uid: int, user: str, groups: Collection[str], admins: Collection[str], own: int) -> bool:
    """Return whether a user may steer everybody's jobs.

    Parameters
    ----------
    uid, user, groups:
        Number, login name and Unix groups.
    admins:
        What ``spool.yaml`` says: login names, and ``@group`` for all of a Unix group.
    own:
        Number of the server's own user.
    """
    return uid in {0, own} or user in admins or any(f"@{group}" in admins for group in groups)
