"""Raw traces with known tones, demodulated."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import demodulate

RATE = 1e9


def traces(amplitudes, frequencies, *, n_points=1000, offset=(0.0, 0.0), dtype=np.float32):
    """Return traces of tones `amplitudes` [readout, repetition, element, trigger] at `frequencies` (Hz)."""
    t = np.arange(n_points) / RATE
    signal = sum(
        np.asarray(a)[..., None] * np.exp(-2j * np.pi * f * t)
        for a, f in zip(amplitudes, frequencies, strict=True)
    )
    return Labelled(np.stack([signal.real + offset[0], signal.imag + offset[1]]).astype(dtype), RAW_AXES)


def antisymmetric(rng, n_tones):
    """Return complex amplitudes whose mean over the batch is zero."""
    half = rng.normal(size=(n_tones, 2, 3, 2)) + 1j * rng.normal(size=(n_tones, 2, 3, 2))
    return np.concatenate([half, -half], axis=1)


def test_each_readout_gets_the_amplitude_of_its_own_tone(adc):
    amplitudes = antisymmetric(np.random.default_rng(0), 2)
    iq = demodulate(traces(amplitudes, [50e6, -70e6]), adc, ("R3", "R1"))
    assert iq.axes == IQ_AXES
    np.testing.assert_allclose(iq.values[..., 0] + 1j * iq.values[..., 1], amplitudes, atol=2e-6)


def test_only_what_is_read_is_demodulated(adc):
    amplitudes = antisymmetric(np.random.default_rng(1), 2)
    raw = traces(amplitudes, [50e6, -70e6])
    both, one = demodulate(raw, adc, ("R3", "R1")), demodulate(raw, adc, ("R1",))
    np.testing.assert_array_equal(one.values[0], both.values[1])


def test_the_mean_of_each_input_over_the_batch_is_taken_off():
    amplitudes = antisymmetric(np.random.default_rng(2), 1)
    chain = {
        "processing": {
            "0": {"0": {"type": "Heterodyne", "kwargs": {"freq_labels": [6], "frequencies": [0.25e6]}}}
        },
        "hardware_settings": {"sample_rate": RATE},
    }
    raw = traces(amplitudes, [0.25e6], offset=(300.0, -80.0))
    found = demodulate(raw, chain, ("R6",)).values
    expected = demodulate(traces(amplitudes, [0.25e6]), chain, ("R6",)).values
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_traces_of_integers_mean_the_same(adc):
    amplitudes = 1000 * antisymmetric(np.random.default_rng(3), 2)
    integers = demodulate(traces(amplitudes, [50e6, -70e6], dtype=np.int16), adc, ("R3", "R1"))
    np.testing.assert_allclose(integers.values[..., 0] + 1j * integers.values[..., 1], amplitudes, atol=1.0)


def test_the_phase_stays_exact_over_a_long_trace(adc):
    amplitudes = np.array([1.0, -1.0]).reshape(1, 2, 1, 1)
    iq = demodulate(traces(amplitudes, [50e6], n_points=40_000), adc, ("R3",))
    np.testing.assert_allclose(iq.values[0, 0, 0, 0], [1.0, 0.0], atol=1e-5)


def test_raw_traces_without_an_enabled_heterodyne_step_are_an_error(adc):
    adc["processing"]["00_simple_readout"]["00_heterodyne"]["enable"] = False
    with pytest.raises(ProcessingError, match="no enabled Heterodyne step"):
        demodulate(traces(np.ones((1, 1, 1, 1)), [50e6]), adc, ("R3",))


def test_a_frequency_that_is_still_a_name_is_an_error_naming_it(adc):
    adc["processing"]["00_simple_readout"]["00_heterodyne"]["kwargs"]["frequencies"][1] = "Q1/res_mod_freg"
    with pytest.raises(ProcessingError, match=r"00_heterodyne.*frequencies\[1\] is 'Q1/res_mod_freg'"):
        demodulate(traces(np.ones((1, 1, 1, 1)), [50e6]), adc, ("R3",))


def test_traces_with_other_axes_are_an_error_naming_the_step(adc):
    wrong = Labelled(np.zeros((2, 3, 4), np.float32), ("quadrature", "repetition", "point"))
    with pytest.raises(ProcessingError, match=r"00_heterodyne.*axes"):
        demodulate(wrong, adc, ("R3",))


def test_b25_demodulation_works_where_mkl_can_be_imported(tmp_path):
    (tmp_path / "mkl.py").write_text("")
    program = (
        "import mkl, numpy as np\n"
        "from qtrl_spool.axes import RAW_AXES, Labelled\n"
        "from qtrl_spool.processing.demodulation import heterodyne\n"
        "raw = Labelled(np.ones((2, 1, 1, 1, 8), np.float32), RAW_AXES)\n"
        "print(heterodyne(raw, np.array([1e8]), 1e9).values.shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"},
        check=False,
    )
    assert done.stdout == "(1, 1, 1, 1, 2)\n", done.stderr
