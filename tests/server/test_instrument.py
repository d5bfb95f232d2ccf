"""The lock of an instrument: one holder on a host, whoever asks, however the holder dies."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qtrl_spool.errors import OperatorError
from qtrl_spool.server.instrument import LOCKS_VARIABLE, InstrumentLock, lock_folder, lock_of, told

from .support import until

ABOUT = {"server": "lab-a", "pid": 12, "user": "ada", "spool": "/mnt/lab/spool"}
HOLDER = """\
import os, sys, time
from pathlib import Path
from qtrl_spool.server.instrument import InstrumentLock
lock = InstrumentLock("fridge", Path(sys.argv[1]))
print(lock.take({"server": "lab-a"}), flush=True)
if sys.argv[2] == "with a child" and os.fork() == 0:
    print("child", flush=True)
    time.sleep(600)
time.sleep(600)
"""


def lock(folder: Path) -> InstrumentLock:
    return InstrumentLock("fridge", folder)


def holder(folder: Path, how: str = "alone") -> subprocess.Popen[str]:
    """Start a process that holds the lock."""
    words = [sys.executable, "-c", HOLDER, str(folder), how]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "True\n"
    if how == "with a child":
        assert process.stdout.readline() == "child\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_second_process_does_not_get_the_lock(tmp_path: Path) -> None:
    process = holder(tmp_path)
    assert not lock(tmp_path).take(ABOUT)
    end(process)


def test_the_lock_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    end(holder(tmp_path))
    assert lock(tmp_path).take(ABOUT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    process = holder(tmp_path, "with a child")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: lock(tmp_path).take(ABOUT))
    end(process)


def test_the_lock_says_who_holds_it(tmp_path: Path) -> None:
    mine = lock(tmp_path)
    mine.take(ABOUT)
    assert "server 'lab-a', process 12 of ada" in told(lock(tmp_path).holder())
    mine.release()


def test_a_released_lock_can_be_taken_and_its_file_stays(tmp_path: Path) -> None:
    first, second = lock(tmp_path), lock(tmp_path)
    first.take(ABOUT)
    first.release()
    assert first.path.exists()
    assert second.take({**ABOUT, "server": "lab-b"}) and second.holder()["server"] == "lab-b"
    second.release()


@pytest.mark.parametrize("text", ["", "half a", "[]", "\0"])
def test_a_lock_that_says_nonsense_is_somebodys_who_has_not_said(tmp_path: Path, text: str) -> None:
    lock(tmp_path).path.write_text(text)
    assert told(lock(tmp_path).holder()) == "somebody who has not said who it is"


def test_every_user_of_the_host_may_lock_the_file(tmp_path: Path) -> None:
    mine = lock(tmp_path)
    mine.take(ABOUT)
    assert stat.S_IMODE(mine.path.stat().st_mode) == 0o666
    mine.release()


def test_a_link_in_the_place_of_the_lock_is_refused_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    lock(tmp_path).path.symlink_to(tmp_path / "precious")
    with pytest.raises(OperatorError, match="fridge"):
        lock(tmp_path).take(ABOUT)
    assert (tmp_path / "precious").read_text() == "keep me"


def test_a_lock_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    mine = InstrumentLock("fridge", tmp_path, look_every_s=0.0)
    mine.take(ABOUT)
    mine.path.unlink()
    mine.look_after()
    assert not lock(tmp_path).take(ABOUT)
    mine.release()


@pytest.mark.parametrize("n_failing", [1, 3])
@pytest.mark.parametrize("begin", [0, 1])
def test_a_lock_file_that_cannot_be_looked_at_is_looked_at_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: int, n_failing: int
) -> None:
    mine = InstrumentLock("fridge", tmp_path, look_every_s=0.0)
    real, looks = os.lstat, iter(range(1000))

    def failing(path: Path) -> os.stat_result:
        if Path(path) == mine.path and begin <= next(looks) < begin + n_failing:
            raise OSError(errno.EIO, "input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "lstat", failing)
    mine.take(ABOUT)
    for _ in range(6):
        mine.look_after()

    assert not lock(tmp_path).take(ABOUT)
    mine.path.unlink()
    mine.look_after()
    assert not lock(tmp_path).take(ABOUT)
    mine.release()


def test_a_lock_that_another_one_has_after_it_was_removed_is_lost_and_told(tmp_path: Path) -> None:
    mine = InstrumentLock("fridge", tmp_path, look_every_s=0.0)
    mine.take(ABOUT)
    mine.path.unlink()
    other = holder(tmp_path)
    with pytest.raises(OperatorError, match="held by server 'lab-a'"):
        mine.look_after()
    end(other)


# ---------------------------------------------------------------- where it lies


def test_the_folder_of_the_locks_is_the_same_whatever_a_users_environment_says(tmp_path: Path) -> None:
    ada = lock_folder({"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path), "HOME": "/home/ada"})
    assert ada == lock_folder({})


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_everybody_may_lock_there_and_nobody_may_clear_it() -> None:
    mode = lock_folder({}).stat().st_mode
    assert mode & stat.S_ISVTX and mode & stat.S_IWOTH


def test_another_folder_can_be_named_for_containers(tmp_path: Path) -> None:
    assert lock_folder({LOCKS_VARIABLE: str(tmp_path)}) == tmp_path


def test_a_simulator_is_its_servers_own_and_needs_no_lock() -> None:
    assert lock_of("simulator", "fridge") is None
    assert lock_of("rig", "fridge") is not None
