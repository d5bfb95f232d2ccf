"""Changes of a bundle: what an edit asks for."""

from __future__ import annotations

from typing import Any

import pytest

from qtrl_spool.bundle import Bundle, Manifest, pack, unpack
from qtrl_spool.bundle.change import Change, changed, told
from qtrl_spool.errors import ManifestError, NotFoundError, QtrlSpoolError, UsageError

TEXT = "variables: {Q1/rabi_amp: 0.2, Q1/freq: 5.1e9}   # as on Monday\n"
SEQUENCE = {"format": "qtrl-sequence/1", "n_elements": 1, "appends": []}


def bundle() -> Bundle:
    from qtrl_spool.config import parse_yaml

    return Bundle(SEQUENCE, parse_yaml(TEXT, "x"), Manifest(name="rabi", n_reps=100), TEXT)


def after(request: dict[str, Any]) -> Bundle:
    return unpack(pack(changed(bundle(), Change.from_request(request))))


def test_what_is_set_lies_over_the_patch_and_the_rest_stays() -> None:
    new = after({"set": {"variables/Q1/rabi_amp": 0.3}})

    assert told(bundle(), new) == ["variables/Q1/rabi_amp: 0.2 → 0.3"]


def test_what_is_taken_out_of_the_patch_is_gone_with_what_is_empty_then() -> None:
    new = after({"unset": ["variables/Q1/rabi_amp", "variables/Q1/freq"]})

    assert new.patch == {}


def test_a_key_of_the_manifest_is_changed_or_as_if_it_were_not_there() -> None:
    new = after({"manifest": {"n_reps": None, "tags": ["night"]}})

    assert (new.manifest.name, new.manifest.n_reps, new.manifest.tags) == ("rabi", None, ("night",))
    assert told(bundle(), new) == ["tags: nothing → night", "n_reps: 100 → nothing"]


def test_a_whole_patch_is_kept_as_it_was_written() -> None:
    new = after({"patch": "# by hand\nvariables: {Q1/freq: 5.2e9}\n"})

    assert new.patch_text == "# by hand\nvariables: {Q1/freq: 5.2e9}\n"
    assert told(bundle(), new) == [
        "variables/Q1/rabi_amp: 0.2 → nothing",
        "variables/Q1/freq: 5100000000.0 → 5200000000.0",
    ]


def test_a_change_of_the_manifest_alone_keeps_the_text_of_the_patch() -> None:
    assert after({"manifest": {"n_reps": 7}}).patch_text == TEXT


def test_what_changes_nothing_tells_nothing() -> None:
    assert told(bundle(), after({"set": {"variables": {"Q1": {"freq": 5.1e9}}}})) == []


def test_of_very_many_changes_the_first_are_told() -> None:
    many = {f"variables/Q1/x{n}": {"$new": n} for n in range(100)}

    said = told(bundle(), after({"set": many}))

    assert len(said) == 21 and said[-1] == "and 80 more"


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        ({"unset": ["variables/Q1/fre"]}, NotFoundError, "did you mean 'variables/Q1/freq'"),
        ({"manifest": {"n_rep": 3}}, ManifestError, "n_reps"),
        ({"manifest": {"n_reps": 0}}, ManifestError, "n_reps is 0"),
        ({"manifest": {"hold": True}}, ManifestError, "qtrl-spool hold"),
        ({"manifest": {"user": "bob"}}, ManifestError, "the label stays"),
        ({"manifest": [1]}, UsageError, "manifest is no mapping"),
        ({"set": [1]}, UsageError, "set is no patch"),
        ({"unset": 3}, UsageError, "unset is no list"),
        ({"patch": {}}, UsageError, "patch is no text"),
        ({"patch": "[1]"}, QtrlSpoolError, "must be a mapping"),
        ({"patch": "{}", "set": {"variables/Q1/freq": 1}}, UsageError, "not both"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_the_remedy(
    request_: dict[str, Any], error: type[QtrlSpoolError], says: str
) -> None:
    with pytest.raises(error) as caught:
        after(request_)

    assert says in str(caught.value)
