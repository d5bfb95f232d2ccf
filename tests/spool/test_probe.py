"""The short trial of a storage: what it finds, what follows from it, and that it never hangs."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qtrl_spool.errors import StorageError
from qtrl_spool.spool import probe
from qtrl_spool.spool.findings import FINE, NOTE, WRONG
from qtrl_spool.spool.layout import Layout, make
from qtrl_spool.spool.mounts import Mount
from qtrl_spool.spool.probe import EVENTS, SCANNING, Owners, Storage, decide, findings
from qtrl_spool.spool.settings import TEMPLATE, Settings
from tests.beds import bindfs

DISK = Mount("ext4", "/dev/vda", "/", frozenset({"rw"}))
SHARE = Mount("nfs4", "nas:/lab", "/mnt/lab", frozenset({"rw", "hard"}))
GOOD = Storage(DISK, 10**12, 10**6, 0.001, 0.0, Owners(0, 0, 65000, True))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make(tmp_path / "spool", TEMPLATE)


# ---------------------------------------------------------------- decide


def test_a_disk_of_this_machine_is_watched_by_events() -> None:
    assert decide(GOOD, 1.0).watching == EVENTS


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "fuse.glusterfs"])
def test_a_share_is_scanned_because_events_do_not_tell_what_other_machines_do(kind: str) -> None:
    decision = decide(replace(GOOD, mount=replace(SHARE, kind=kind)), 1.5)
    assert decision.watching == SCANNING
    assert kind in decision.why and "1.5 s" in decision.why


def test_a_storage_that_could_not_be_tried_is_scanned() -> None:
    assert decide(Storage(trouble=StorageError("no answer")), 1.0).watching == SCANNING


def test_without_a_table_of_mounts_events_are_used() -> None:
    assert decide(replace(GOOD, mount=None), 1.0).watching == EVENTS


# ---------------------------------------------------------------- findings


def verdicts(storage: Storage, settings: Settings | None = None) -> dict[str, str]:
    return {each.what: each.verdict for each in findings(storage, settings or Settings())}


def test_nothing_is_wrong_with_a_good_disk() -> None:
    assert set(verdicts(GOOD).values()) == {FINE}


@pytest.mark.parametrize(
    ("storage", "what", "verdict"),
    [
        (replace(GOOD, mount=replace(DISK, kind="tmpfs")), "durability", WRONG),
        (replace(GOOD, mount=replace(DISK, options=frozenset({"nobarrier"}))), "durability", WRONG),
        (replace(GOOD, write_s=5e-6), "durability", NOTE),
        (replace(GOOD, write_s=0.9), "writing", NOTE),
        (replace(GOOD, clock_offset_s=-3600.0), "clock", NOTE),
        (replace(GOOD, free_bytes=10**6), "space", WRONG),
        (replace(GOOD, free_bytes=999 * 10**6), "space", WRONG),
        (replace(GOOD, free_files=12), "space", WRONG),
        (replace(GOOD, owners=Owners(1001, 33, None, False)), "ownership", NOTE),
        (replace(GOOD, mount=replace(DISK, options=frozenset({"ro"}))), "storage", WRONG),
        (Storage(trouble=StorageError("no answer")), "storage", WRONG),
    ],
)
def test_what_is_wrong_with_a_storage_is_told(storage: Storage, what: str, verdict: str) -> None:
    assert verdict in [each.verdict for each in findings(storage, Settings()) if each.what == what]


def test_nothing_synced_by_choice_is_a_note_and_said_in_words() -> None:
    told = probe.durability(GOOD, Settings(durability="fast"))
    assert told.verdict == NOTE and "durability: fast" in told.said


def test_the_durability_of_a_share_rests_on_its_file_server() -> None:
    assert "file server" in probe.durability(replace(GOOD, mount=SHARE), Settings()).said


def test_a_warning_is_one_sentence_with_its_remedy() -> None:
    (told,) = probe.warnings(replace(GOOD, clock_offset_s=60.0), Settings())
    assert told.startswith("clock: that of the storage is 60.0 s ahead") and "time server" in told


@pytest.mark.parametrize(
    ("owners", "said"),
    [
        (Owners(0, 0, 65000, False), "tells apart"),
        (Owners(0, 0, 0, False), "off: the storage shows a file of user 65000 as user 0's"),
        (Owners(1001, 33, None, False), "off: the storage shows a file of user 1001 as user 33's"),
        (Owners(1001, 1001, None, False), "a file of yours is shown as yours"),
    ],
)
def test_it_is_told_whether_the_storage_tells_users_apart(owners: Owners, said: str) -> None:
    assert said in probe.ownership(owners).said


# ---------------------------------------------------------------- a real folder


def test_a_real_folder_is_tried(layout: Layout) -> None:
    found = probe.look(layout)
    assert found.trouble is None
    assert found.write_s is not None and found.write_s > 0
    assert found.free_bytes is not None and found.free_bytes > 0
    assert found.clock_offset_s is not None and abs(found.clock_offset_s) < 5


def test_the_trial_leaves_nothing_behind(layout: Layout) -> None:
    before = sorted(layout.root.rglob("*"))
    probe.look(layout)
    assert sorted(layout.root.rglob("*")) == before


def test_a_folder_in_which_nothing_can_be_made_is_told(layout: Layout) -> None:
    layout.answered.rmdir()
    layout.requests.rmdir()
    assert probe.look(layout).trouble is not None


# ---------------------------------------------------------------- never for ever


def test_a_call_that_hangs_is_given_up_after_its_deadline() -> None:
    never = threading.Event()
    with pytest.raises(StorageError, match=r"within 0\.05 s: trying it"):
        probe.within(0.05, never.wait, "trying it")
    never.set()


def test_what_a_call_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        probe.within(5.0, fail, "trying it")


@pytest.fixture
def frozen_mount(layout: Layout, tmp_path: Path) -> Iterator[Path]:
    """Return a mount of the spool whose file server is frozen: every call on it hangs."""
    point = tmp_path / "mounted"
    with bindfs(layout.root, point) as server:
        server.send_signal(signal.SIGSTOP)
        yield point


def test_a_mount_whose_server_is_frozen_is_told_and_never_waited_for_for_ever(frozen_mount: Path) -> None:
    began = time.monotonic()
    found = probe.look(Layout(frozen_mount), deadline_s=0.5)
    assert found.trouble is not None and "did not answer within 0.5 s" in found.trouble.message
    assert time.monotonic() - began < 10
