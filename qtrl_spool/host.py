"""The host, its users and its processes, as the operating system knows them.

Called by: ``spool``, ``server``, the command. Fails: never; what cannot be told has a plain substitute.
"""

from __future__ import annotations

import os


def login_name() -> str:
    """Return the name of the user that this process runs as."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def user_name(uid: int) -> str:
    """Return the login name of a user number, or the number where it has no name here."""
    try:
        import pwd
    except ImportError:
        return str(uid)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_names(uid: int) -> frozenset[str]:
    """Return the names of the groups that a user is in, numbers where they have no name here."""
    try:
        import pwd
    except ImportError:
        return frozenset()
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return frozenset()
    return frozenset(group_name(gid) for gid in os.getgrouplist(user.pw_name, user.pw_gid))


def own_groups() -> frozenset[int]:
    """Return the numbers of the groups that this process is in."""
    return frozenset((os.getegid(), *os.getgroups())) if hasattr(os, "getgroups") else frozenset()


def group_name(gid: int) -> str:
    """Return the name of a group, its number if it has none here."""
    try:
        import grp

        return grp.getgrgid(gid).gr_name
    except (ImportError, KeyError):
        return str(gid)


def host_name() -> str:
    """Return the name of this host."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def runs(pid: int, word: str) -> bool:
    """Return whether a process of that number runs on this host, and has `word` in its command line."""
    from pathlib import Path

    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def is_frozen(pid: int) -> bool:
    """Return whether a process of this host is stopped, by a signal or a debugger; False if unknown."""
    from pathlib import Path

    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return told.rpartition(")")[2].split()[:1] in (["T"], ["t"])


def process_exists(pid: int) -> bool:
    """Return whether a process of that number runs on this host; True where that cannot be told."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
