"""What every backend must do, as tests that a lab runs on its own.

::

    # test_fridge.py
    from qtrl_spool.backends.contract import BackendContract
    from mylab.fridge import Fridge

    class TestFridge(BackendContract):
        make = Fridge

``python -m pytest test_fridge.py`` then measures a Rabi oscillation of few repetitions again and again. A lab
whose instrument needs its own configuration says which in `folder`, and which qubit in `qubit`. Nothing
here knows the simulator; it passes, and so does every backend that the server can live with.

Called by pytest. Fails as a test does: with an `AssertionError` that says what was expected.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from qtrl_spool.axes import IQ_AXES, RAW_AXES
from qtrl_spool.backends import Acquired, Backend, Capabilities, Measurement
from qtrl_spool.config import AcquisitionSettings, load_config
from qtrl_spool.errors import AbortedError
from qtrl_spool.experiments import Qubits, rabi
from qtrl_spool.sequence import trigger_samples
from qtrl_spool.shipped import default_config_folder


class BackendContract:
    """Subclass it, say what to make, and let pytest collect it.

    Attributes
    ----------
    make:
        The backend's class, or a function that returns one.
    folder:
        The configuration to measure with; None: the shipped one.
    qubit:
        Which qubit to measure.
    patch:
        What differs from the configuration, such as fewer repetitions.
    soon_s:
        Within which time (s) an acquisition must come back when it is told to stop.
    """

    make: ClassVar[Callable[[], Backend]]
    folder: ClassVar[Path | None] = None
    qubit: ClassVar[Qubits] = 1
    patch: ClassVar[dict[str, Any]] = {}
    soon_s: ClassVar[float] = 5.0

    # ------------------------------------------------------------ what is measured

    def measurement(self, n_elements: int = 3, *, keep_raw: bool = False, n_reps: int = 5) -> Measurement:
        """Return a Rabi oscillation of a few elements."""
        config = load_config(self.folder or default_config_folder()).merged(self.patch)
        counts = {"n_reps": n_reps, "n_batches": 2, "keep_raw": keep_raw}
        config = config.merged({"adc": {"acquisition_settings": counts}})
        sequence = rabi(self.qubit, n_elements=n_elements, step_size=8e-9)
        program = sequence.compile(config.pulses).program
        triggers = trigger_samples(program, config.pulses)
        settings = AcquisitionSettings.of(config, n_elements=n_elements, n_triggers=triggers.shape[1])
        labels = sorted(key for key in sequence.pulse_keys() if key.startswith("Readout/R"))
        readouts = tuple(key.removeprefix("Readout/") for key in labels)
        return Measurement(program, config, settings, triggers, readouts)

    def connected(self) -> Backend:
        """Return a backend that is open; the ones before are released: an instrument may be had but once."""
        self.teardown_method()
        backend = type(self).make()
        self._open: list[Backend] = [backend]
        backend.connect()
        return backend

    def teardown_method(self) -> None:
        """Release what a test has left open."""
        for backend in getattr(self, "_open", []):
            backend.release()
        self._open = []

    def armed(self, measurement: Measurement) -> Backend:
        """Return a backend that can acquire."""
        backend = self.connected()
        backend.arm(backend.prepare(measurement))
        return backend

    # ------------------------------------------------------------ life

    def test_it_has_every_hook(self) -> None:
        """Each method of `Backend` is there."""
        assert isinstance(type(self).make(), Backend), "it lacks methods of qtrl_spool.backends.Backend"

    def test_it_says_what_it_can_do(self) -> None:
        """`capabilities` is one of ours, and names data that exist."""
        can = self.connected().capabilities
        assert isinstance(can, Capabilities), f"capabilities is {can!r}"
        assert can.data <= {"iq", "raw"}, f"capabilities.data is {can.data!r}"

    def test_it_says_how_it_is(self) -> None:
        """`health` returns a text or None."""
        said = self.connected().health()
        assert said is None or (isinstance(said, str) and said.strip()), f"health() returned {said!r}"

    def test_it_is_released_as_often_as_one_likes(self) -> None:
        """`release` is harmless when called twice."""
        backend = self.connected()
        backend.release()
        backend.release()

    def test_it_is_aborted_when_nothing_runs(self) -> None:
        """`abort` is harmless when no acquisition runs, also for the next one."""
        backend = self.armed(self.measurement())
        backend.abort()
        backend.arm(backend.prepare(self.measurement()))
        backend.acquire(0, _never)

    def test_it_can_be_opened_anew(self) -> None:
        """A released backend can be replaced by another one of its kind."""
        self.connected().release()
        self.armed(self.measurement()).acquire(0, _never)

    # ------------------------------------------------------------ data

    def test_a_batch_has_the_shape_that_was_asked_for(self) -> None:
        """IQ points [readout, repetition, element, trigger, quadrature], or traces."""
        measurement = self.measurement()
        _check(self.armed(measurement).acquire(0, _never), measurement)

    def test_every_batch_has(self) -> None:
        """The second batch is as the first."""
        measurement = self.measurement()
        backend = self.armed(measurement)
        for batch in range(2):
            _check(backend.acquire(batch, _never), measurement)

    def test_raw_traces_are_returned_when_they_are_wanted(self) -> None:
        """Traces [quadrature, repetition, element, trigger, point], of a backend that can."""
        measurement = self.measurement(keep_raw=True)
        backend = self.connected()
        if "raw" not in backend.capabilities.data:
            return
        backend.arm(backend.prepare(measurement))
        acquired = backend.acquire(0, _never)
        assert acquired.raw is not None, "keep_raw, but raw is None"
        _check(acquired, measurement)

    def test_another_job_is_prepared_while_one_is_acquired(self) -> None:
        """`prepare` does not touch what is armed."""
        first, second = self.measurement(3), self.measurement(4)
        backend = self.armed(first)
        plan = backend.prepare(second)
        _check(backend.acquire(0, _never), first)
        backend.arm(plan)
        _check(backend.acquire(0, _never), second)

    def test_a_paused_job_goes_on(self) -> None:
        """The same plan can be armed again after another one, at a later batch."""
        first, second = self.measurement(3), self.measurement(4)
        backend = self.connected()
        plan, other = backend.prepare(first), backend.prepare(second)
        for each, batch, measurement in ((plan, 0, first), (other, 0, second), (plan, 1, first)):
            backend.arm(each)
            _check(backend.acquire(batch, _never), measurement)

    # ------------------------------------------------------------ stop

    def test_it_stops_when_it_is_told(self) -> None:
        """`acquire` raises `AbortedError` soon after `should_stop` is true."""
        backend = self.armed(self.measurement())
        began = time.monotonic()
        try:
            backend.acquire(0, lambda: True)
        except AbortedError:
            pass
        else:
            raise AssertionError("acquire came back with data although should_stop() was true")
        took = time.monotonic() - began
        assert took < self.soon_s, f"it took {took:.1f} s to stop"

    def test_it_comes_back_when_it_is_aborted(self) -> None:
        """`abort` from another thread makes a blocked `acquire` come back, with data or without.

        A backend whose batches are shorter than `soon_s` passes whatever it does.
        """
        backend = self.armed(self.measurement())
        ended = threading.Event()

        def acquire() -> None:
            try:
                backend.acquire(0, _never)
            except Exception:  # noqa: BLE001 - what it may raise, the other tests tell
                pass
            finally:
                ended.set()

        threading.Thread(target=acquire, daemon=True).start()
        backend.abort()
        assert ended.wait(self.soon_s), f"acquire did not come back within {self.soon_s:g} s"

    def test_it_measures_after_it_was_stopped(self) -> None:
        """An aborted batch can be acquired again."""
        measurement = self.measurement()
        backend = self.armed(measurement)
        try:
            backend.acquire(0, lambda: True)
        except AbortedError:
            backend.arm(backend.prepare(measurement))
        _check(backend.acquire(0, _never), measurement)


def _never() -> bool:
    return False


def _check(acquired: Acquired, measurement: Measurement) -> None:
    """Compare the axes, lengths and numbers of a batch with what was asked for."""
    assert isinstance(acquired, Acquired), f"acquire returned {type(acquired).__name__}"
    settings = measurement.settings
    shots = settings.n_reps, settings.n_elements, settings.n_triggers
    wanted = {
        "iq": (IQ_AXES, (len(measurement.readouts), *shots, 2)),
        "raw": (RAW_AXES, (2, *shots, settings.points)),
    }
    for name, (axes, shape) in wanted.items():
        data = getattr(acquired, name)
        if data is None:
            continue
        assert data.axes == axes, f"{name} has the axes {data.axes}, expected {axes}"
        assert data.values.shape == shape, f"{name} is {data.values.shape}, expected {shape}"
        assert np.isfinite(data.values).all(), f"{name} holds values that are no finite numbers"
