"""The manifest: what it may say, and how it refuses the rest."""

from __future__ import annotations

import pytest

from qtrl_spool.bundle import Manifest
from qtrl_spool.errors import ManifestError


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("10 min", 600.0),
        ("90s", 90.0),
        ("1 h 30 min", 5400.0),
        ("2 hours", 7200.0),
        ("1.5 d", 129600.0),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_text_with_units(given, seconds):
    assert Manifest.from_dict({"max_duration": given}).max_duration == seconds


REFUSED = [
    ({"n_rep": 5}, "unknown key 'n_rep'", "did you mean 'n_reps'"),
    ({"colour": 5}, "unknown key 'colour'", "there are name, user"),
    ({1: 5}, "unknown key 1", "there are"),
    ({"n_reps": 0}, "n_reps is 0", "whole number from 1"),
    ({"n_reps": 1.5}, "n_reps is 1.5", "whole number"),
    ({"n_reps": True}, "n_reps is True", "whole number"),
    ({"n_reps": "500"}, "n_reps is '500'", "whole number"),
    ({"hold": "off"}, "hold is 'off'", "true or false"),
    ({"hold": 0}, "hold is 0", "true or false"),
    ({"retries": False}, "retries is False", "from 0 to 100"),
    ({"retries": -1}, "retries is -1", "from 0 to 100"),
    ({"tags": "rabi"}, "tags is 'rabi'", "a list"),
    ({"tags": [1]}, "tags is", "a list"),
    ({"name": 5}, "name is 5", "needs quotes"),
    ({"name": "a\nb"}, "name is", "one line"),
    ({"name": ""}, "name is ''", "one line"),
    ({"name": "x" * 201}, "name is", "200"),
    ({"config_version": "newest"}, "config_version is 'newest'", "latest, submitted"),
    ({"config_version": 0}, "config_version is 0", "latest, submitted"),
    ({"on_interrupt": "retry"}, "on_interrupt is 'retry'", "requeue or fail"),
    ({"max_duration": "soon"}, "max_duration is 'soon'", "10 min"),
    ({"max_duration": "10 parsecs"}, "max_duration", "10 min"),
    ({"max_duration": 0}, "max_duration is 0", "above 0"),
    ({"max_duration": float("inf")}, "max_duration is inf", "above 0"),
    ({"format": "qtrl-job/2"}, "format is 'qtrl-job/2'", "reads qtrl-job/2"),
    ({"format": "other"}, "format is 'other'", "write format: qtrl-job/1"),
    ([1], "must be a mapping", ""),
]


@pytest.mark.parametrize(("tree", "message", "hint"), REFUSED, ids=[str(each[0])[:40] for each in REFUSED])
def test_what_a_manifest_may_not_say_is_refused_with_the_rule(tree, message, hint):
    with pytest.raises(ManifestError) as caught:
        Manifest.from_dict(tree, "rabi.yaml: job")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.where == "rabi.yaml: job"


def test_an_empty_manifest_and_nulls_are_the_defaults():
    assert Manifest.from_dict(None) == Manifest.from_dict({"hold": None, "n_reps": None}) == Manifest()


def test_a_manifest_made_in_python_is_checked_too():
    with pytest.raises(ManifestError, match="n_reps is 0"):
        Manifest(n_reps=0)
    assert Manifest(tags=["a"]).tags == ("a",)
    assert Manifest(max_duration="10 min").max_duration == 600.0
