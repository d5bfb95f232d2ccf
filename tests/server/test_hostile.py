"""A real server under hundreds of hostile drops and requests: it lives, serves on, touches nothing else."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from random import Random

import pytest

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.job import is_id
from tests.spool.hostile import Outside, make

from .support import Serve, ServerProcess, command, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes and links")
N_DROPS = int(os.environ.get("HOSTILE_SERVED", "300"))
_PATIENCE_S = 240.0


def prepared(spool: Spool) -> None:
    """Let it give up soon what never becomes whole."""
    mark = spool.path / "spool.yaml"
    mark.write_text(mark.read_text().replace("abandoned_s: 600 ", "abandoned_s: 1 "))


def test_a_server_outlives_hostile_drops_and_serves_the_next_job(
    spool: Spool, serve: Serve, tmp_path: Path
) -> None:
    prepared(spool)
    outside = Outside(tmp_path / "outside")
    chance = Random(2026)
    boxes = [spool.path / "incoming", *(spool.path / "incoming").iterdir()]
    (spool.path / "incoming" / "60-mine").symlink_to(outside.folder / "home")
    (spool.path / "queue" / "60-mine").mkdir()
    for _ in range(N_DROPS):
        make(chance, chance.choice(boxes), outside)
    for _ in range(N_DROPS // 4):
        make(chance, spool.path / "requests", outside)
    beside = sorted(path.name for path in tmp_path.iterdir())

    server = serve("--drain")
    until(lambda: server.process.poll() is not None, _PATIENCE_S)
    good = spool.submit(pi_no_pi(0), n_reps=2)
    again = serve("--drain", name="lab")

    until(lambda: good.state == "done", _PATIENCE_S)
    assert server.process.poll() == 0, server.said()[-2000:]
    until(lambda: again.process.poll() == 0, _PATIENCE_S)
    assert outside.is_untouched
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*beside, "lab.log"})


def test_what_it_says_of_them_cannot_steer_a_terminal(spool: Spool, serve: Serve, tmp_path: Path) -> None:
    prepared(spool)
    outside = Outside(tmp_path / "outside")
    chance = Random(7)
    for _ in range(N_DROPS // 4):
        make(chance, spool.path / "incoming", outside)

    server = serve("--drain")
    until(lambda: server.process.poll() is not None, _PATIENCE_S)

    told = [path for path in (spool.path / "rejected").glob("*.txt") if is_id(path.stem)]
    texts = [server.said(), *(path.read_text() for path in told)]
    lines = [line for text in texts for line in text.replace("\t", " ").splitlines()]
    assert lines
    assert [line for line in lines if not line.isprintable()] == []
    assert [path for path in (spool.path / "rejected").iterdir() if not path.name.isprintable()] == []
    shutil.rmtree(outside.folder)


@pytest.mark.parametrize("words", [["queue"], ["queue", "--json"], ["jobs"], ["jobs", "--json"], ["doctor"]])
def test_the_command_shows_what_waits_and_cannot_be_steered_by_it(hostile: Spool, words: list[str]) -> None:
    made = command(*words, "--spool", hostile.path)

    said = (made.stdout + made.stderr).replace("\t", " ")
    assert "a mistake of ours" not in said
    assert made.returncode in {0, 1}
    assert [line for line in said.splitlines() if not line.isprintable()] == []


@pytest.fixture(scope="module")
def hostile(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """Return a spool full of hostile drops, half of which a server has looked at."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(template, folder / "spool")
    spool = Spool(folder / "spool")
    outside, chance = Outside(folder / "outside"), Random(11)
    for _ in range(N_DROPS // 4):
        make(chance, spool.path / "incoming", outside)
    server = ServerProcess(spool).ready()
    until(lambda: any((spool.path / "rejected").iterdir()), _PATIENCE_S)
    assert server.stop() == 0
    server.close()
    for _ in range(N_DROPS // 4):
        make(chance, spool.path / "incoming", outside)
    return spool
