"""What the storage of a spool is like, found by a short trial, and what follows from it.

``look`` acts: it writes one small file into a temporary folder of ``requests/``, which everybody who may
use the spool can write to, and takes it away again; a few ms on a local disk. ``findings`` and ``decide``
are pure. Called by ``serve`` when it starts and by ``spool.doctor``, which tries more (``spool.trials``).

A storage that is sick may not answer at all: a call then hangs in the kernel. So the trial runs in a
thread of its own, which is given up after a deadline (`within`).

Known limits: it sees one machine. Whether a file of one user is shown as another's can only be tried by
root; what cannot be seen from a client is listed in ``spool.mounts``.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.spool.access import way_in
from qtrl_spool.spool.findings import FINE, NOTE, WRONG, Finding
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.mounts import Mount, cautions, mount_of, undone_by_power_cut
from qtrl_spool.spool.settings import Settings
from qtrl_spool.units import amount

_T = TypeVar("_T")

EVENTS, SCANNING = "events", "scanning"
DEADLINE_S = 10.0
_SLOW_WRITE_S = 0.2
_HASTY_WRITE_S = 20e-6
_LEAST_FREE_BYTES = 1_000_000_000
_LEAST_FREE_FILES = 10_000
_SKEW_S = 2.0
_SOMEBODY = 65000


@dataclass(frozen=True)
class Owners:
    """Whose files are, as the storage shows it.

    Attributes
    ----------
    user:
        Number of the user who tries.
    made:
        Whose file one is that this user made.
    given:
        Whose it is after root gave it to `_SOMEBODY`; None if nobody could.
    has_others:
        Whether the spool has files of others.
    """

    user: int
    made: int
    given: int | None
    has_others: bool

    @property
    def told_apart(self) -> bool:
        """Whether nothing says that everybody's files look like one user's."""
        return self.given in (None, _SOMEBODY) and self.made == self.user


@dataclass(frozen=True)
class Storage:
    """What a trial found; None stands for what could not be found out.

    Attributes
    ----------
    mount:
        The mounted file system.
    free_bytes, free_files:
        What is left.
    write_s:
        Cost of one durable write: a file, its sync, a rename, the sync of the folder.
    clock_offset_s:
        Clock of the storage less that of this machine.
    owners:
        Whose files are.
    trouble:
        Why it could not be tried.
    """

    mount: Mount | None = None
    free_bytes: int | None = None
    free_files: int | None = None
    write_s: float | None = None
    clock_offset_s: float | None = None
    owners: Owners | None = None
    trouble: StorageError | None = None


@dataclass(frozen=True)
class Decision:
    """How a server shall notice what happens in its spool.

    Attributes
    ----------
    watching:
        ``events``: the file system tells at once, scans are the safety net. ``scanning``: it does not tell
        what other machines do, so only scans find it; events are an extra for what happens on this host.
    why:
        In words.
    """

    watching: str
    why: str


def decide(storage: Storage, scan_s: float) -> Decision:
    """Return how to watch a spool on this storage; a server looks every `scan_s` (s) either way."""
    mount = storage.mount
    if storage.trouble is not None:
        return Decision(SCANNING, f"the storage could not be tried; it looks every {scan_s:g} s")
    if mount is None:
        return Decision(EVENTS, f"the kind of the storage is not known; it looks every {scan_s:g} s as well")
    if mount.is_shared:
        why = f"{mount.kind} does not tell what other machines do: it looks every {scan_s:g} s"
        return Decision(SCANNING, why)
    return Decision(EVENTS, f"{mount.kind} tells at once; it looks every {scan_s:g} s as well")


# ---------------------------------------------------------------- try


def within(deadline_s: float, call: Callable[[], _T], doing: str) -> _T:
    """Return what `call` returns, or give it up after `deadline_s` (s): it may hang in a sick storage.

    Raises
    ------
    StorageError
        If it did not end in time. The thread that hangs is left behind; it does not keep the program alive.
    """
    box: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def carry_out() -> None:
        try:
            box.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller's thread raises it
            box.put((None, error))

    threading.Thread(target=carry_out, name="probe", daemon=True).start()
    try:
        result, error = box.get(timeout=deadline_s)
    except queue.Empty:
        raise StorageError(
            f"the storage did not answer within {deadline_s:g} s: {doing}",
            hint="is the share mounted, and is its file server there?",
        ) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def look(layout: Layout, *, n_writes: int = 1, deadline_s: float = DEADLINE_S) -> Storage:
    """Try the storage of a spool; what cannot be tried is told in `Storage.trouble`, never raised.

    Parameters
    ----------
    layout:
        The spool.
    n_writes:
        Durable writes to measure; the median counts.
    deadline_s:
        After so long (s) it is given up.
    """
    try:
        return within(deadline_s, lambda: _look(layout, n_writes), f"trying {layout.root}")
    except StorageError as error:
        return Storage(trouble=error)


def _look(layout: Layout, n_writes: int) -> Storage:
    mount = mount_of(layout.root)
    free_bytes, free_files = fs.free_bytes(layout.root), _free_files(layout.root)
    if mount is not None and mount.is_read_only:
        return Storage(mount, free_bytes, free_files)
    if not os.access(layout.requests, os.W_OK | os.X_OK):
        error = StorageError(f"you may not write to {layout.requests}", hint=way_in([layout.requests]))
        return Storage(mount, free_bytes, free_files, trouble=error)
    folder = fs.temporary_name(layout.requests / "probe")
    try:
        fs.make_folder(folder, durable=False)
        write_s, offset = _write(folder / "file", n_writes)
        owners = _owners(layout, folder / "file")
    except StorageError as error:
        return Storage(mount, free_bytes, free_files, trouble=error)
    finally:
        fs.remove(folder)
    return Storage(mount, free_bytes, free_files, write_s, offset, owners)


def _free_files(root: Path) -> int | None:
    """Return how many more files the storage can hold; None where it does not count them."""
    if not hasattr(os, "statvfs"):
        return None
    facts = os.statvfs(root)
    return facts.f_favail if facts.f_files else None


def _write(path: Path, n_writes: int) -> tuple[float, float]:
    """Return the median cost (s) of a durable write, and how far (s) the storage's clock is ahead."""
    costs = []
    for _ in range(n_writes):
        begin, clock = time.perf_counter(), time.time()
        fs.replace(path, b"x" * 1000)
        costs.append(time.perf_counter() - begin)
    facts = fs.facts(path)
    offset = 0.0 if facts is None else facts.st_mtime - (clock + time.time()) / 2
    return sorted(costs)[n_writes // 2], offset


def _owners(layout: Layout, path: Path) -> Owners | None:
    if not hasattr(os, "geteuid"):
        return None
    made = _owner(path)
    others = {_owner(each) for each in (layout.mark, *layout.drop_boxes)} - {made}
    return Owners(os.geteuid(), made, _given_away(path) if os.geteuid() == 0 else None, bool(others))


def _owner(path: Path) -> int:
    facts = fs.facts(path)
    return -1 if facts is None else facts.st_uid


def _given_away(path: Path) -> int | None:
    """Return whose a file of root's is after root gave it to `_SOMEBODY`; None if root may not."""
    try:
        os.chown(path, _SOMEBODY, -1)
    except OSError:
        return None
    return _owner(path)


# ---------------------------------------------------------------- what it means


def findings(storage: Storage, settings: Settings) -> Iterator[Finding]:
    """Yield what a trial found, in words; what is not `FINE` is worth a warning."""
    if storage.mount is not None:
        yield from _kind(storage.mount)
    if storage.trouble is not None:
        verdict = NOTE if storage.mount is not None and "you may not" in storage.trouble.message else WRONG
        yield Finding("storage", verdict, f"not tried: {storage.trouble.message}", storage.trouble.hint)
    yield durability(storage, settings)
    if storage.write_s is not None:
        yield _writing(storage.write_s)
    if storage.clock_offset_s is not None:
        yield clock(storage.clock_offset_s)
    if storage.owners is not None:
        yield ownership(storage.owners)
    yield from _space(storage)


def warnings(storage: Storage, settings: Settings) -> list[str]:
    """Return what a server should say of its storage when it starts, one sentence each."""
    found = [each for each in findings(storage, settings) if each.verdict != FINE]
    return [f"{each.what}: {each.said}" + (f" ({each.hint})" if each.hint else "") for each in found]


def _kind(mount: Mount) -> Iterator[Finding]:
    shared = "a share" if mount.is_shared else "on this machine alone"
    yield Finding("storage", FINE, f"{mount.kind} at {mount.point}, {shared}")
    for said, hint in cautions(mount):
        yield Finding("storage", WRONG if mount.is_read_only else NOTE, said, hint)


def durability(storage: Storage, settings: Settings) -> Finding:
    """Return whether what is acknowledged survives a power cut, as far as it can be seen from here."""
    if not settings.durable:
        said = (
            "spool.yaml says durability: fast: nothing is synced, a power cut may undo what was acknowledged"
        )
        return Finding("durability", NOTE, said, "set durability: durable and restart the servers")
    undone = storage.mount and undone_by_power_cut(storage.mount)
    if undone:
        said = f"a power cut may undo what was acknowledged: {undone}"
        return Finding("durability", WRONG, said, "put the spool on storage that keeps what is synced")
    if storage.write_s is not None and storage.write_s < _HASTY_WRITE_S:
        said = f"a synced write takes only {storage.write_s * 1e6:.0f} us: is a sync honoured here?"
        return Finding("durability", NOTE, said, "ask whoever runs the storage")
    if storage.mount is None:
        return Finding(
            "durability", FINE, "everything is synced; whether the storage honours it is not known"
        )
    rests = "the file server honours it (an NFS export must be 'sync')" if storage.mount.is_shared else (
        "the disk honours it"
    )  # fmt: skip
    return Finding("durability", FINE, f"everything is synced; it survives a power cut if {rests}")


def _writing(cost_s: float) -> Finding:
    said = f"a durable write takes {cost_s * 1e3:.1f} ms"
    if cost_s > _SLOW_WRITE_S:
        remedy = "the storage is slow; durability: fast in spool.yaml syncs nothing"
        return Finding("writing", NOTE, said, remedy)
    return Finding("writing", FINE, said)


def clock(offset_s: float, *, of: str = "this machine's") -> Finding:
    """Return what an offset (s) of the storage's clock from another one means."""
    ahead = "ahead of" if offset_s > 0 else "behind"
    if abs(offset_s) > _SKEW_S:
        said = f"that of the storage is {abs(offset_s):.1f} s {ahead} {of}"
        return Finding("clock", NOTE, said, "let both machines follow the same time server")
    return Finding("clock", FINE, f"that of the storage and {of} differ by {abs(offset_s):.1f} s")


def ownership(owners: Owners) -> Finding:
    """Return whether the storage tells apart whose a file is."""
    if not owners.told_apart:
        real = owners.user if owners.made != owners.user else _SOMEBODY
        shown = owners.made if owners.made != owners.user else owners.given
        return Finding(
            "ownership",
            NOTE,
            f"off: the storage shows a file of user {real} as user {shown}'s, "
            "so that anybody can steer everybody's jobs",
            "mount it with the users' own numbers (not with uid=, all_squash or their like)",
        )
    if owners.given is None and not owners.has_others:
        return Finding(
            "ownership", FINE, "a file of yours is shown as yours; others' are to be seen by root alone"
        )
    return Finding("ownership", FINE, "the storage tells apart whose a file is")


def _space(storage: Storage) -> Iterator[Finding]:
    if storage.free_bytes is None:
        return
    said = f"{amount(storage.free_bytes)} are free"
    if storage.free_bytes < _LEAST_FREE_BYTES:
        said += f", less than the {amount(_LEAST_FREE_BYTES)} that a server should have"
        yield Finding("space", WRONG, said, "free some; old results are in jobs/<date>/")
    elif storage.free_files is not None and storage.free_files < _LEAST_FREE_FILES:
        most = f"only {storage.free_files} more files can be made, less than {_LEAST_FREE_FILES:,}"
        said = f"{most}, though {said}"
        yield Finding("space", WRONG, said, "remove some; old results are in jobs/<date>/")
    else:
        yield Finding("space", FINE, said)
