"""Result files of small synthetic jobs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, POPULATION_AXES, STATE_AXES, Labelled
from qtrl_spool.processing import Processed
from qtrl_spool.processing.fitting import fit, with_best
from qtrl_spool.results import Result
from qtrl_spool.results.write import image

X = np.arange(21) * 0.02
READOUTS = ("R6", "R0")
IDENTITY = {
    "job_id": "20261123-101530-rabi-k3f9x",
    "name": "rabi <Q6>",
    "user": "ada",
    "tags": ["night", "größe"],
    "notes": "",
    "n_reps": 30,
    "sample_rate": 1e9,
    "seed": None,
    "simulated": True,
    "finished": "2026-11-23T10:15:41.000000Z",
}
DOCUMENTS = {
    "sequence": json.dumps({"format": "qtrl-sequence/1", "name": "rabi", "n_elements": 21, "appends": []}),
    "patch": "variables:\n  Q6:\n    freq: 5.41e9\n",
    "config": "variables:\n  Q6:\n    freq: 5.41e9\nadc:\n  on: off\n",
}


@pytest.fixture
def iq():
    values = np.random.default_rng(0).normal(size=(2, 30, len(X), 2, 2)).astype(np.float32)
    return Labelled(values, IQ_AXES)


@pytest.fixture
def processed():
    rng = np.random.default_rng(1)
    excited = np.stack([0.5 - 0.5 * np.cos(2 * np.pi * 10 * X), 0.3 + 0 * X]) + 0.02 * rng.normal(
        size=(2, len(X))
    )
    population = np.stack([1 - excited, excited], axis=1)
    state = (rng.random((2, 30, len(X))) < excited[:, None]).astype(np.int8)
    kept = rng.random((30, len(X))) < 0.9
    state[:, ~kept] = -1
    fits = {
        label: with_best({kind: fit(kind, X, row) for kind in ("exp", "sin_exp", "cos")})
        for label, row in zip(READOUTS, excited, strict=True)
    }
    return Processed(
        variables={
            "state": Labelled(state, STATE_AXES),
            "population": Labelled(population.astype(np.float32), POPULATION_AXES),
            "population_err": Labelled(np.full(population.shape, 0.05, np.float32), POPULATION_AXES),
            "kept": Labelled(kept, ("repetition", "element")),
            "60": Labelled(np.full((4, len(X)), 0.25), ("joint_60", "element")),
            "a/b": Labelled(np.zeros((2, len(X)), np.float32), ("readout", "element")),
            "element": Labelled(np.zeros((2, len(X)), np.float32), ("readout", "element")),
        },
        fits=fits,
        notes=("heralding kept 90.0% of the shots",),
        coordinates={"joint_60": ("00", "01", "10", "11")},
    )


@pytest.fixture
def build(tmp_path, iq, processed):
    """Return a function that writes a result file and opens it."""
    opened = []

    def write(**changes):
        given = {
            "iq": iq,
            "raw": None,
            "processed": processed,
            "readouts": READOUTS,
            "x_axis": ("pulse width", "us", X),
            "identity": IDENTITY,
            "documents": DOCUMENTS,
        }
        path = tmp_path / "result.h5"
        path.write_bytes(image(**{**given, **changes}))
        opened.append(Result(path))
        return opened[-1]

    yield write
    for result in opened:
        result.close()


@pytest.fixture
def result(build):
    return build()
