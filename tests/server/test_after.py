"""Jobs that wait for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool.errors import ManifestError
from qtrl_spool.server.after import check_after
from qtrl_spool.spool.layout import Layout

JOB = "20261123-101530-rabi-k3f9x"


def test_a_job_that_shall_wait_for_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="a job cannot wait for itself"):
        check_after(Layout(tmp_path), JOB, [JOB])
