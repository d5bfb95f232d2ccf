"""One job, from its bundle to the bytes of its result: the only place that knows all the steps.

::

    bundle + default configuration
      → effective        merge the patch into a copy of the default
      → prepare          compile; everything that can be wrong is found here, before the hardware is touched
      → acquire          batch by batch, on a backend
      → conclude         process, and build the result file in memory

Called by the server's worker and by ``check``. Touches no path of the spool. A failure stops the
job at that step: a job whose sequence does not compile never reaches the backend.
"""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool import __version__
from qtrl_spool.axes import IQ_AXES, RAW_AXES, InMemory, Labelled
from qtrl_spool.bundle import Bundle, dump_patch
from qtrl_spool.config import AcquisitionSettings, Configuration
from qtrl_spool.errors import (
    AbortedError,
    BackendError,
    ConfigError,
    InternalError,
    ProcessingError,
    SequenceError,
    did_you_mean,
)
from qtrl_spool.measurement import Measurement
from qtrl_spool.sequence import Examined, Sequence, SequenceWrapper, raise_all, trigger_samples

if TYPE_CHECKING:
    from qtrl_spool.backends import Backend
    from qtrl_spool.processing import Processed

_READOUT = "Readout/R"

MAX_SAMPLES = 2**24
"""Samples that a channel's memory holds for one element, where ``dac/max_samples`` does not say it."""
MAX_DATA_BYTES = 2_000_000_000
"""What one job's IQ points, and the raw traces if it keeps them, may take in the server's memory."""
_IQ_BYTES, _RAW_BYTES = 8, 4


@dataclass(frozen=True)
class Prepared:
    """A job that can be acquired: nothing about it is left to be found wrong.

    Attributes
    ----------
    bundle:
        What was submitted.
    config:
        The effective configuration.
    wrapper, sequence:
        The sequence as submitted, and compiled.
    readouts:
        Labels that the sequence reads, such as ``R6``, in the order of the configuration.
    triggers:
        Samples at which the digitizer is triggered, int64 [element, trigger].
    settings:
        Repetitions, batches, points, ….
    """

    bundle: Bundle
    config: Configuration
    wrapper: SequenceWrapper
    sequence: Sequence
    readouts: tuple[str, ...]
    triggers: NDArray[np.int64]
    settings: AcquisitionSettings


@dataclass(frozen=True)
class Acquisition:
    """What a backend measured so far.

    Attributes
    ----------
    iq:
        IQ points as demodulated, float32 [readout, repetition, element, trigger, quadrature].
    raw:
        Raw traces, if they are kept [quadrature, repetition, element, trigger, point].
    """

    iq: Labelled
    raw: Labelled | None


def effective(bundle: Bundle, default: Configuration) -> Configuration:
    """Return the default configuration with the job's patch and its short settings merged in.

    Raises
    ------
    ConfigError
        If the patch does not fit the default; all problems at once.
    """
    merged = default.merged(bundle.patch) if bundle.patch else default
    manifest = bundle.manifest
    short = {
        key: value
        for key, value in (("n_reps", manifest.n_reps), ("n_batches", manifest.n_batches))
        if value is not None
    }
    return merged.merged({"adc": {"acquisition_settings": short}}) if short else merged


def warnings_of(config: Configuration) -> tuple[str, ...]:
    """Return what the lab should know of a configuration that is not wrong, a sentence each."""
    from qtrl_spool.processing import warnings

    return (*config.warnings, *warnings(config.adc))


def check(bundle: Bundle, default: Configuration) -> None:
    """Find what acceptance must find: the sequence's form, its pulse keys, the patch's keys and chain.

    Raises
    ------
    SequenceError, ConfigError
        With all problems of their kind.
    ProcessingError
        If a step of a patched chain cannot do what it is told.
    """
    config = effective(bundle, default)
    examined = Examined.of(bundle.sequence)
    problems = list(examined.wanting(config.pulses))
    readouts = _readouts(examined.wrapper, config, problems) if examined.wrapper else ()
    raise_all(problems)
    n_elements = examined.wrapper.n_elements if examined.wrapper else 0
    if "adc" in bundle.patch:
        _rehearse_any(bundle, config, readouts, n_elements)
    _check_size(AcquisitionSettings.of(config, n_elements=n_elements, n_triggers=None), len(readouts))


def _check_size(settings: AcquisitionSettings, n_readouts: int) -> None:
    """Refuse a job whose data would not fit into the server's memory."""
    n_shots = settings.n_reps * settings.n_batches * settings.n_elements * settings.n_triggers
    n_bytes = n_shots * (n_readouts * _IQ_BYTES + settings.points * _RAW_BYTES * settings.keep_raw)
    if n_bytes > MAX_DATA_BYTES:
        raise ConfigError(
            f"the job's data take {n_bytes / 1e9:.3g} GB, more than {MAX_DATA_BYTES / 1e9:.3g} GB: "
            f"{settings.n_reps} repetitions x {settings.n_batches} batches x {settings.n_elements} elements "
            f"x {settings.n_triggers} triggers x {n_readouts} readouts"
            f"{', raw traces kept' if settings.keep_raw else ''}",
            where="adc/acquisition_settings",
            hint="lower n_reps or n_batches, or submit it in parts",
        )


def prepare(bundle: Bundle, default: Configuration) -> Prepared:
    """Merge, compile, and look at everything that the hardware or the chain would refuse.

    Raises
    ------
    SequenceError, ConfigError
        With all problems of their kind.
    ProcessingError
        If a step of the chain cannot do what it is told.
    """
    config = effective(bundle, default)
    examined = Examined.of(bundle.sequence)
    sequence, found = examined.compiled(
        config.pulses,
        max_samples=int(config.get("dac/max_samples", MAX_SAMPLES)),
        check_amplitude=not bundle.manifest.clip,
    )
    problems = list(found)
    readouts = _readouts(examined.wrapper, config, problems) if examined.wrapper else ()
    triggers = _triggers(sequence, config, problems)
    raise_all(problems)
    if sequence is None or examined.wrapper is None or triggers is None:
        raise InternalError("a sequence that was found to be good has no program")
    settings = AcquisitionSettings.of(
        config, n_elements=sequence.n_elements, n_triggers=triggers.shape[1] or None
    )
    _check_size(settings, len(readouts))
    _rehearse(bundle, config, readouts, settings.n_elements, settings.n_triggers)
    return Prepared(
        bundle=bundle,
        config=config,
        wrapper=examined.wrapper,
        sequence=sequence,
        readouts=readouts,
        triggers=triggers,
        settings=settings,
    )


def _rehearse(
    bundle: Bundle, config: Configuration, readouts: tuple[str, ...], n_elements: int, n_triggers: int
) -> None:
    """Find what is wrong with the job's chain before data are acquired that it could not process."""
    from qtrl_spool.processing import rehearse

    if bundle.manifest.processing:
        rehearse(config.adc, readouts=readouts, n_elements=n_elements, n_triggers=n_triggers)


def _rehearse_any(bundle: Bundle, config: Configuration, readouts: tuple[str, ...], n_elements: int) -> None:
    """Rehearse where only compiling would tell the triggers of an element: some number of them has to do."""
    for n_triggers in (2, 1):
        with contextlib.suppress(ProcessingError):
            return _rehearse(bundle, config, readouts, n_elements, n_triggers)
    return _rehearse(bundle, config, readouts, n_elements, 3)


def _triggers(
    sequence: Sequence | None, config: Configuration, problems: list[SequenceError]
) -> NDArray[np.int64] | None:
    """Return when the digitizer is triggered [element, trigger]; add to the problems what is wrong."""
    if sequence is None:
        return None
    try:
        return trigger_samples(sequence.program, config.pulses)
    except SequenceError as error:
        problems += error.problems
        return None


def _readouts(
    wrapper: SequenceWrapper, config: Configuration, problems: list[SequenceError]
) -> tuple[str, ...]:
    """Return the labels that the sequence reads; add to the problems what cannot be demodulated."""
    from qtrl_spool.processing import readout_labels

    read = {key.removeprefix("Readout/") for key in wrapper.pulse_keys() if key.startswith(_READOUT)}
    known = {label for label in read if f"Readout/{label}" in config.pulses}
    labels = readout_labels(config.adc)
    problems += [
        SequenceError(
            f"the sequence reads {label!r}, which no Heterodyne step of the configuration demodulates",
            where="adc/processing",
            hint=did_you_mean(label, labels) or f"freq_labels has {', '.join(labels)}",
        )
        for label in sorted(known - set(labels))
    ]
    if not read:
        problems.append(
            SequenceError(
                "the sequence reads nothing: it holds no 'Readout/R…' pulse",
                hint="append a readout, e.g. with qtrl_spool.experiments.add_readout",
            )
        )
    return tuple(label for label in labels if label in read)


def acquire(
    prepared: Prepared,
    backend: Backend,
    plan: Any,
    *,
    stopping: Callable[[], bool],
    aborting: Callable[[], bool],
    on_batch: Callable[[int, Callable[[], Acquisition]], None],
) -> Acquisition:
    """Acquire all batches.

    Parameters
    ----------
    prepared:
        The job.
    backend:
        Connected.
    plan:
        What its `prepare` made of the job.
    stopping:
        Asked before each batch: whether to stop between batches.
    aborting:
        Asked by the backend while it acquires: whether to stop at once.
    on_batch:
        Called after each batch with the number of batches acquired and a function that returns
        all data so far.

    Raises
    ------
    AbortedError
        If it was told to stop.
    BackendError
        If the backend failed or returned data of another shape than it was asked for.
    """
    settings = prepared.settings
    backend.arm(plan)
    parts: list[Acquisition] = []
    for batch in range(settings.n_batches):
        if stopping():
            raise AbortedError(f"stopped after {batch} of {settings.n_batches} batches")
        acquired = backend.acquire(batch, aborting)
        parts.append(_checked(acquired.iq, acquired.raw, prepared))
        on_batch(batch + 1, lambda: _joined(parts))
    return _joined(parts)


def measurement(prepared: Prepared) -> Measurement:
    """Return what a backend is asked to measure."""
    return Measurement(
        prepared.sequence.program, prepared.config, prepared.settings, prepared.triggers, prepared.readouts
    )


def seed_of(plan: Any) -> dict[str, int]:
    """Return the seed that a simulating backend's plan has, as a root attribute of the result."""
    seed = getattr(plan, "seed", None)
    return {} if seed is None else {"seed": int(seed)}


def _checked(iq: Labelled | None, raw: Labelled | None, prepared: Prepared) -> Acquisition:
    from qtrl_spool.processing import demodulate

    settings = prepared.settings
    if iq is None:
        if raw is None:
            raise BackendError("the backend returned neither raw traces nor IQ points")
        iq = demodulate(raw, prepared.config.adc, prepared.readouts)
    expected = (
        len(prepared.readouts), settings.n_reps, settings.n_elements, settings.n_triggers, 2,
    )  # fmt: skip
    if iq.axes != IQ_AXES or iq.values.shape != expected:
        raise BackendError(
            f"the backend returned IQ points {dict(zip(iq.axes, iq.values.shape, strict=True))}, "
            f"expected {dict(zip(IQ_AXES, expected, strict=True))}"
        )
    if not np.isfinite(iq.values).all():
        raise BackendError("the backend returned IQ points that are no finite numbers")
    return Acquisition(iq, raw if settings.keep_raw else None)


def _joined(parts: list[Acquisition]) -> Acquisition:
    iq = np.concatenate([part.iq.values for part in parts], axis=IQ_AXES.index("repetition"))
    raws = [part.raw.values for part in parts if part.raw is not None]
    raw = Labelled(np.concatenate(raws, axis=RAW_AXES.index("repetition")), RAW_AXES) if raws else None
    return Acquisition(Labelled(iq, IQ_AXES), raw)


def conclude(
    prepared: Prepared, data: Acquisition, identity: Mapping[str, Any], *, partial: bool = False
) -> bytes:
    """Process what was acquired and return the whole result file as bytes.

    Parameters
    ----------
    prepared:
        The job.
    data:
        What was acquired.
    identity:
        Root attributes: job id, name, user, times, ….
    partial:
        Whether the job is still running: no raw traces, and a chain that fails is left out.

    Raises
    ------
    ProcessingError
        If a step of the chain cannot do what it is told (not for a partial result).
    """
    from qtrl_spool.results import layout
    from qtrl_spool.results.write import image

    return image(
        iq=data.iq,
        raw=None if partial else data.raw,
        processed=_processed(prepared, data, partial=partial),
        readouts=prepared.readouts,
        x_axis=_x_axis(prepared.wrapper),
        identity={**_provenance(prepared), **identity},
        documents={
            layout.SEQUENCE: json.dumps(prepared.wrapper.to_dict(), separators=(",", ":")),
            layout.PATCH: dump_patch(prepared.bundle.patch),
            layout.JOB: dump_patch(prepared.bundle.manifest.to_dict()),
            layout.CONFIG: prepared.config.dump(),
            layout.DEFAULT: json.dumps(prepared.config.files(), ensure_ascii=False),
        },
    )


def _processed(prepared: Prepared, data: Acquisition, *, partial: bool) -> Processed | None:
    from qtrl_spool.processing import process

    if not prepared.bundle.manifest.processing:
        return None
    with contextlib.suppress(*((ProcessingError,) if partial else ())):
        x_axis = np.asarray(prepared.wrapper.x_axis)
        return process(InMemory((data.iq,)), prepared.config.adc, readouts=prepared.readouts, x_axis=x_axis)
    return None


def _x_axis(wrapper: SequenceWrapper) -> tuple[str, str, NDArray[Any]]:
    return wrapper.x_axis_name or "element", wrapper.x_axis_unit or "", np.asarray(wrapper.x_axis)


def _provenance(prepared: Prepared) -> dict[str, Any]:
    import h5py

    config, settings = prepared.config, prepared.settings
    return {
        "config_version": -1 if config.version is None else config.version,
        "config_sha256": config.sha256,
        "program_sha256": prepared.sequence.program.sha256,
        "n_reps": settings.n_reps,
        "n_batches": settings.n_batches,
        "sample_rate": prepared.sequence.program.sample_rate,
        "software": f"qtrl-spool {__version__}, numpy {np.__version__}, h5py {h5py.__version__}, "
        f"Python {platform.python_version()}",
    }
