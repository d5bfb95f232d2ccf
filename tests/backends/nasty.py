"""A backend that misbehaves in every way that instruments do, for the tests of those who must bear it.

Each class is a complete backend around the simulator with one defect; a real server drives it with
``--backend tests.backends.nasty:Hanging``. A file named by ``NASTY_SWITCH`` turns the defect off once it
is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qtrl_spool.axes import Labelled
from qtrl_spool.backends import Acquired, Capabilities, Measurement
from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.errors import BackendError


class Nasty:
    """Behaves, as long as a subclass does not say otherwise."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self._inner = Simulator()

    @property
    def is_mended(self) -> bool:
        return Path(os.environ.get("NASTY_SWITCH", "/nowhere")).exists()

    def connect(self) -> None:
        self._inner.connect()

    def health(self) -> str | None:
        return None

    def prepare(self, measurement: Measurement) -> Any:
        return self._inner.prepare(measurement)

    def arm(self, plan: Any) -> None:
        self._inner.arm(plan)

    def acquire(self, batch: int, should_stop: Callable[[], bool]) -> Acquired:
        acquired = self._inner.acquire(batch, should_stop)
        return acquired if self.is_mended else self.spoil(acquired)

    def spoil(self, acquired: Acquired) -> Acquired:
        return acquired

    def abort(self) -> None:
        self._inner.abort()

    def release(self) -> None:
        self._inner.release()


class Slow(Nasty):
    """Takes its time between two looks at `should_stop`."""

    def spoil(self, acquired: Acquired) -> Acquired:
        time.sleep(0.3)
        return acquired


class Hanging(Nasty):
    """Does not come back from a batch, whatever it is told."""

    def spoil(self, acquired: Acquired) -> Acquired:
        while not self.is_mended:
            time.sleep(0.05)
        return acquired


class Raising(Nasty):
    """Raises what drivers raise."""

    def spoil(self, acquired: Acquired) -> Acquired:
        raise ZeroDivisionError("the driver's own")


class Failing(Nasty):
    """Says that the instrument failed."""

    def spoil(self, acquired: Acquired) -> Acquired:
        raise BackendError("the digitizer does not answer", hint="switch it on")


class NotNumbers(Nasty):
    """Returns points that are no numbers."""

    def spoil(self, acquired: Acquired) -> Acquired:
        values = acquired.iq.values.copy()
        values[0, 0, 0] = np.nan
        return Acquired(Labelled(values, acquired.iq.axes))


class LosingTriggers(Nasty):
    """Returns fewer repetitions than were asked for."""

    def spoil(self, acquired: Acquired) -> Acquired:
        return Acquired(Labelled(acquired.iq.values[:, :-1], acquired.iq.axes))


class WrongAxes(Nasty):
    """Returns the axes in an order of its own."""

    def spoil(self, acquired: Acquired) -> Acquired:
        iq = acquired.iq
        return Acquired(Labelled(np.swapaxes(iq.values, 0, 1), (iq.axes[1], iq.axes[0], *iq.axes[2:])))


class ReturningNothing(Nasty):
    """Returns no data at all."""

    def spoil(self, acquired: Acquired) -> Any:
        return None


class NotConnecting(Nasty):
    """Cannot be opened."""

    def connect(self) -> None:
        if not self.is_mended:
            raise BackendError("no instrument at 10.0.0.7", hint="is it switched on?")
        super().connect()


class Warm(Nasty):
    """Is not well."""

    def health(self) -> str | None:
        return None if self.is_mended else "fridge warm: 4.2 K"


class DeafToStop(Nasty):
    """Does not look at `should_stop`, and does not care for `abort`."""

    def acquire(self, batch: int, should_stop: Callable[[], bool]) -> Acquired:
        return self._inner.acquire(batch, lambda: False)

    def abort(self) -> None:
        pass


class Small(Nasty):
    """Can do little."""

    capabilities = Capabilities(n_channels=1, max_samples=16, data=frozenset({"iq"}))
