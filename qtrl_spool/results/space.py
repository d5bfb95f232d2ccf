"""How much room a job's data take, and setting it apart before the job starts.

Two servers, or a disk that somebody fills, must not spoil an acquisition that is already finished. So,
before the first batch, `reserve` looks whether the storage has room, and sets it apart where the file
system can (ext4, xfs, btrfs, tmpfs, NFS 4.2, GlusterFS; it takes milliseconds and is one file beside
the result, into which the result is then written, see `qtrl_spool.fs.replace_by`). Elsewhere (FUSE,
NFS 3) nothing can be set apart: a server then announces in its heartbeat what it is going to write,
and takes off what the others announce. That keeps servers apart, not other programs.

A reserved file bears the claim in its name, like the result, and a few random letters: two servers may
prepare one job at the same time, and neither may touch the other's file. It goes when the job ends; what
a dead server left goes when a later claim begins or any claim ends, or by `clear`.

Called by: the server's worker, before a job starts.
Fails: `StorageError` that says how much is needed and how much is free: the job waits.

Known limit: partial results are not counted; if there is no room for one, it is not written.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from qtrl_spool import allocation, fs
from qtrl_spool.errors import StorageError
from qtrl_spool.units import amount

if TYPE_CHECKING:
    from qtrl_spool.config import AcquisitionSettings

_IQ_BYTES = 8
_FIXED_BYTES = 1_000_000
WORTH_A_FILE = 16_000_000
"""Less than this is only looked for: the result is kept in memory until there is room for it."""
_RESERVED = re.compile(r"\.result\.c(?P<claim>\d+)\.h5\.[0-9a-f]+\.reserved")


@dataclass(frozen=True)
class Need:
    """Bytes that the data of a job take, before compression.

    Attributes
    ----------
    iq, raw:
        IQ points, and traces if they are kept.
    labels:
        A byte for each shot of each readout, which are also held in memory while the job is processed.
    """

    iq: int
    raw: int
    labels: int

    @property
    def result(self) -> int:
        """Bytes of the result file."""
        return self.iq + self.raw + self.labels + _FIXED_BYTES


def need(settings: AcquisitionSettings, n_readouts: int, *, sample_bytes: int = 4) -> Need:
    """Return how much room a job's data take.

    Parameters
    ----------
    settings:
        Repetitions, batches, elements, triggers, points.
    n_readouts:
        How many readouts the sequence reads.
    sample_bytes:
        Of one sample of one quadrature of a trace: 4 for float32, 2 for int16.
    """
    n_shots = prod((settings.n_reps, settings.n_batches, settings.n_elements, settings.n_triggers))
    raw = n_shots * settings.points * 2 * sample_bytes if settings.keep_raw else 0
    return Need(n_shots * n_readouts * _IQ_BYTES, raw, n_shots * (n_readouts + 1))


def shortage(folder: Path, n_bytes: int, *, promised: int = 0, what: str = "storage") -> str | None:
    """Return ``storage: needs 12 GB, 3.1 GB free`` if `folder` has no room, else None.

    Parameters
    ----------
    folder:
        Where they shall go.
    n_bytes:
        How many.
    promised:
        Bytes of what is free there that others announced to write.
    what:
        What the sentence begins with.
    """
    room = allocation.room(folder)
    if room is None or n_bytes <= room - promised:
        return None
    return f"{what}: needs {amount(n_bytes)}, {amount(max(0, room - promised))} free"


@dataclass(frozen=True)
class Reservation:
    """Room for a result.

    Attributes
    ----------
    n_bytes:
        How much.
    into:
        The file that holds it, for `fs.replace_by`; None where nothing can be set apart.
    """

    n_bytes: int
    into: Path | None = None

    @property
    def announced(self) -> int:
        """Bytes that others cannot see to be taken, if they are many: to be told in the heartbeat."""
        return 0 if self.into or self.n_bytes <= WORTH_A_FILE else self.n_bytes

    def release(self) -> None:
        """Give the room back; harmless when the result has been written."""
        if self.into is not None:
            with contextlib.suppress(StorageError):
                fs.remove(self.into)

    def end(self) -> None:
        """Give it back when its claim has ended, with what is left of that claim and of those before."""
        self.release()
        claim = None if self.into is None else _claim(self.into.name)
        if self.into is not None and claim is not None:
            clear(self.into.parent, before=claim + 1)


def reserve(path: Path, n_bytes: int, *, promised: int = 0) -> Reservation:
    """Set room apart for a result, if there is.

    Parameters
    ----------
    path:
        Where it shall appear: ``result.c<n>.h5`` in the job's home.
    n_bytes:
        Its size at most, see `Need.result`.
    promised:
        What other servers of the spool announced, see `Reservation.announced`.

    Raises
    ------
    StorageError
        If there is no room; its message is the reason why the job waits.
    """
    into = _name_for(path)
    if n_bytes >= WORTH_A_FILE:
        clear(path.parent, before=_claim(into.name) or 0)
    said = shortage(path.parent, n_bytes, promised=promised)
    if said is not None:
        raise StorageError(said, hint="free some space")
    if n_bytes < WORTH_A_FILE:
        return Reservation(n_bytes)
    try:
        if allocation.reserve(into, n_bytes):
            return Reservation(n_bytes, into)
    except StorageError as error:
        said = shortage(path.parent, n_bytes) or error.message
        raise StorageError(said, hint=error.hint) from error
    fs.remove(into)
    return Reservation(n_bytes)


def _name_for(path: Path) -> Path:
    """Return a name that nobody else uses, not even a server that prepares the same job at this moment."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.reserved")


def clear(home: Path, *, before: int | None = None) -> None:
    """Remove what was set apart in a job's home by claims below `before`, or by all; as far as it can be."""
    with contextlib.suppress(StorageError):
        for name in fs.names(home):
            claim = _claim(name)
            if claim is not None and (before is None or claim < before):
                fs.remove(home / name)


def _claim(name: str) -> int | None:
    match = _RESERVED.fullmatch(name)
    return None if match is None else int(match["claim"])
