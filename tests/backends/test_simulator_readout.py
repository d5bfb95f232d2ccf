"""From levels to IQ points and traces: statistics, reproducibility, the way back by demodulation."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from handmade import in_turn, qubit, square

from qtrl_spool.axes import IQ_AXES, RAW_AXES
from qtrl_spool.backends import Measurement
from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.backends.simulator.evolve import Outcomes
from qtrl_spool.backends.simulator.readout import draw_levels, iq_points, traces
from qtrl_spool.config import AcquisitionSettings, load_config
from qtrl_spool.errors import AbortedError, BackendError
from qtrl_spool.processing import demodulate

SHIPPED = Path(__file__).parents[2] / "configs"
FOREVER = 1e9


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def prepared(patch: dict, n_reps: int = 50, readouts: tuple[str, ...] = ("R0", "R2"), **hooks) -> Simulator:
    """Return a simulator that is ready for 3 elements, the second of which drives Q0."""
    settings = {"n_reps": n_reps, "keep_raw": patch.pop("keep_raw", False)}
    config = load_config(SHIPPED).merged({"simulator": patch, "adc": {"acquisition_settings": settings}})
    lo = config["variables/hardware/qubit_LO"]
    played = in_turn([[40], [square(20, 0.2)], [40]], 100, config["simulator/chip/Q0/freq"] - lo)
    backend = Simulator(**hooks)
    backend.connect()
    triggers = np.array([[0, 60]] * 3)
    counts = AcquisitionSettings.of(config, n_elements=3, n_triggers=2)
    plan = backend.prepare(Measurement(played, config, counts, triggers, readouts))
    backend.arm(plan)
    backend.seed = plan.seed
    return backend


def digest(backend: Simulator, batch: int) -> str:
    return hashlib.sha256(backend.acquire(batch, lambda: False).iq.values.tobytes()).hexdigest()


def test_levels_are_drawn_with_their_probabilities():
    outcomes = Outcomes(first=np.array([[0.7, 0.2, 0.1]]), later=np.zeros((1, 0, 3, 3)))
    levels = draw_levels(outcomes, 200_000, random())
    assert np.bincount(levels.ravel()) / levels.size == pytest.approx([0.7, 0.2, 0.1], abs=5e-3)


def test_a_later_level_follows_from_the_one_before():
    follow = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    outcomes = Outcomes(first=np.array([[0.3, 0.3, 0.4]]), later=follow[None, None])
    levels = draw_levels(outcomes, 1000, random())
    assert np.array_equal(levels[..., 1], (levels[..., 0] + 1) % 3)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_points_scatter_about_their_levels_blob(level):
    of = qubit(t1=FOREVER)
    points = iq_points(np.full(100_000, level, dtype=np.int8), of, 1e-6, 1.0, random())
    assert points.mean() == pytest.approx(complex(*(of.iq_0, of.iq_1, of.iq_2)[level]), abs=0.5)
    assert [points.real.std(), points.imag.std()] == pytest.approx([of.iq_sigma[level]] * 2, rel=0.01)


def test_noise_scales_the_blobs():
    points = iq_points(np.zeros(100, dtype=np.int8), qubit(), 1e-6, 0.0, random())
    assert np.all(points == np.complex64(complex(*qubit().iq_0)))


def test_a_level_that_decays_while_it_is_read_moves_towards_the_one_below():
    of = qubit(t1=1e-6, iq_0=(0.0, 0.0), iq_1=(100.0, 0.0))
    points = iq_points(np.ones(100_000, dtype=np.int8), of, 1e-6, 0.0, random())
    assert points.real.mean() == pytest.approx(100 * (1 - np.exp(-1.0)), rel=0.01)


def test_the_readouts_own_errors_flip_levels():
    of = qubit(t1=FOREVER, flip_0_to_1=0.1, flip_1_to_0=0.2)
    levels = np.repeat(np.array([0, 1], dtype=np.int8), 50_000)
    seen = iq_points(levels, of, 1e-6, 0.0, random()).real > 0
    assert [seen[:50_000].mean(), 1 - seen[50_000:].mean()] == pytest.approx([0.1, 0.2], abs=6e-3)


def test_the_same_seed_gives_the_same_bits_and_batches_differ():
    one, two = prepared({"seed": 7}), prepared({"seed": 7})
    assert digest(one, 0) == digest(two, 0) != digest(one, 1) == digest(two, 1)


def test_without_a_seed_every_job_is_new_and_tells_its_seed():
    one, two = prepared({}), prepared({})
    assert digest(one, 0) != digest(two, 0)
    assert digest(prepared({"seed": one.seed}), 0) == digest(one, 0)


def test_the_same_seed_gives_the_same_bits_in_another_process():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_simulator_readout as here;"
        "print(here.digest(here.prepared({'seed': 7}), 3))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    other = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert other.stdout.strip() == digest(prepared({"seed": 7}), 3)


def test_a_readout_has_the_same_bits_whatever_else_is_read():
    both = prepared({"seed": 7}).acquire(0, lambda: False).iq.values
    alone = prepared({"seed": 7}, readouts=("R2",)).acquire(0, lambda: False).iq.values
    assert np.array_equal(both[1], alone[0])


def test_a_batch_has_the_axes_of_iq_points():
    iq = prepared({}).acquire(0, lambda: False).iq
    assert (iq.axes, iq.values.shape, iq.values.dtype) == (IQ_AXES, (2, 50, 3, 2, 2), np.float32)


def test_raw_traces_hold_the_points_that_demodulation_finds():
    frequencies, n = [103e6, -187e6], 1000
    points = (random().standard_normal((2, 40, 3, 2, 2)) * 300).view(complex)[..., 0].astype(np.complex64)
    raw = traces(points, frequencies, n_points=n, sample_rate=1e9, noise=0.0, random=random())
    signal = raw[0] + 1j * raw[1]
    for at, frequency in enumerate(frequencies):
        found = (signal * np.exp(2j * np.pi * frequency * np.arange(n) / 1e9)).mean(axis=-1)
        assert found == pytest.approx(points[at], abs=0.1)


def test_raw_traces_demodulate_to_the_same_blobs():
    backend = prepared({"seed": 5, "keep_raw": True}, n_reps=400)
    raw = backend.acquire(0, lambda: False).raw
    assert (raw.axes, raw.values.shape) == (RAW_AXES, (2, 400, 3, 2, 1000))
    config = load_config(SHIPPED)
    found = demodulate(raw, config.adc, ("R0", "R2")).values
    direct = prepared({"seed": 5}, n_reps=400).acquire(0, lambda: False).iq.values
    assert found.mean(axis=(1, 3)) == pytest.approx(direct.mean(axis=(1, 3)), abs=10)
    assert found[:, :, 0].std(axis=1) == pytest.approx(direct[:, :, 0].std(axis=1), rel=0.2)


def test_a_batch_takes_at_least_batch_s_and_stops_when_told():
    backend = prepared({"batch_s": 3600.0})
    with pytest.raises(AbortedError):
        backend.acquire(0, lambda: True)


def test_abort_ends_a_wait_from_another_thread():
    backend = prepared({"batch_s": 3600.0})
    asked = threading.Event()

    def should_stop() -> bool:
        asked.set()
        return False

    caught: list[BaseException] = []

    def acquire() -> None:
        try:
            backend.acquire(0, should_stop)
        except AbortedError as stopped:
            caught.append(stopped)

    worker = threading.Thread(target=acquire)
    worker.start()
    assert asked.wait(10)
    backend.abort()
    worker.join(10)
    assert caught


def test_the_least_time_of_a_batch_is_kept():
    ticks = iter(np.arange(100) * 0.5)
    backend = prepared({"batch_s": 2.0}, clock=lambda: float(next(ticks)))
    backend.acquire(0, lambda: False)
    assert next(ticks) >= 2.0


def test_a_readout_of_a_qubit_that_the_chip_lacks_is_refused():
    with pytest.raises(BackendError, match="reads qubit 'Q9', which the simulated chip lacks"):
        prepared({}, readouts=("R9",))


def test_data_before_a_job_is_a_clear_error():
    with pytest.raises(BackendError, match="before a job was prepared"):
        Simulator().acquire(0, lambda: False)
