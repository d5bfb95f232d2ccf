"""What the names of dropped files mean: which are no drops at all, which are members of a bundle.

Pure functions on names; called by the archive reader and by ``spool.drops``.
"""

from __future__ import annotations

import re
import unicodedata
from reprlib import Repr

from qtrl_spool.errors import BundleError, did_you_mean

MEMBERS = tuple(
    f"{role}.{kind}" for role in ("sequence", "config", "job") for kind in ("json", "yaml", "yml")
)
SHORT_LIST = "sequence.json (or .yaml), config.yaml, job.yaml"

_SYSTEM = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "icon\r",
    "@eadir",
    "#recycle",
    "network trash folder",
    "temporary items",
}
_ARRIVING = re.compile(
    r".*\.(part|partial|tmp|temp|filepart|crdownload|opdownload|download|uploading|inprogress|incomplete)"
    r"|\..+\.[A-Za-z0-9]{6}",
    re.IGNORECASE | re.DOTALL,
)
_LEFTOVER = re.compile(
    r"~\$.*|~.*\.tmp|.*~|#.*#|.*\.sw[a-p]|.*:(zone\.identifier|afp_\w+|com\.apple\..+)(:\$data)?",
    re.IGNORECASE | re.DOTALL,
)
_DRIVE = re.compile(r"[A-Za-z]:")
_SHOWN = 120
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _SHOWN


def is_arriving(name: str) -> bool:
    """Return whether `name` is one that a copying program gives to a file which is still on its way."""
    return _ARRIVING.fullmatch(name) is not None


def is_ignored(name: str) -> bool:
    """Return whether `name` is a temporary or system file, hence no drop: it is left where it is.

    Every hidden name (``.foo``) is one: ``.foo.XXXXXX`` of rsync, ``.DS_Store``, ``._foo``, ``.nfs…``,
    ``.fuse_hidden…``, ``.smbdelete…``, ``.~lock…``; so are ``*.part``, ``*.filepart``, ``*.crdownload``,
    ``*.tmp``, ``*~``, ``Thumbs.db``, ``desktop.ini``, ``$RECYCLE.BIN``, ``*:Zone.Identifier`` and their like.
    """
    return (
        name.startswith(".")
        or name.casefold() in _SYSTEM
        or is_arriving(name)
        or _LEFTOVER.fullmatch(name) is not None
    )


def escaped(name: str) -> str:
    """Return `name` without control, direction or undecodable characters; each is written as its number."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


def printable(name: str) -> str:
    """Return `name` so that it can stand in a message: `escaped`, and not too long."""
    shown = escaped(name)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def shown(value: object) -> str:
    """Return a value so that it can stand in a message, of a large one only the beginning."""
    return printable(_SHORT.repr(value))


def folded(name: str) -> str:
    """Return what two names share if some file system would make them one file."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_path(path: str, where: str) -> None:
    """Refuse the path of a ZIP member that could lead out of the place where it belongs.

    Raises
    ------
    BundleError
        For ``../``, absolute paths, backslashes, drive names, control characters, empty names.
    """
    rule = _broken_rule(path)
    if rule:
        raise BundleError(
            f"the member {printable(path)!r} {rule}",
            where=where,
            hint=f"a bundle holds only {SHORT_LIST}, by these plain names",
        )


def _broken_rule(path: str) -> str | None:
    parts = path.removesuffix("/").split("/")
    if not path.isprintable():
        return "has a control character in its name"
    if "\\" in path:
        return "has a backslash in its name, as older Windows programs write them"
    if path.startswith("/"):
        return "has an absolute path"
    if _DRIVE.match(path):
        return "names a drive"
    if ".." in parts:
        return "leads out of the bundle by '..'"
    if "" in parts or "." in parts:
        return "has an empty name or '.' in its path"
    return None


def is_member(name: str) -> bool:
    """Return whether a bundle may have a member of that name."""
    return folded(name) in MEMBERS


def member_of(name: str, where: str) -> str:
    """Return the role of a member, ``sequence``, ``config`` or ``job``; letter case does not matter.

    Raises
    ------
    BundleError
        If a bundle has no member of that name.
    """
    if not is_member(name):
        guess = did_you_mean(folded(name), MEMBERS, n=1)
        raise BundleError(
            f"a bundle has no member {printable(name)!r}",
            where=where,
            hint=guess or f"it holds only {SHORT_LIST}",
        )
    return folded(name).partition(".")[0]
