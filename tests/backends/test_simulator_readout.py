"""From levels to IQ points and traces: statistics, reproducibility, the way back by demodulation."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import qubit

from qtrl_spool import experiments
from qtrl_spool.axes import IQ_AXES, RAW_AXES
from qtrl_spool.backends import Measurement
from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.backends.simulator.outcomes import Outcomes
from qtrl_spool.backends.simulator.readout import (
    Readout,
    draw_levels,
    level_of,
    noise_of,
    paths,
    points_of,
    with_crosstalk,
)
from qtrl_spool.backends.simulator.resonator import Probe, Window, field_of
from qtrl_spool.backends.simulator.traces import Shots, traces
from qtrl_spool.config import AcquisitionSettings, load_config
from qtrl_spool.errors import AbortedError, BackendError
from qtrl_spool.processing import demodulate
from qtrl_spool.sequence import trigger_samples

SHIPPED = Path(__file__).parents[2] / "configs"
FOREVER = 1e9
LO = 6.4e9


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def prepared(
    patch: dict,
    n_reps: int = 50,
    readouts: tuple[str, ...] = ("R0", "R2"),
    qubits: tuple[int, ...] = (0,),
    begun_with: int | None = None,
    **hooks,
) -> Simulator:
    """Return a simulator that is ready for a herald, then nothing or a pi pulse, then a readout."""
    patch = dict(patch)
    settings = {"n_reps": n_reps, "keep_raw": patch.pop("keep_raw", False)}
    config = load_config(SHIPPED).merged({"simulator": patch, "adc": {"acquisition_settings": settings}})
    read = [label[1:] for label in readouts if label != "R9"]
    seq = experiments.pi_no_pi(qubits, readout=read, herald=True)
    played = seq.compile(config.pulses).program
    backend = Simulator(**hooks)
    backend.connect()
    triggers = trigger_samples(played, config.pulses)
    counts = AcquisitionSettings.of(config, n_elements=2, n_triggers=2)
    plan = backend.prepare(Measurement(played, config, counts, triggers, readouts, begun_with))
    backend.arm(plan)
    backend.seed = plan.seed
    return backend


def iq(backend: Simulator, batch: int = 0) -> np.ndarray:
    return backend.acquire(batch, lambda: False).iq.values


def digest(backend: Simulator, batch: int) -> str:
    return hashlib.sha256(iq(backend, batch).tobytes()).hexdigest()


def readout(of, name: str = "Q1", modulation: float = 100e6, n_points: int = 1000) -> Readout:
    """Return a readout of one element and one trigger, with a probe that has settled on its resonance."""
    window = Window(n_points=n_points, sample_rate=1e9, demodulated=modulation, mixed=LO)
    of = replace(of, res_freq=LO + modulation)
    turns = modulation / 1e9 * np.arange(-8000, n_points)
    field = field_of(of, window, Probe(0.06 * np.exp(2j * np.pi * turns), -8000, 1e9))
    number = np.zeros((1, 1), dtype=np.int64)
    return Readout("R" + name[1:], name, of, window, (field,), number, np.ones((1, 1), dtype=complex))


def read(of, level: int, n: int = 100_000, **window) -> np.ndarray:
    """Return points of shots that a trigger finds in a level, noise included."""
    reading, levels = readout(of, **window), np.full((n, 1, 1), level, dtype=np.int8)
    path = paths(levels, of, reading.window, random())
    return (points_of(reading, path) + noise_of(path.levels, reading.widths, random(2)))[:, 0, 0]


def test_levels_are_drawn_with_their_probabilities():
    outcomes = Outcomes(first=np.array([[0.7, 0.2, 0.1]]), later=np.zeros((1, 0, 3, 3)))
    levels = draw_levels(outcomes, 200_000, random())
    assert np.bincount(levels.ravel()) / levels.size == pytest.approx([0.7, 0.2, 0.1], abs=5e-3)


def test_a_later_level_follows_from_the_one_before():
    follow = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    outcomes = Outcomes(first=np.array([[0.3, 0.3, 0.4]]), later=follow[None, None])
    levels = draw_levels(outcomes, 1000, random())
    assert np.array_equal(levels[..., 1], (levels[..., 0] + 1) % 3)


def test_the_levels_of_a_pair_are_drawn_together():
    both = np.zeros(9)
    both[[3 * 0 + 2, 3 * 1 + 0]] = 0.5
    levels = draw_levels(Outcomes(both[None], np.zeros((1, 0, 9, 9))), 1000, random())
    first, second = (level_of(levels, place, 2) for place in (0, 1))
    assert set(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)) == {(0, 2), (1, 0)}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_points_scatter_about_where_their_level_settles(level):
    of = qubit(t1=FOREVER)
    points = read(of, level)
    assert points.mean() == pytest.approx(readout(of).fields[0].means[level], abs=0.5)
    assert [points.real.std(), points.imag.std()] == pytest.approx([of.iq_sigma[level]] * 2, rel=0.01)


def test_a_longer_integration_averages_more_noise_away():
    widths = [read(qubit(t1=FOREVER), 0, n_points=n).real.std() for n in (1000, 4000)]
    assert widths[0] / widths[1] == pytest.approx(2.0, rel=0.02)


def test_a_level_that_decays_while_it_is_read_moves_towards_the_one_below():
    of = qubit(t1=1e-6, kappa=1e9, iq_signal=(1000.0, 0.0), iq_background=(0.0, 0.0), iq_sigma=(0.0,) * 3)
    of = replace(of, chi=0.5e9)
    means = readout(of).fields[0].means
    points = read(of, 1)
    stayed = 1 - np.exp(-1.0)
    assert points.mean() == pytest.approx(means[0] + stayed * (means[1] - means[0]), rel=0.01)


def test_a_level_is_excited_while_it_is_read_as_often_as_the_chip_is_warm():
    of = qubit(t1=1e-6, thermal_population=0.1, t2=1e-6)
    path = paths(np.zeros((100_000, 1, 1), dtype=np.int8), of, readout(of).window, random())
    assert len(path.shots) / 1e5 == pytest.approx(1 - np.exp(-0.1), rel=0.03)
    assert np.all(path.steps[:, 1] == 1)


def test_a_level_that_jumps_does_so_once_in_t1():
    of = qubit(t1=2e-6, t2=1e-6)
    path = paths(np.full((100_000, 1, 1), 2, dtype=np.int8), of, readout(of).window, random())
    assert len(path.shots) / 1e5 == pytest.approx(1 - np.exp(-1.0), rel=0.02)
    again = np.mean(path.begins[:, 2] < 1000)
    waits = np.linspace(0, 1, 1001) * 1e-6
    rate = 1 / of.t1
    expected = np.trapezoid(
        2 * rate * np.exp(-2 * rate * waits) * (1 - np.exp(-rate * (1e-6 - waits))), waits
    )
    assert again == pytest.approx(expected / (1 - np.exp(-1.0)), rel=0.03)


def test_the_readouts_own_errors_flip_levels():
    of = qubit(t1=FOREVER, flip_0_to_1=0.1, flip_1_to_0=0.2)
    levels = np.repeat(np.array([0, 1], dtype=np.int8), 50_000)[:, None, None]
    seen = paths(levels, of, readout(of).window, random()).levels.ravel()
    assert [seen[:50_000].mean(), 1 - seen[50_000:].mean()] == pytest.approx([0.1, 0.2], abs=6e-3)


def test_readout_crosstalk_adds_a_part_of_what_the_others_level_changes():
    listening = readout(qubit(t1=FOREVER, readout_crosstalk={"Q2": 0.1}), "Q1")
    other = readout(qubit(t1=FOREVER), "Q2")
    levels = {"Q1": [0, 0], "Q2": [0, 1]}
    clean = [listening.fields[0].means[levels["Q1"]], other.fields[0].means[levels["Q2"]]]
    points = [values.astype(np.complex64)[:, None, None] for values in clean]
    mixed = with_crosstalk(points, [listening, other])
    assert np.array_equal(mixed[1], points[1])
    step = other.fields[0].means[1] - other.fields[0].means[0]
    assert (mixed[0] - points[0]).ravel() == pytest.approx([0, 0.1 * step], abs=1e-3)


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
    both = iq(prepared({"seed": 7}))
    alone = iq(prepared({"seed": 7}, readouts=("R2",)))
    assert np.array_equal(both[1], alone[0])


def test_a_job_that_was_paused_goes_on_with_the_bits_that_it_would_have_had():
    whole = prepared({})
    before = [digest(whole, batch) for batch in range(4)]
    resumed = prepared({}, begun_with=whole.seed)
    assert [digest(resumed, 3), digest(resumed, 2)] == [before[3], before[2]]


def test_the_seed_that_a_job_began_with_counts_more_than_the_configured_one():
    assert digest(prepared({"seed": 8}, begun_with=7), 0) == digest(prepared({"seed": 7}), 0)


def test_one_of_a_coupled_pair_has_the_same_bits_whether_or_not_the_other_is_read():
    pair = {"seed": 7, "pairs": {"Q2-Q3": {"zz": 1e6}}}
    both = prepared(pair, readouts=("R2", "R3"), qubits=(2, 3))
    alone = prepared(pair, readouts=("R3",), qubits=(2, 3))
    assert [group.names for group in alone._plan.groups] == [("Q2", "Q3")]
    assert np.array_equal(iq(both)[1], iq(alone)[0])


def test_a_batch_has_the_axes_of_iq_points():
    found = prepared({}).acquire(0, lambda: False).iq
    assert (found.axes, found.values.shape, found.values.dtype) == (IQ_AXES, (2, 50, 2, 2, 2), np.float32)


def shots(of: list[Readout], n: int = 300) -> list[Shots]:
    """Return shots in random levels, which jump often."""
    found = []
    for at, each in enumerate(of):
        levels = random(at).integers(0, 3, (n, 1, 1)).astype(np.int8)
        path = paths(levels, each.qubit, each.window, random(at))
        found.append(Shots(path, noise_of(path.levels, np.full(3, 7.0), random(at))))
    return found


def multiplexed() -> list[Readout]:
    first = qubit(t1=2e-6, t2=1e-6, readout_crosstalk={"Q2": 0.05})
    return [readout(first, "Q1", 103e6), readout(qubit(t1=2e-6, t2=1e-6), "Q2", -187e6)]


@pytest.mark.parametrize("at", [0, 1])
def test_raw_traces_hold_the_points_that_demodulation_finds(at):
    of = multiplexed()
    every = shots(of)
    raw = traces(of, every, 0.0, random())
    window = of[at].window
    signal = raw[0].astype(complex) + 1j * raw[1]
    carrier = np.exp(2j * np.pi * window.demodulated * np.arange(window.n_points) / window.sample_rate)
    direct = with_crosstalk([points_of(each, shot.path) for each, shot in zip(of, every, strict=True)], of)
    assert (signal * carrier).mean(axis=-1) == pytest.approx(direct[at] + every[at].shift, abs=0.5)


def test_the_noise_of_raw_traces_is_white_and_as_large_as_it_should_be():
    of = multiplexed()
    still = shots(of, 50)
    noisy = traces(of, still, 300.0, random()) - traces(of, still, 0.0, random()).astype(float)
    assert noisy.std() == pytest.approx(300.0, rel=0.01)
    assert abs(np.mean(noisy[..., 1:] * noisy[..., :-1])) < 0.02 * 300**2
    assert abs(np.mean(noisy[0] * noisy[1])) < 0.02 * 300**2


def test_raw_traces_and_integrated_points_are_of_the_same_shots():
    """Noise apart, shot by shot: the levels, the jumps and the trajectories are the same."""
    patch = {"seed": 5, "noise": 0.0, "chip": {"Q0": {"t1": 3e-6, "t2": 3e-6}}}
    raw = prepared({**patch, "keep_raw": True}, n_reps=200).acquire(0, lambda: False).raw
    assert (raw.axes, raw.values.shape) == (RAW_AXES, (2, 200, 2, 2, 1000))
    found = demodulate(raw, load_config(SHIPPED).adc, ("R0", "R2")).values
    direct = iq(prepared(patch, n_reps=200))
    centred = [values - values.mean(axis=(1, 2, 3), keepdims=True) for values in (found, direct)]
    assert centred[0] == pytest.approx(centred[1], abs=1.0)


def test_raw_traces_demodulate_to_blobs_of_the_same_width():
    raw = prepared({"seed": 5, "keep_raw": True}, n_reps=1000).acquire(0, lambda: False).raw
    found = demodulate(raw, load_config(SHIPPED).adc, ("R0", "R2")).values
    direct = iq(prepared({"seed": 6}, n_reps=1000))
    assert found.std(axis=1) == pytest.approx(direct.std(axis=1), rel=0.1)


def test_a_readout_that_plays_no_pulse_is_noise():
    backend = prepared({"seed": 5}, n_reps=4000)
    lit = np.abs(iq(backend).mean(axis=1))
    dark_config = {"variables": {"readout/R0_amp": 0.0}}
    config = load_config(SHIPPED).merged(dark_config).merged({"simulator": {"seed": 5}})
    seq = experiments.pi_no_pi(0)
    played = seq.compile(config.pulses).program
    counts = AcquisitionSettings.of(config, n_elements=2, n_triggers=1)
    when = trigger_samples(played, config.pulses)
    backend.arm(backend.prepare(Measurement(played, config, counts, when, ("R0",))))
    assert np.max(np.abs(iq(backend).mean(axis=1))) < 0.1 * lit.max()


def test_a_sequence_without_triggers_is_measured_where_its_readout_begins():
    config = load_config(SHIPPED).merged({"simulator": {"seed": 5, "noise": 0.0}})
    seq = experiments.pi_no_pi(0)
    played = seq.compile(config.pulses).program
    counts = AcquisitionSettings.of(config, n_elements=2, n_triggers=1)
    backend = Simulator()
    none = np.zeros((2, 0), dtype=np.int64)
    backend.arm(backend.prepare(Measurement(played, config, counts, none, ("R0",))))
    ground, excited = np.median(iq(backend)[0, :, :, 0], axis=0)
    assert np.hypot(*(excited - ground)) > 150


def test_making_traces_stops_when_told():
    backend = prepared({"keep_raw": True})
    with pytest.raises(AbortedError):
        backend.acquire(0, lambda: True)


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
        prepared({}, readouts=("R0", "R9"))


def test_data_before_a_job_is_a_clear_error():
    with pytest.raises(BackendError, match="before a job was prepared"):
        Simulator().acquire(0, lambda: False)
