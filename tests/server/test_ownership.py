"""Who owns what: drops of other users, a server that is not root, requests of strangers."""

from __future__ import annotations

import json
import os
import subprocess

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi

from .people import ADA, BOB, ask_as, needs_root
from .support import until

pytestmark = needs_root


def test_a_folder_that_the_server_may_not_remove_is_copied_and_never_run_twice(
    shared: Spool, server: subprocess.Popen[bytes]
) -> None:
    folder = shared.path / "incoming" / "50-normal" / "adas job"
    folder.mkdir()
    (folder / "sequence.json").write_text(json.dumps(pi_no_pi(0).to_dict()))
    (folder / "job.yaml").write_text("{n_reps: 3, n_batches: 1}\n")
    for path in (folder, *folder.iterdir()):
        os.chown(path, ADA, ADA)

    job = until(lambda: shared.jobs(state="done"))[0]
    again = shared.submit(pi_no_pi(0), n_reps=3, n_batches=1)
    again.wait(60)

    assert {each.id for each in shared.jobs()} == {job.id, again.id}
    assert job.status()["uid"] == ADA
    assert folder.exists()


def test_a_job_belongs_to_the_owner_of_the_file_and_only_he_or_an_admin_can_cancel_it(
    shared: Spool, server: subprocess.Popen[bytes]
) -> None:
    job = shared.submit(pi_no_pi(0), hold=True, n_reps=3)
    until(lambda: job.state in {"held", "queued"})
    drop = shared.submit(pi_no_pi(0), hold=True, n_reps=3, user="a label")
    until(lambda: drop.state == "held")

    refused = ask_as(BOB, shared, {"cancel": job.id})
    by_root = ask_as(0, shared, {"cancel": job.id})

    assert not refused["ok"] and "belongs to" in refused["message"]
    assert by_root["ok"]
    assert job.state == "cancelled"
    assert drop.status()["user"] == "a label"
