"""Variables that others follow from, on the real lab's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool.config import load_config
from qtrl_spool.errors import PatchError


@pytest.mark.parametrize("gone", [None, {"$delete": True}])
def test_what_a_derived_variable_follows_from_cannot_be_taken_away_from_under_it(
    lab_config: Path, gone: object
) -> None:
    default = load_config(lab_config)

    with pytest.raises(PatchError, match="Q7/mod_freq follows from it"):
        default.merged({"variables": {"Q7/freq": gone}})
