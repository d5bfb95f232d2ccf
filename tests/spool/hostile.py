"""Hostile drops, by the thousand: a name, a kind, what it holds, and how it lies there, in any combination.

`make` puts one into a drop box, from any `random.Random`, so that a number gives the same drop again. What
links lead to lies in a folder outside, which `Outside` watches: nothing in it may change.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz import inputs

SUFFIXES = (".json", ".json", ".yaml", ".yml", ".qjob", ".qjob", ".zip", "", ".txt", ".part", "~", ".JSON")
STEMS = (
    "rabi", "CON", "nul", "a:b", "a?b", "a\nb", "a\tb", "a\x1b]0;x\x07b", "a\u202egnp", "e\u0301", "\u00e9",
    "x" * 200, "é" * 110, " ", ". .", "-rf", "$(reboot)", "`id`", "%s%n", "a~b",
    "50~20261123-101530-a-k3f9x~b",
    "20261123-101530-rabi-k3f9x", "20269999-101530-rabi-k3f9x", "20261123-101530-" + "a" * 150 + "-k3f9x",
    "٢٠٢٦", "sequence", "~", "#a#", "LPT1", "a.b.c", "..a", "\udcff\udcfe",
)  # fmt: skip
TIMES = (0, 1, -1, 2**31, 2**33, -(2**33), 10**9)
MODES = (0o644, 0o644, 0o600, 0o400, 0o000, 0o777, 0o4755)


class Outside:
    """A folder beside the spool that drops lead to, and that nothing may touch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home" / ".ssh").mkdir(parents=True)
        (folder / "home" / "sequence.json").write_text(json.dumps(inputs.SEQUENCE))
        (folder / "home" / ".ssh" / "id").write_text("secret: [unclosed\n")
        (folder / "job").mkdir()
        (folder / "job" / "sequence.json").write_text(json.dumps(inputs.SEQUENCE))
        self._before = self.looks()

    def looks(self) -> list[tuple[str, int, int, int, bytes]]:
        """Return everything that can be seen of it but for times of reading and numbers of links."""
        paths = sorted(self.folder.rglob("*"))
        facts = [(path, path.lstat()) for path in paths]
        return [
            (str(path), at.st_mode, at.st_mtime_ns, at.st_uid, path.read_bytes() if path.is_file() else b"")
            for path, at in facts
        ]

    @property
    def is_untouched(self) -> bool:
        return self.looks() == self._before


# ---------------------------------------------------------------- what it holds


def _text(chance: Random) -> bytes:
    whole = {**inputs.SEQUENCE, "config": inputs.PATCH, "job": inputs.MANIFEST}
    made = inputs.json_text(chance, whole) if chance.random() < 0.5 else inputs.yaml_text(chance)
    encoding = (
        "utf-8" if chance.random() < 0.9 else chance.choice(("utf-16", "utf-16-le", "latin-1", "utf-32"))
    )
    data = made.encode(encoding, errors="replace")
    return b"\xef\xbb\xbf" + data if chance.random() < 0.05 else data


def _bytes(chance: Random) -> bytes:
    kind = chance.randrange(8)
    if kind == 0:
        return b""
    if kind == 1:
        return bytes(chance.choice((1, 5000, 100_000)))
    if kind == 2:
        return b"\n \t\r\n" * chance.randint(1, 100)
    if kind == 3:
        return inputs.archive(chance)
    if kind == 4:
        return inputs.archive(chance)[: chance.randint(0, 200)]
    if kind == 5:
        return b"PK" + bytes(chance.randrange(256) for _ in range(chance.randint(0, 60)))
    return _text(chance)


def _name(chance: Random) -> str:
    made = chance.choice(STEMS)
    if chance.random() < 0.3:
        made = inputs.text(chance, made, 2)
    plain = made.replace("/", "_").replace("\0", "_").encode(errors="surrogateescape")
    room = 255 - 8
    return os.fsdecode(plain[:room] or b"_") + chance.choice(SUFFIXES)


# ---------------------------------------------------------------- how it lies there

Kind = Callable[[Random, Path, Outside], None]


def a_file(chance: Random, path: Path, outside: Outside) -> None:
    path.write_bytes(_bytes(chance))


def a_folder(chance: Random, path: Path, outside: Outside) -> None:
    path.mkdir()
    for name, data in inputs.members(chance).items():
        with contextlib.suppress(OSError, ValueError):
            (path / name.replace("/", "_")).write_bytes(data)
    if chance.random() < 0.3:
        with contextlib.suppress(FileExistsError):
            chance.choice(KINDS)(chance, path / chance.choice(("config.yaml", "x", "sequence.json")), outside)


def a_folder_of_many(chance: Random, path: Path, outside: Outside) -> None:
    path.mkdir()
    for n in range(chance.choice((64, 66))):
        (path / f"{n}.json").touch()


def a_deep_folder(chance: Random, path: Path, outside: Outside) -> None:
    (path / "/".join("a" * chance.randint(1, 30))).mkdir(parents=True)


def a_link(chance: Random, path: Path, outside: Outside) -> None:
    targets = (
        outside.folder / "home" / "sequence.json",
        outside.folder / "home" / ".ssh" / "id",
        outside.folder / "job",
        outside.folder / "nothing",
        Path("/etc/passwd"),
        Path("/dev/zero"),
        Path("/proc/self/mem"),
        Path(".."),
        Path(path.name),
    )
    path.symlink_to(chance.choice(targets))


def a_hard_link(chance: Random, path: Path, outside: Outside) -> None:
    os.link(outside.folder / "home" / chance.choice(("sequence.json", ".ssh/id")), path)


def a_pipe(chance: Random, path: Path, outside: Outside) -> None:
    os.mkfifo(path)


def a_socket(chance: Random, path: Path, outside: Outside) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{here}/{os.urandom(4).hex()}")
            os.rename(listener.getsockname(), path)
    except OSError:
        path.touch()
    finally:
        os.close(here)


def a_device(chance: Random, path: Path, outside: Outside) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, chance.choice((3, 5, 7))))
    except OSError:
        os.mkfifo(path)


def an_enormous_file(chance: Random, path: Path, outside: Outside) -> None:
    path.write_bytes(_text(chance)[:100])
    with contextlib.suppress(OSError):
        os.truncate(path, chance.choice((1 << 40, 1 << 33, 65 * 2**20)))


KINDS: tuple[Kind, ...] = (
    a_file,
    a_folder,
    a_folder_of_many,
    a_deep_folder,
    a_link,
    a_hard_link,
    a_pipe,
    a_socket,
    a_device,
    an_enormous_file,
)
_OFTEN: tuple[Kind, ...] = (a_file,) * 12 + (a_folder,) * 6


def make(chance: Random, box: Path, outside: Outside) -> Path:
    """Put one hostile drop into `box`; return where it lies."""
    path = box / f"{os.urandom(2).hex()}"
    kind = chance.choice((*_OFTEN, *KINDS))
    with contextlib.suppress(OSError):
        name = _name(chance)
        path = box / name
        if os.path.lexists(path):
            path = box / f"{chance.randrange(10**6)}{name[-50:]}"
    try:
        kind(chance, path, outside)
    except OSError:
        path = box / f"{chance.randrange(10**9)}.json"
        path.write_bytes(_bytes(chance))
    if not path.is_symlink() and chance.random() < 0.3:
        when = chance.choice(TIMES)
        with contextlib.suppress(OSError, OverflowError):
            if kind is not a_hard_link:
                os.utime(path, (when, when), follow_symlinks=False)
                os.chmod(path, chance.choice(MODES) | (0o700 if path.is_dir() else 0))
    return path
