"""Disks that reorder and tear what was not flushed."""

from __future__ import annotations

import pytest

from . import beds, rooms
from .conftest import Count


def wanting() -> str | None:
    return beds.wants_disk("ext4") or rooms.wanting(
        "fusermount3", "e2fsck", modules=("mfusepy",), filesystems=("fuse",)
    )


def test_what_was_acknowledged_is_in_every_image_that_a_crash_may_leave(count: Count) -> None:
    if reason := wanting():
        pytest.skip(reason)

    tally = rooms.tried("torn-images", "--n", 105)

    assert tally.faults == {}
    assert tally.trials == 105
    assert tally.kinds["acknowledged"] > 200
    count("torn images", tally.trials)


def test_without_any_sync_crash_images_lack_what_was_acknowledged() -> None:
    if reason := wanting():
        pytest.skip(reason)

    tally = rooms.tried("torn-images", "--n", 15, "--settings", '{"durability": "fast"}')

    assert tally.lost or tally.torn
