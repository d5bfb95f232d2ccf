"""A job once more: what travels makes another default the configuration that the job ran with."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool.again import carried_over, patch_between, pinned
from qtrl_spool.bundle import Bundle, Manifest, pack, unpack
from qtrl_spool.config import Configuration, load_config
from qtrl_spool.config.merge import same
from qtrl_spool.shipped import default_config_folder

SEQUENCE = {"format": "qtrl-sequence/1", "name": "x", "n_elements": 1, "appends": []}
VIRTUAL = {"envelope": {"type": "VirtualEnvelope", "properties": {"phase": 1}}}


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load_config(default_config_folder()).at_version(7)


def arrived(default: Configuration, wanted: Configuration) -> Configuration:
    """Return what a bundle that went through the disk makes of `default`."""
    bundle = carried_over(Bundle(SEQUENCE), wanted, default)
    return default.merged(unpack(pack(bundle)).patch)


def arrives(default: Configuration, wanted: Configuration) -> bool:
    found = arrived(default, wanted)
    return all(same(found.effective[name], wanted.effective[name]) for name in wanted.documents)


def test_a_chip_of_another_kind_arrives_but_for_pulses_that_cannot_be_played(
    shipped: Configuration, lab_config: Path
) -> None:
    lab = load_config(lab_config)
    found = arrived(shipped, lab)
    broken = {"/".join(map(str, path[1:3])) for path in lab.unresolved if path[0] == "pulses"}
    keys = {key for key in lab.pulses.keys("") if lab.get(f"pulses/{key}") is not None} - broken
    assert broken and len(keys) > 20
    assert all(same(found[f"pulses/{key}"], lab[f"pulses/{key}"]) for key in keys)
    assert same(found["variables"], lab["variables"]) and same(found["adc"], lab["adc"])


def test_the_shipped_chip_arrives_in_the_lab(shipped: Configuration, lab_config: Path) -> None:
    assert arrives(load_config(lab_config), shipped)


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"variables/Q1/freq": 5.1e9},
        {"variables/Q1/rabi_amp_ef": {"$delete": True}, "pulses/Q1/rabi_ef": {"$delete": True}},
        {"variables/Q11": {"$new": {"freq": 5e9, "anharmonicity": -2e8, "mod_freq": -0.15e9}}},
        {"pulses/Q1/180": {"$replace": VIRTUAL}},
        {"adc/acquisition_settings/n_reps": 3, "variables/readout/readout_qubits": [1]},
    ],
)
def test_any_job_of_one_default_arrives_on_another(shipped: Configuration, patch: dict[str, object]) -> None:
    default = shipped.merged({"variables/Q2/freq": 5.3e9, "variables/Q0/amp_180": 0.2})
    assert arrives(default, shipped.merged(patch))


def test_a_document_that_only_the_other_default_has_stays(shipped: Configuration) -> None:
    wanted = shipped.merged({"devices": {"$delete": True}})
    assert "devices" not in patch_between(shipped, wanted)


def test_nothing_is_patched_where_the_default_is_the_same(shipped: Configuration) -> None:
    assert patch_between(shipped, shipped) == {}


def test_names_of_variables_travel_as_names(shipped: Configuration) -> None:
    default = shipped.merged({"pulses/Q1/180/0/freq": 1.0})
    assert patch_between(default, shipped)["pulses/Q1/180/0/freq"] == "Q1/mod_freq"


def test_the_job_is_pinned_and_belongs_to_whoever_submits_it(shipped: Configuration) -> None:
    manifest = Manifest(name="rabi", user="bob", hold=True, instrument="fridge1", n_reps=7, config_version=2)
    found = carried_over(Bundle(SEQUENCE, manifest=manifest), shipped, shipped).manifest
    assert found == Manifest(name="rabi", n_reps=7, config_version=7)
    assert pinned(Bundle(SEQUENCE, manifest=manifest), 3).manifest.instrument == "fridge1"
