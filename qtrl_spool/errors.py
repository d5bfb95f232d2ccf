"""Every exception of this package, as one tree sorted by who can act.

::

    QtrlSpoolError                      anything this package raises on purpose
    ├── SubmitterError                  whoever wrote the job can mend it
    │   ├── BundleError                 a drop that is no bundle: not a ZIP, no sequence, too large, …
    │   │   └── UnfinishedError         its end has not arrived: it may still become whole
    │   ├── ManifestError               job.yaml: unknown key, wrong type
    │   ├── SequenceError               a sequence that cannot be compiled (also a ValueError)
    │   │   ├── UnknownPulseError       a pulse key that the library does not have (also a KeyError)
    │   │   └── ElementError            an element outside the sequence (also an IndexError)
    │   ├── ConfigError                 a document or a patch that is wrong, with its place
    │   │   ├── PatchError              a patch of a key that is not there, or of a derived one
    │   │   ├── PolicyError             a change of the default that this user may not make
    │   │   └── ConfigConflictError     the default changed since the version the update is based on
    │   ├── NotAllowedError             a request that this user may not make: not their job, no admin
    │   ├── ProcessingError             a step of the chain that cannot do what it is told
    │   └── UsageError                  a command or call with arguments that make no sense
    ├── NotFoundError                   no such spool, job, path, version (also a LookupError)
    │   └── UnknownPathError            a configuration path that is not there (also a KeyError)
    ├── WaitTimeoutError                waited long enough (also a TimeoutError)
    ├── OperatorError                   the lab admin can mend it
    │   ├── StorageError                the share is full, read-only, gone
    │   ├── ServerNameTakenError        a server of that name is running
    │   └── BackendError                the instrument refused, hung or failed
    │       └── AbortedError            the acquisition was told to stop
    ├── JobFailedError                  the job ended as failed or rejected; holds the recorded error
    ├── JobCancelledError               the job was cancelled
    └── InternalError                   a mistake of ours: please report it

Each carries ``message`` (what is wrong, naming the thing and the value), ``where`` (file, line,
path or append index), ``hint`` (how to mend it) and ``exit_status`` (of the command).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, ClassVar

_LONGEST = 10_000
_LONGEST_WORD, _MOST_WORDS = 100, 2000


def harmless(text: str) -> str:
    """Return `text` so that it can be shown: no control, direction or undecodable characters, not too long.

    Lines stay lines, and a tab a tab. What somebody dropped may stand in any message, and a terminal obeys
    control characters.
    """
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() or each in "\n\t" else _escaped(each) for each in shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class QtrlSpoolError(Exception):
    """Root of the tree.

    Parameters
    ----------
    message:
        One sentence: the thing, the value and the rule that it breaks.
    where:
        Where it is wrong: ``pulses.yaml:9:12``, ``append 7``, a path.
    hint:
        How to mend it.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(harmless(message))
        self.message = harmless(message)
        self.where = where if where is None else harmless(where)
        self.hint = hint if hint is None else harmless(hint)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.message}{remedy}"

    def add_remedy(self, remedy: str) -> None:
        """Add another thing that helps to what the hint says."""
        if self.hint is None:
            self.hint = harmless(remedy)
        else:
            self.hint += f"{' ' if self.hint.endswith('?') else '; '}{harmless(remedy)}"

    def record(self) -> dict[str, str | None]:
        """Return what ``status.json`` keeps under ``error``."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "hint": self.hint,
        }


class SubmitterError(QtrlSpoolError):
    """Whoever wrote the job can mend it."""


class BundleError(SubmitterError):
    """What was dropped is no bundle."""


class UnfinishedError(BundleError):
    """What was dropped ends too early: more may come and make it whole."""


class ManifestError(SubmitterError):
    """``job.yaml`` says something that it may not."""


class SequenceError(SubmitterError, ValueError):
    """A sequence that cannot be compiled.

    ``problems`` lists everything that is wrong with it, this error itself if it stands alone.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        problems: tuple[SequenceError, ...] = (),
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.problems = problems or (self,)


class UnknownPulseError(SequenceError, KeyError):
    """A pulse key that the library does not have."""

    __str__ = QtrlSpoolError.__str__


class ElementError(SequenceError, IndexError):
    """An element that the sequence does not have."""


class ConfigError(SubmitterError, ValueError):
    """A configuration document or patch that is wrong, with its place.

    ``problems`` lists everything that is wrong with it, this error itself if it stands alone;
    ``excerpt`` is the line of the text with a caret below, where it was read from one.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        problems: tuple[ConfigError, ...] = (),
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.problems = problems or (self,)
        self.excerpt = excerpt if excerpt is None else harmless(excerpt)

    def report(self) -> str:
        """Return every problem, one below the other, each with its line and caret where it has one."""
        return "\n".join(f"{each}\n{each.excerpt}" if each.excerpt else str(each) for each in self.problems)


class PatchError(ConfigError):
    """A patch of a key that the default does not have, or of a derived one."""


class PolicyError(ConfigError):
    """A change of the default that the spool's policy does not allow this user."""


class ConfigConflictError(ConfigError):
    """The default changed since the version that an update is based on."""


class NotAllowedError(SubmitterError):
    """What is asked for is not this user's to ask: somebody else's job, or something for admins."""


class ProcessingError(SubmitterError):
    """A step of the processing chain cannot do what it is told."""


class UsageError(SubmitterError):
    """A command or call whose arguments make no sense."""

    exit_status = 2


class NotFoundError(QtrlSpoolError, LookupError):
    """There is no such spool, job, path or version."""

    exit_status = 3


class UnknownPathError(NotFoundError, KeyError):
    """A configuration path that is not there."""

    __str__ = QtrlSpoolError.__str__


class WaitTimeoutError(QtrlSpoolError, TimeoutError):
    """What was waited for did not happen in time."""

    exit_status = 4


class OperatorError(QtrlSpoolError):
    """The lab admin can mend it."""


class StorageError(OperatorError):
    """The shared folder is full, read-only, stale or gone."""


class ServerNameTakenError(OperatorError):
    """A server of that name is already running on this spool."""


class BackendError(OperatorError):
    """The instrument refused, hung or failed."""


class AbortedError(BackendError):
    """The acquisition was told to stop."""


class JobFailedError(QtrlSpoolError):
    """The job ended as failed or rejected.

    ``kind`` is the name of the exception class that the server recorded.
    """

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, kind: str = "InternalError"
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.kind = kind


class JobCancelledError(QtrlSpoolError):
    """The job was cancelled."""


class InternalError(QtrlSpoolError):
    """A mistake of this package: please report it with the job's events."""


def from_record(record: Mapping[str, Any]) -> QtrlSpoolError:
    """Make the exception that ``status.json`` recorded: its own class where it has one here.

    A name that this version does not know becomes a `JobFailedError` with the same sentence.
    """
    kind = str(record.get("type"))
    fields = {name: record.get(name) for name in ("where", "hint")}
    message = str(record.get("message"))
    found = globals().get(kind)
    if isinstance(found, type) and issubclass(found, QtrlSpoolError) and found is not JobFailedError:
        return found(message, **fields)
    return JobFailedError(message, kind=kind, **fields)


def did_you_mean(word: str, known: Iterable[object], *, n: int = 3) -> str | None:
    """Return ``did you mean 'X180' or 'X-90'?`` for the nearest of `known`, or None.

    A very long word is like none, and of very many known ones only the first are looked at: comparing
    takes time.
    """
    from difflib import get_close_matches

    if len(str(word)) > _LONGEST_WORD:
        return None
    words = [str(entry) for entry in islice(known, _MOST_WORDS)]
    near = get_close_matches(str(word), words, n=n, cutoff=0.6)
    if not near:
        return None
    return "did you mean " + " or ".join(repr(entry) for entry in near) + "?"
