"""A disk that has room for a part of a line only: all of it is written, or nothing and an error says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_OLD = '{"event": "a"}\n'
_APPENDING = """\
import errno, sys
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from tests.faults.injector import Fault, Injector, Wire

log, lasting = Path(sys.argv[1]), sys.argv[2] == "lasting"
fault = Fault(1, errno.ENOSPC, calls=("write",), short=True, lasting=lasting)
Injector(log.parent, fault, Wire()).install()
try:
    fs.append_line(log, '{"event": "b"}')
except StorageError as error:
    print(error)
"""


def append(log: Path, how: str) -> str:
    """Append a line to a log, of which only a part is written at first; return what was said."""
    words = [sys.executable, "-c", _APPENDING, str(log), how]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout


def test_a_line_that_is_written_in_two_parts_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "events"
    log.write_text(_OLD)

    assert append(log, "once") == ""
    assert log.read_text() == _OLD + '{"event": "b"}\n'


def test_a_line_of_which_a_part_finds_room_is_refused_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    log = tmp_path / "events"
    log.write_text(_OLD)

    assert "free some space" in append(log, "lasting")
    assert log.read_text() == _OLD
