"""What sequences weigh: on disk as bundles, and in memory while they are compiled."""

import tracemalloc

import numpy as np
import pytest

from qtrl_spool.bundle import Bundle, Manifest, pack
from qtrl_spool.sequence import PulseLibrary, SequenceWrapper

from .pulses import NS, qubit, real

MIB = 2**20
GATES = ("X90", "X-90", "Y90", "Y-90", "X180", "Y180")
LIBRARY = PulseLibrary(
    {
        "Q5": qubit(-261e6, 6, width=30 * NS),
        "Q6": qubit(-86e6, 4, width=30 * NS),
        "Readout": {
            "R5": [real("sin", 1.0248e-6, channel=10, frequency=50e6, amplitude=0.06)],
            "R6": [real("sin", 1.0248e-6, channel=11, frequency=80e6, amplitude=0.06)],
            "Trigger": [real("square", 2 * NS, channel=8)],
        },
    }
)


def read_out(seq, element, ref, qubits=(6,)):
    for number in qubits:
        herald, _ = seq.append(
            f"Readout/R{number}", element, end="Start", start_delay=10 * NS, end_delay=10e-6
        )
        seq.append(f"Readout/R{number}", element, start=ref, end_delay=10 * NS)
    seq.append("Readout/Trigger", element, start=herald, start_delay=140 * NS)
    seq.append("Readout/Trigger", element, start=ref, start_delay=130 * NS)


def ramsey(n):
    seq = SequenceWrapper(n, x_axis=0.2, name="ramsey")
    for i in range(n):
        _, ref = seq.append("Q6/X90", i, end_delay=i * 200 * NS)
        _, ref = seq.append(f"Q6/Z{7.2 * i:g}", i, start=ref)
        _, ref = seq.append("Q6/X90", i, start=ref)
        read_out(seq, i, ref)
    return seq


def ramsey_swept(n):
    waits = np.arange(n) * 200 * NS
    seq = SequenceWrapper(n, x_axis=0.2, name="ramsey")
    _, ref = seq.sweep("Q6/X90", end_delay=waits)
    _, ref = seq.sweep("Q6/Z0", start=ref, phase=2 * np.pi * 0.1e6 * waits)
    _, ref = seq.append("Q6/X90", start=ref)
    read_out(seq, None, ref)
    return seq


def random_gates(n, n_gates, qubits):
    random = np.random.default_rng(7)
    seq = SequenceWrapper(n, name="rb")
    for element in range(n):
        for number in qubits:
            ref = "Start"
            for gate in random.integers(0, len(GATES), n_gates).tolist():
                _, ref = seq.append(f"Q{number}/{GATES[gate]}", element, start=ref)
        read_out(seq, element, ref, qubits)
    return seq


@pytest.mark.parametrize(
    ("seq", "most"),
    [(ramsey(50), 8_000), (ramsey_swept(50), 1_500), (random_gates(100, 184, (6,)), 200_000)],
    ids=["a Ramsey append by append", "a Ramsey as a sweep", "randomized benchmarking"],
)
def test_the_bundle_of_a_sequence_is_tiny_on_disk(seq, most, tmp_path):
    file = tmp_path / "job.qjob"
    file.write_bytes(pack(Bundle(seq.to_dict(), {}, Manifest(name=seq.name))))
    assert file.stat().st_size <= most


def peak_of(work):
    tracemalloc.start()
    result = work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, result


@pytest.fixture(scope="module")
def largest():
    """Two qubits, 30 elements, 55,000 appends."""
    return random_gates(30, 916, (5, 6))


def test_a_program_of_55000_appends_is_compiled_within_64_mib(largest):
    peak, _ = peak_of(lambda: largest.compile(LIBRARY).program)
    assert peak < 64 * MIB


def test_the_dense_array_takes_at_most_64_mib_more_than_itself(largest):
    peak, array = peak_of(lambda: largest.compile(LIBRARY).array)
    assert peak < array.nbytes + 64 * MIB


def test_many_elements_in_an_append_are_refused_before_they_fill_the_memory():
    seq = SequenceWrapper(1_000_000)
    for _ in range(5):
        seq.append("Q6/X90")

    def compiled():
        with pytest.raises(ValueError, match="5 appends in up to 1000000 elements play 5000000 times"):
            seq.compile(LIBRARY)

    assert peak_of(compiled)[0] < 64 * MIB


def test_shapes_that_are_too_long_together_are_refused_before_they_are_drawn():
    seq = SequenceWrapper(10)
    seq.sweep("Q6/X90", width=np.linspace(0.1, 0.11, 10))

    def compiled():
        with pytest.raises(ValueError, match="different samples together"):
            seq.compile(LIBRARY)

    assert peak_of(compiled)[0] < 4 * MIB
