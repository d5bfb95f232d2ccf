"""Synthetic data with known answers: shots of a chip whose readout is exactly what a chain assumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, Labelled
from qtrl_spool.config import load_config


@dataclass(frozen=True)
class Chip:
    """The readout that a chain's parameters describe, one row for each of `labels`."""

    labels: tuple[str, ...]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    angles: NDArray[np.float64]
    mistakes: NDArray[np.float64]

    @classmethod
    def of(cls, adc: Mapping[str, Any]) -> Chip:
        simple, advanced = adc["processing"]["00_simple_readout"], adc["processing"]["05_advanced_readout"]
        labels = tuple(f"R{label}" for label in simple["00_heterodyne"]["kwargs"]["freq_labels"])
        shape = (len(labels), 2, 2)
        return cls(
            labels=labels,
            means=np.array(list(simple["055_GMM"]["kwargs"]["means"])).reshape(shape),
            variances=np.array(list(simple["055_GMM"]["kwargs"]["covariances"])),
            angles=np.array(list(simple["02_rotate_IQ"]["kwargs"]["angles"])),
            mistakes=np.array(list(advanced["08_readout_corr"]["kwargs"]["corr_matrix"])).reshape(shape),
        )

    def points(self, states: NDArray[Any], readouts: Sequence[str], *, seed: int = 0) -> Labelled:
        """Return the points of shots in `states` [readout, repetition, element, trigger]."""
        rng = np.random.default_rng(seed)
        iq = np.empty((*states.shape, 2), np.float32)
        for row, label in enumerate(readouts):
            at = self.labels.index(label)
            centre = self.means[at][states[row]]
            noise = rng.normal(size=centre.shape) * np.sqrt(self.variances[at])[states[row]][..., None]
            turned = (centre + noise) @ np.array([1, 1j]) * np.exp(-1j * self.angles[at])
            iq[row] = np.stack([turned.real, turned.imag], axis=-1)
        return Labelled(iq, IQ_AXES)

    def shots(
        self, excited: NDArray[Any], readouts: Sequence[str], *, n_reps: int, herald: float | None = 0.0
    ) -> NDArray[np.int64]:
        """Return levels as a faulty readout reports them [readout, repetition, element, trigger].

        `excited` [readout, element] is the probability of level 1; `herald` that of a herald in level 1, None
        for a sequence without herald.
        """
        rng = np.random.default_rng(7)
        shape = (len(readouts), n_reps, excited.shape[1])
        rows = [self.labels.index(label) for label in readouts]
        true = (rng.random(shape) < excited[:, None, :]).astype(int)
        wrong = self.mistakes[rows, 1][:, None, None, :]
        seen = np.take_along_axis(np.broadcast_to(wrong, (*shape, 2)), true[..., None], axis=-1)[..., 0]
        last = (rng.random(shape) < seen).astype(int)
        if herald is None:
            return last[..., None]
        return np.stack([(rng.random(shape) < herald).astype(int), last], axis=-1)


@pytest.fixture(scope="session")
def lab_adc(lab_config):
    return load_config(lab_config).adc


@pytest.fixture(scope="session")
def lab_chip(lab_adc):
    return Chip.of(lab_adc)


def simple_readout():
    """Return the group of steps up to the levels of two readouts."""
    demodulation = {"freq_labels": [3, 1], "frequencies": [50e6, -70e6], "sample_rate": 1e9}
    mixture = {
        "means": [[-100.0, 0.0, 100.0, 0.0], [-50.0, 20.0, 90.0, 20.0]],
        "covariances": [[100.0, 100.0], [100.0, 100.0]],
        "result_name": "GMM",
    }
    herald = {"input_name": "GMM", "result_name": "Herald", "axis": None, "trigger": 0}
    last = {"input_name": "GMM", "result_name": "Classified", "axis": None, "trigger": -1}
    return {
        "enable": True,
        "00_heterodyne": {"enable": True, "type": "Heterodyne", "kwargs": demodulation},
        "02_rotate_IQ": {"enable": True, "type": "IQRotation", "kwargs": {"angles": [0.3, -1.0]}},
        "055_GMM": {"enable": True, "type": "GMM", "kwargs": mixture},
        "058_herald": {"type": "AxisTriggerSelector", "kwargs": herald},
        "05_readout": {"type": "AxisTriggerSelector", "kwargs": last},
    }


def advanced_readout():
    """Return the group of steps from the levels to corrected populations."""
    heralding = {"herald_classified_name": "Herald", "input_name": "Classified", "result_name": "Classified"}
    average = {"axis": 0, "input_name": "Classified", "result_name": "averaged"}
    correction = {
        "corr_matrix": [[0.95, 0.1, 0.05, 0.9], [0.8, 0.3, 0.2, 0.7]],
        "input_name": "Classified",
        "result_name": "corrected",
    }
    selection = {"axis": 1, "input_name": "corrected", "result_name": "corrected", "trigger": None}
    return {
        "06_heralding": {"type": "Heralding", "kwargs": heralding},
        "07_average": {"type": "AverageAxis", "kwargs": average},
        "08_readout_corr": {"type": "IndividualReadoutCorrection", "kwargs": correction},
        "09_select": {"type": "AxisTriggerSelector", "kwargs": selection},
    }


@pytest.fixture
def adc():
    """Return a small chain of two readouts as plain data, free to change."""
    return {
        "hardware_settings": {"sample_rate": 1e9},
        "processing": {
            "00_simple_readout": simple_readout(),
            "05_advanced_readout": advanced_readout(),
        },
    }


@pytest.fixture
def chip(adc):
    return Chip.of(adc)
