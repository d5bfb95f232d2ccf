"""What a mount is known for, by the kernel's table of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool.spool.mounts import Mount, cautions, find_mount, mount_of, undone_by_power_cut

TABLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:36 / /mnt/lab rw,relatime shared:7 master:2 - nfs4 nas:/lab rw,vers=4.2,hard,local_lock=none
41 27 0:37 / /mnt/my\\040lab rw - fuse.sshfs ada@nas:/lab rw,user_id=0
42 40 0:38 / /mnt/lab ro - tmpfs none rw
43 42 0:39 / /mnt/lab/deeper rw - xfs /dev/vdb rw,nobarrier
half a line
"""


def mount(kind: str, *options: str) -> Mount:
    return Mount(kind, "somewhere", "/mnt", frozenset(options))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ada", "ext4"),
        ("/mnt/my lab/spool", "fuse.sshfs"),
        ("/mnt/laboratory", "ext4"),
        ("/mnt/lab", "tmpfs"),
        ("/mnt/lab/deeper/spool", "xfs"),
    ],
)
def test_the_deepest_and_the_last_mount_holds_a_path(path: str, kind: str) -> None:
    found = find_mount(TABLE, path)
    assert found is not None and found.kind == kind


def test_options_of_the_mount_and_of_the_file_system_count_both() -> None:
    found = find_mount(TABLE, "/mnt/lab")
    assert found is not None and found.is_read_only and "rw" in found.options


def test_nothing_is_known_of_a_path_that_no_mount_holds() -> None:
    assert find_mount("", "/mnt") is None


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="this system has no table of mounts")
def test_the_mount_of_a_real_folder_is_found(tmp_path: Path) -> None:
    found = mount_of(tmp_path)
    assert found is not None and tmp_path.resolve().is_relative_to(found.point)


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.glusterfs", "fuse", "9p"]
)
def test_what_others_may_change_unnoticed_is_shared(kind: str) -> None:
    assert mount(kind).is_shared


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseblk"])
def test_a_disk_of_this_machine_is_not_shared(kind: str) -> None:
    assert not mount(kind).is_shared


@pytest.mark.parametrize(
    "bad",
    [
        mount("tmpfs"),
        mount("ext4", "rw", "nobarrier"),
        mount("ext4", "barrier=0"),
        mount("overlay", "volatile"),
        mount("cifs", "nostrictsync"),
    ],
    ids=lambda bad: f"{bad.kind} {' '.join(sorted(bad.options))}",
)
def test_a_mount_that_does_not_keep_what_is_synced_is_known(bad: Mount) -> None:
    assert undone_by_power_cut(bad)


@pytest.mark.parametrize("good", [mount("ext4", "rw"), mount("xfs"), mount("nfs4", "hard"), mount("overlay")])
def test_nothing_is_said_against_the_durability_of_a_plain_mount(good: Mount) -> None:
    assert undone_by_power_cut(good) is None


@pytest.mark.parametrize(
    ("told", "word"),
    [
        (mount("fuse.sshfs"), "20 s late"),
        (mount("nfs4", "soft"), "soft"),
        (mount("nfs", "nolock"), "this host only"),
        (mount("nfs4", "local_lock=all"), "this host only"),
        (mount("cifs", "nobrl"), "nobrl"),
        (mount("9p", "cache=loose"), "cache=loose"),
        (mount("vfat"), "neither owners"),
        (mount("ext4", "ro"), "read-only"),
    ],
)
def test_the_lab_is_cautioned_of_what_a_mount_is_known_for(told: Mount, word: str) -> None:
    assert any(word in said for said, _ in cautions(told))


@pytest.mark.parametrize(
    "good", [mount("ext4", "rw"), mount("nfs4", "hard", "local_lock=none"), mount("cifs")]
)
def test_there_is_no_caution_of_a_good_mount(good: Mount) -> None:
    assert cautions(good) == ()
