"""The shipped configuration: a whole lab's worth of files that agree with each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from qtrl_spool.backends.simulator import simulator_document
from qtrl_spool.backends.simulator.chip import chip_of
from qtrl_spool.config import Configuration, load_config
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.shipped import default_config_folder

FILES = sorted(default_config_folder().glob("*.yaml"))
QUBITS = ("Q0", "Q1", "Q2", "Q3")
NUMBER = re.compile(r"^(?P<key>\s*(?:- )?[\w-]+:) +(?P<value>-?\d[\d.e+-]*)(?P<comment>\s+# .+)?$")
LEAVES_COMMENTED = ("variables.yaml", "simulator.yaml", "dac.yaml")


@pytest.fixture(scope="module")
def chip() -> Configuration:
    return load_config(default_config_folder())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_yaml_reader_sees_the_same_numbers(file: Path) -> None:
    assert yaml.safe_load(file.read_text()) == parse_yaml(file.read_text(), file.name)


@pytest.mark.parametrize("name", LEAVES_COMMENTED)
def test_every_number_says_its_unit_and_meaning(name: str) -> None:
    lines = (default_config_folder() / name).read_text().splitlines()
    assert [line for line in lines if (found := NUMBER.match(line)) and not found["comment"]] == []


def test_it_loads_without_a_warning(chip: Configuration) -> None:
    assert chip.warnings == ()


@pytest.mark.parametrize("qubit", QUBITS)
def test_every_pulse_of_every_qubit_can_be_used(chip: Configuration, qubit: str) -> None:
    names = ["rabi", "rabi_ef", "I", "X90", "X180", "Y90", "Y180", "X180_ef", "Y90_ef", "Z45"]
    assert all(chip.pulses[f"{qubit}/{name}"] for name in names)


@pytest.mark.parametrize("qubit", QUBITS)
def test_modulation_frequencies_can_be_played(chip: Configuration, qubit: str) -> None:
    played = [chip.variables[f"{qubit}/{name}"] for name in ("mod_freq", "mod_freq_ef", "res_mod_freq")]
    assert max(map(abs, played)) < 0.45e9


def test_readout_tones_do_not_leak_into_each_other(chip: Configuration) -> None:
    settings = chip.adc["acquisition_settings"]
    tones = np.array([chip.variables[f"{qubit}/res_mod_freq"] for qubit in QUBITS])
    cycles = tones * settings["points"] / chip.adc["hardware_settings"]["sample_rate"]
    assert cycles == pytest.approx(np.round(cycles), abs=1e-9)


def described(chip: Configuration, qubit: str) -> Any:
    """Return what the calibration says of a qubit, its own losses and its own resonator given."""
    written = chip.simulator["chip"][qubit]
    own = ("t1", "t2", "thermal_population", "chi", "kappa")
    with_its_own = chip.merged({"variables": {f"{qubit}/{key}": {"$new": written[key]} for key in own}})
    return simulator_document(with_its_own)["chip"][qubit]


@pytest.mark.parametrize("qubit", QUBITS)
def test_the_simulated_chip_is_the_one_that_the_calibration_describes(
    chip: Configuration, qubit: str
) -> None:
    written, derived = chip.simulator["chip"][qubit], described(chip, qubit)
    wiring = ("chan_I", "chan_Q", "res_chan_I", "res_chan_Q")
    numbers = ("freq", "anharmonicity", "drive_rate", "res_freq", "iq_signal", "iq_background", "iq_sigma")
    for key in (*wiring, *numbers):
        assert np.allclose(written[key], derived[key], rtol=2e-3, atol=0.06), key


@pytest.mark.parametrize("qubit", QUBITS)
def test_the_readout_matrix_corrects_the_errors_that_the_simulated_readout_makes(
    chip: Configuration, qubit: str
) -> None:
    written, derived = chip.simulator["chip"][qubit], described(chip, qubit)
    flips = ("flip_0_to_1", "flip_1_to_0")
    assert [written[key] for key in flips] == pytest.approx([derived[key] for key in flips], abs=2e-4)


def test_the_simulator_accepts_its_document(chip: Configuration) -> None:
    document: Any = chip.effective["simulator"]
    assert set(chip_of(document).qubits) == set(QUBITS)
