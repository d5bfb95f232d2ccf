"""Opening a result file, whatever the storage can do, sure that it is one of a known format.

It is opened as everybody opens it, with HDF5's shared lock, so that xarray and h5py open it as well at
the same time, in the same process (HDF5 refuses a file that one holder locks and another does not).
Only where the storage has no locks at all is it opened without: result files never change once they
are there (a partial one is replaced as a whole). On a share a file that is being replaced may be stale
for a moment: it is tried again.

Fails: a missing file is a `NotFoundError`, one that is no result, or of a newer format, a `UsageError`.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.results import layout

_RETRIES = 5
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def open_result(path: Path) -> Any:
    """Return the open h5py file of a result."""
    for attempt in range(_RETRIES):
        try:
            file = _opened(path)
            break
        except FileNotFoundError:
            raise NotFoundError(f"there is no result file {path}") from None
        except OSError as error:
            if error.errno != errno.ESTALE or attempt == _RETRIES - 1:
                raise UsageError(
                    "it cannot be opened as an HDF5 file", where=str(path), hint=str(error)
                ) from error
    try:
        check_format(file, path)
    except UsageError:
        file.close()
        raise
    return file


def check_format(file: Any, path: Path) -> None:
    """Refuse an open h5py file that is no result of a known format."""
    found = plain(file.attrs.get("format", ""))
    if found != layout.FORMAT:
        raise UsageError(
            f"the format is {found!r}, this version reads {layout.FORMAT!r}",
            where=str(path),
            hint="a newer qtrl-spool may read it" if str(found).startswith("qtrl-result/") else None,
        )


def _opened(path: Path) -> Any:
    """Open an HDF5 file with a shared lock, or without where the storage has no locks."""
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        return h5py.File(path, "r", locking=False)


def has_locks(file: Any) -> bool:
    """Return whether an open file is locked: what else opens it must do as well."""
    return bool(file.id.get_access_plist().get_file_locking()[0])


def plain(value: Any) -> Any:
    """Return an HDF5 attribute as an ordinary Python value."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode()
    return [plain(entry) for entry in value] if isinstance(value, list) else value
