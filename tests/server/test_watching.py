"""How a server notices what happens: chosen by its storage, said in its log and its heartbeat."""

from __future__ import annotations

from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool.mounts import mount_of
from tests.beds import bindfs

from .support import Serve, ServerProcess, quick, until


def test_a_server_says_how_it_watches_and_why(spool: Spool, serve: Serve) -> None:
    server = serve().ready()
    mount = mount_of(spool.path)
    watching = "scanning" if mount is not None and mount.is_shared else "events"

    assert spool.queue()["servers"][0]["watching"] == watching
    assert f"watching: {watching}" in server.said()


def test_a_server_tries_what_its_storage_does_with_a_second_process(spool: Spool, serve: Serve) -> None:
    server = serve().ready()

    until(lambda: "found fine: renaming, links, names, locks, visibility" in server.said())
    assert not list((spool.path / "requests").glob(".*doctor*"))


def test_a_server_on_a_share_scans_and_finds_what_another_machine_drops(spool: Spool, tmp_path: Path) -> None:
    point = tmp_path / "share"
    with bindfs(spool.path, point):
        server = ServerProcess(Spool(point)).ready()
        try:
            job = spool.submit(pi_no_pi(0), **quick())

            assert job.wait(60).state == "done"
            assert spool.queue()["servers"][0]["watching"] == "scanning"
        finally:
            server.stop()
            server.close()


def test_a_server_warns_of_a_storage_that_forgets(spool: Spool, serve: Serve) -> None:
    mark = spool.path / "spool.yaml"
    mark.write_text(mark.read_text().replace("durability: durable", "durability: fast"))

    server = serve().ready()

    until(lambda: "nothing is synced" in server.said())
