"""Tries what a storage does beyond `spool.probe`: renames, links, names, and what a second process sees.

Owns nothing: it writes into a temporary folder of ``requests/``, which everybody who may use the spool
can write to, and takes it away again. Called by ``spool.doctor`` and beside a server that starts, under a
deadline.

Known limits: both processes are on this machine. That two machines see each other's locks and files in
time can only be seen with two machines; what their kinds of mount are known for is in ``spool.mounts``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.spool.findings import FINE, NOTE, WRONG, Finding
from qtrl_spool.spool.layout import Layout

_LATE_S = 1.0
_LONGEST_NAME = 255
_WITNESS = Path(__file__).with_name("witness.py")


def storage(layout: Layout) -> Iterator[Finding]:
    """Yield what trials in a temporary folder of ``requests/`` find."""
    folder = fs.temporary_name(layout.requests / "doctor")
    fs.make_folder(folder, durable=False)
    trials: tuple[Callable[[Path], Iterator[Finding]], ...] = (_renaming, _linking, _names, _second_process)
    try:
        for trial in trials:
            place = folder / trial.__name__.strip("_")
            fs.make_folder(place, durable=False)
            yield from trial(place)
    finally:
        fs.remove(folder)


def _renaming(folder: Path) -> Iterator[Finding]:
    source, target = folder / "source", folder / "below" / "target"
    fs.make_folder(target.parent, durable=False)
    fs.replace(source, b"1")
    moved = fs.move(source, target) and not fs.exists(source) and fs.read(target) == b"1"
    fs.replace(target, b"2")
    if moved and fs.read(target) == b"2" and fs.names(target.parent) == ["target"]:
        yield Finding("renaming", FINE, "within and between directories, and over what is there")
    else:
        yield Finding("renaming", WRONG, "a rename did not do what it said", "put the spool on other storage")


def _linking(folder: Path) -> Iterator[Finding]:
    """Try a hard link; nothing here needs one, but who copies or backs up a spool wants to know."""
    fs.replace(folder / "file", b"")
    try:
        os.link(folder / "file", folder / "link")
    except OSError as error:
        yield Finding("links", FINE, f"hard links cannot be had ({error.strerror}); nothing here needs them")
    else:
        yield Finding("links", FINE, "hard links can be had; nothing here needs them")


# ---------------------------------------------------------------- names


def _names(folder: Path) -> Iterator[Finding]:
    said, notes = [], []
    if _is_made(folder / ("n" * _LONGEST_NAME)):
        said.append(f"up to {_LONGEST_NAME} bytes long")
    else:
        notes.append(f"a name of {_LONGEST_NAME} bytes is refused: drops with long names cannot be put here")
    fs.replace(folder / "Case", b"")
    if fs.exists(folder / "case"):
        notes.append("upper and lower case are not told apart: two drops that differ in nothing else are one")
    else:
        said.append("upper and lower case are told apart")
    if not _is_made(folder / "\N{GREEK SMALL LETTER PSI}: a \\ b?"):
        notes.append("some characters are refused in names, such as ':', '?' or letters beyond ASCII")
    if said:
        yield Finding("names", FINE, "; ".join(said))
    for note in notes:
        yield Finding("names", NOTE, note)


def _is_made(path: Path) -> bool:
    """Return whether a file of that name can be made and is then listed under it."""
    try:
        fs.write_new(path, b"", durable=False)
    except StorageError:
        return False
    return path.name in fs.names(path.parent)


# ---------------------------------------------------------------- a second process


class _Witness:
    """The second process, see `qtrl_spool.spool.witness`."""

    def __enter__(self) -> _Witness:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WITNESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, what: str, path: Path) -> None:
        """Send one request."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps([what, str(path)]) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the next line that it says."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise StorageError("a second process could not look at the storage", hint="run the doctor again")
        found: dict[str, Any] = json.loads(line)
        return found


def _second_process(folder: Path) -> Iterator[Finding]:
    with _Witness() as witness:
        yield _locking(folder / "lock", witness)
        yield _seeing(folder, witness)


def _locking(path: Path, witness: _Witness) -> Finding:
    from filelock import FileLock

    ours = FileLock(path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        with ours:
            witness.ask("lock", path)
            held = witness.answer()
    except (OSError, NotImplementedError) as error:
        return Finding("locks", WRONG, f"cannot be had: {error}", "mount the share with locks")
    witness.ask("lock", path)
    free = witness.answer()
    if held["got"]:
        said, remedy = "two processes got the same lock", "mount the share with locks, not with nolock"
        return Finding("locks", WRONG, said, remedy)
    if held["error"] or not free["got"]:
        said = f"a second process cannot get one: {held['error'] or free['error'] or 'it stays locked'}"
        return Finding("locks", WRONG, said, "mount the share with locks")
    said = "exclude a second process on this machine; who owns a job is decided by a rename, not by them"
    return Finding("locks", FINE, said)


def _seeing(folder: Path, witness: _Witness) -> Finding:
    made = _delay(folder / "made", witness, lambda path: fs.write_new(path, b"x"))
    renamed = _delay(folder / "renamed", witness, lambda path: fs.replace(path, b"x"))
    if made is None or renamed is None:
        said = "a second process on this machine did not see a new file within 5 s"
        return Finding("visibility", WRONG, said, "mount the share without such a cache")
    said = (
        f"a second process on this machine sees a new file after {made * 1e3:.1f} ms, "
        f"a renamed one after {renamed * 1e3:.1f} ms"
    )
    late = max(made, renamed) > _LATE_S
    return Finding(
        "visibility", NOTE if late else FINE, said, "drops wait so long to be taken" if late else None
    )


def _delay(path: Path, witness: _Witness, make: Callable[[Path], None]) -> float | None:
    """Return how long (s) after it was made the second process saw a file; None if it did not."""
    witness.ask("see", path)
    witness.answer()
    make(path)
    made_at = time.monotonic()
    seen_at = witness.answer()["seen_at"]
    return None if seen_at is None else max(0.0, seen_at - made_at)
