"""Thousands of hostile drops of every kind: each gets an answer, none blocks, nothing outside is touched."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from qtrl_spool import fs
from qtrl_spool.bundle import Limits
from qtrl_spool.spool.drops import Bad, Ignored, Incomplete, Stillness, Whole, look, look_text, take

from .hostile import Outside, make

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes and links")
N_DROPS = int(os.environ.get("HOSTILE_DROPS", "5000"))
_AT_ONCE = 250
_LONGEST_S = 5.0


@pytest.mark.parametrize("part", range(4))
def test_each_hostile_drop_gets_an_answer_in_time_and_touches_nothing_else(
    tmp_path: Path, part: int, count: Callable[[str, int], None]
) -> None:
    outside = Outside(tmp_path / "outside")
    chance = Random(part)
    answers: set[type] = set()
    n_answered = 0
    for first in range(0, N_DROPS // 4, _AT_ONCE):
        box = tmp_path / f"box{first}"
        box.mkdir()
        for path in [make(chance, box, outside) for _ in range(_AT_ONCE)]:
            answers |= answered(path)
            n_answered += 1
        fs.remove(box)

    assert outside.is_untouched
    assert answers == {Bad, Ignored, Incomplete, Whole}
    assert n_answered >= N_DROPS // 4
    count("hostile drops", n_answered)


def answered(path: Path) -> set[type]:
    """Look at a path as a drop and as a request until there is an answer; return the kinds of all of them."""
    final_look(path, look_text)
    seen = final_look(path, look)
    if isinstance(seen[-1], Whole):
        assert take(path).sha256 == seen[-1].sha256
    return set(map(type, seen))


def final_look(path: Path, looking: Callable[..., Any]) -> list[Any]:
    seen: list[Any] = []
    stillness = Stillness()
    for now in (0.0, 3.0, 700.0):
        began = time.process_time()
        seen.append(looking(path, stillness, now=now, limits=Limits(), settle_s=2.0, abandoned_s=600.0))
        assert time.process_time() - began < _LONGEST_S, path
        if isinstance(seen[-1], Bad):
            told = str(seen[-1].error).replace("\t", " ")
            assert all(line.isprintable() for line in told.split("\n")), told
        if not isinstance(seen[-1], Incomplete):
            return seen
    raise AssertionError(f"no answer to {path!r}: {seen[-1]}")
