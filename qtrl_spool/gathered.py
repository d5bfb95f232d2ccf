"""What a backend measured: checked batch by batch, and gathered in memory or on the local disk.

Called by `qtrl_spool.run` for every batch. A backend may return anything: what is not as it was asked for
is a `BackendError` that says what came and what was expected. Fails with `StorageError` if the local disk
has no room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Batches, Labelled
from qtrl_spool.errors import BackendError
from qtrl_spool.measurement import Acquired, Measurement

if TYPE_CHECKING:
    from qtrl_spool.results.space import Need


class Data:
    """What a backend measured so far: grows batch by batch; what is there never changes.

    Small data stay in memory, large ones go to the local disk, see `qtrl_spool.results.scratch`.

    Parameters
    ----------
    need:
        Bytes that the whole job will take, for which room is set apart; None if that is not known.

    Raises
    ------
    StorageError
        If the local disk has no room for them.
    """

    def __init__(self, need: Need | None = None) -> None:
        from qtrl_spool.processing import Memory
        from qtrl_spool.results.scratch import Scratch

        self.memory = Memory()
        """What processing found in the batches so far: a partial result looks only at the new ones."""
        self._iq = Scratch(expected=0 if need is None else need.iq)
        self._raw = Scratch(expected=0 if need is None else need.raw)

    def append(self, iq: Labelled, raw: Labelled | None) -> None:
        """Add a batch: IQ points as demodulated, axes `IQ_AXES`; traces if they are kept, axes `RAW_AXES`."""
        if raw is not None:
            self._raw.append(raw)
        self._iq.append(iq)

    @property
    def n_batches(self) -> int:
        """How many batches there are."""
        return self._iq.n_batches

    @property
    def iq(self) -> Batches:
        """The IQ points at this moment, apart from what will follow; there must be a batch."""
        return self._iq.batches()

    @property
    def raw(self) -> Batches | None:
        """The raw traces, if they are kept."""
        return self._raw.batches() if self._raw.n_batches else None

    def close(self) -> None:
        """Give the room back; nothing can be read any longer."""
        self._iq.close()
        self._raw.close()


def checked(acquired: object, wanted: Measurement) -> tuple[Labelled, Labelled | None]:
    """Return the IQ points of a batch, and the traces if they are kept; a backend may return anything."""
    if not isinstance(acquired, Acquired):
        raise BackendError(f"the backend returned {type(acquired).__name__}, expected Acquired")
    settings, raw = wanted.settings, acquired.raw
    shots = settings.n_reps, settings.n_elements, settings.n_triggers
    if raw is not None:
        _check_shape("traces", raw, RAW_AXES, (2, *shots, settings.points))
        _check_finite("samples", raw)
    iq = acquired.iq if acquired.iq is not None else _demodulated(raw, wanted)
    _check_shape("IQ points", iq, IQ_AXES, (len(wanted.readouts), *shots, 2))
    _check_finite("IQ values", iq)
    if settings.keep_raw and raw is None:
        raise BackendError(
            "raw traces are to be kept, and the backend returned none", hint="set keep_raw: false"
        )
    return iq, raw if settings.keep_raw else None


def _demodulated(raw: Labelled | None, wanted: Measurement) -> Labelled:
    from qtrl_spool.processing import demodulate

    if raw is None:
        raise BackendError("the backend returned neither raw traces nor IQ points")
    return demodulate(raw, wanted.config.adc, wanted.readouts)


def _check_finite(what: str, data: Labelled) -> None:
    if data.values.dtype.kind == "f" and not np.isfinite(data.values).all():
        n_bad = int((~np.isfinite(data.values)).sum())
        raise BackendError(
            f"the backend returned {n_bad} of {data.values.size} {what} that are no finite numbers",
            hint="look at the instrument: a digitizer that saturates or loses data",
        )


def _check_shape(what: str, data: Labelled, axes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    if data.axes != axes or data.values.shape != shape:
        raise BackendError(
            f"the backend returned {what} {dict(zip(data.axes, data.values.shape, strict=True))}, "
            f"expected {dict(zip(axes, shape, strict=True))}",
            hint="a digitizer that lost triggers returns too few",
        )
