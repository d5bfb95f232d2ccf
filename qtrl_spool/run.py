"""One job, from its bundle to the bytes of its result: the only place that knows all the steps.

::

    bundle + default configuration
      → effective        merge the patch into a copy of the default
      → prepare          compile; everything that can be wrong is found here, before the hardware is touched
      → acquire          batch by batch, on a backend
      → conclude         process, and write the result file, batch by batch

Called by the server's worker and by ``check``. Touches no path of the spool. A failure stops the
job at that step: a job whose sequence does not compile never reaches the backend.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import Batches
from qtrl_spool.bundle import Bundle, dump_patch
from qtrl_spool.config import AcquisitionSettings, Configuration
from qtrl_spool.errors import (
    ConfigError,
    InternalError,
    ProcessingError,
    SequenceError,
    did_you_mean,
)
from qtrl_spool.gathered import Data, checked
from qtrl_spool.measurement import Capabilities, Measurement
from qtrl_spool.sequence import Examined, Sequence, SequenceWrapper, raise_all, trigger_samples

if TYPE_CHECKING:
    from qtrl_spool.backends import Backend
    from qtrl_spool.processing import Memory, Processed
    from qtrl_spool.results.space import Need

_READOUT = "Readout/R"

MAX_SAMPLES = 2**24
"""Samples that a channel's memory holds for one element, where ``dac/max_samples`` does not say it."""
MAX_MEMORY_BYTES = 1_000_000_000
"""What one batch of a job may take in the server's memory, and what the labels of all its shots may."""
_IQ_BYTES, _RAW_BYTES = 8, 8


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


def need_of(prepared: Prepared, capabilities: Capabilities | None = None) -> Need:
    """Return how much room the data of a job take; None: on any instrument."""
    from qtrl_spool.results.space import need

    can = capabilities or Capabilities()
    return need(prepared.settings, len(prepared.readouts), sample_bytes=can.sample_bytes)


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
    from qtrl_spool.config.plausible import implausible
    from qtrl_spool.processing import warnings

    return (*config.warnings, *implausible(config.get("pulses", {})), *warnings(config.adc))


def check(bundle: Bundle, default: Configuration) -> dict[str, Any]:
    """Find what acceptance must find: the sequence's form, its pulse keys, the patch's keys and chain.

    Returns
    -------
    shape:
        What tells how long the job will take: ``n_reps``, ``n_batches``, ``n_elements``, ``n_triggers``
        (by the configuration: only compiling tells those of the sequence), ``n_readouts``, ``batch_s``.

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
    raise_all(problems, bundle.place_of_append)
    n_elements = examined.wrapper.n_elements if examined.wrapper else 0
    if "adc" in bundle.patch:
        _rehearse_any(bundle, config, readouts, n_elements)
    settings = AcquisitionSettings.of(config, n_elements=n_elements, n_triggers=None)
    _check_size(settings, len(readouts))
    return {
        "n_reps": settings.n_reps,
        "n_batches": settings.n_batches,
        "n_elements": n_elements,
        "n_triggers": settings.n_triggers,
        "n_readouts": len(readouts),
        "batch_s": config.get("simulator/batch_s", 0.0),
    }


def _check_size(settings: AcquisitionSettings, n_readouts: int) -> None:
    """Refuse a job that would not fit into the server's memory: one batch, and a few bytes for each shot."""
    per_batch = settings.n_reps * settings.n_elements * settings.n_triggers
    batch = per_batch * (n_readouts * _IQ_BYTES + settings.points * _RAW_BYTES * settings.keep_raw)
    labels = per_batch * settings.n_batches * (n_readouts + 1)
    for what, n_bytes in (("the data of one batch", batch), ("the labels of the shots", labels)):
        if n_bytes > MAX_MEMORY_BYTES:
            raise ConfigError(
                f"{what} take {n_bytes / 1e9:.3g} GB of memory, more than {MAX_MEMORY_BYTES / 1e9:.3g} GB: "
                f"{settings.n_reps} repetitions x {settings.n_batches} batches x {settings.n_elements} "
                f"elements x {settings.n_triggers} triggers x {n_readouts} readouts"
                f"{', raw traces kept' if settings.keep_raw else ''}",
                where="adc/acquisition_settings",
                hint="lower n_reps (raise n_batches instead), or submit it in parts",
            )


def prepare(bundle: Bundle, default: Configuration, capabilities: Capabilities | None = None) -> Prepared:
    """Merge, compile, and look at everything that the hardware or the chain would refuse.

    Parameters
    ----------
    bundle:
        What was submitted.
    default:
        The default configuration at the version that counts.
    capabilities:
        Of the instrument, where it is known.

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
    raise_all(problems, bundle.place_of_append)
    if sequence is None or examined.wrapper is None or triggers is None:
        raise InternalError("a sequence that was found to be good has no program")
    settings = AcquisitionSettings.of(
        config, n_elements=sequence.n_elements, n_triggers=triggers.shape[1] or None
    )
    _check_size(settings, len(readouts))
    _rehearse(bundle, config, readouts, settings.n_elements, settings.n_triggers)
    if capabilities is not None:
        _check_capabilities(capabilities, sequence, settings)
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


def _check_capabilities(can: Capabilities, sequence: Sequence, settings: AcquisitionSettings) -> None:
    """Refuse what the instrument cannot do."""
    program = sequence.program
    if can.n_channels is not None and program.n_channels > can.n_channels:
        raise ConfigError(
            f"the sequence plays on {program.n_channels} channels, the instrument has {can.n_channels}",
            where="pulses",
            hint="the pulses' channel numbers count from 0",
        )
    if can.sample_rates is not None and program.sample_rate not in can.sample_rates:
        raise ConfigError(
            f"the instrument cannot play {program.sample_rate:g} samples/s",
            where="sample_rate",
            hint=f"it can play {', '.join(f'{each:g}' for each in can.sample_rates)}",
        )
    if can.max_samples is not None and program.n_samples > can.max_samples:
        raise ConfigError(
            f"an element has {program.n_samples} samples, the instrument's memory holds {can.max_samples}",
            where="dac",
            hint="shorten the sequence, or lower the sample rate",
        )
    if settings.keep_raw and "raw" not in can.data:
        raise ConfigError(
            "raw traces are to be kept, which the instrument does not return",
            where="adc/acquisition_settings/keep_raw",
            hint="set it to false",
        )


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
    data: Data,
    *,
    halting: Callable[[], bool],
    aborting: Callable[[], bool],
    on_batch: Callable[[int], None],
) -> bool:
    """Acquire the batches that `data` still lacks.

    Parameters
    ----------
    prepared:
        The job.
    backend:
        Armed with its plan.
    data:
        What was measured before; grows.
    halting:
        Asked before each batch: whether to stop between batches.
    aborting:
        Asked by the backend while it acquires: whether to stop at once.
    on_batch:
        Called after each batch with the number of batches that are there.

    Returns
    -------
    bool
        Whether all batches are there; False if it halted.

    Raises
    ------
    AbortedError
        If the backend was told to stop in the midst of a batch.
    BackendError
        If the backend failed or returned data of another shape than it was asked for.
    """
    wanted = measurement(prepared)
    for batch in range(data.n_batches, prepared.settings.n_batches):
        if halting():
            return False
        acquired = backend.acquire(batch, aborting)
        data.append(*checked(acquired, wanted))
        on_batch(batch + 1)
    return True


def measurement(prepared: Prepared, seed: int | None = None) -> Measurement:
    """Return what a backend is asked to measure; `seed` is that of a job which goes on after a pause."""
    return Measurement(
        prepared.sequence.program,
        prepared.config,
        prepared.settings,
        prepared.triggers,
        prepared.readouts,
        seed,
    )


def seed_of(plan: Any) -> dict[str, int]:
    """Return the seed that a simulating backend's plan has, as a root attribute of the result."""
    seed = getattr(plan, "seed", None)
    return {} if seed is None else {"seed": int(seed)}


def conclude(
    prepared: Prepared, data: Data, identity: Mapping[str, Any], *, partial: bool = False
) -> Callable[[BinaryIO], None]:
    """Process what was acquired; return what writes the whole result into an empty file.

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
    from qtrl_spool.results.write import write

    iq = data.iq
    processed = _processed(prepared, iq, data.memory, partial=partial)

    def written(file: BinaryIO) -> None:
        write(
            file,
            iq=iq,
            raw=None if partial else data.raw,
            processed=processed,
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
            compression=None if partial else prepared.settings.compression,
        )

    return written


def _processed(prepared: Prepared, iq: Batches, memory: Memory, *, partial: bool) -> Processed | None:
    from qtrl_spool.processing import process

    if not prepared.bundle.manifest.processing:
        return None
    with contextlib.suppress(*((ProcessingError,) if partial else ())):
        x_axis = np.asarray(prepared.wrapper.x_axis)
        return process(iq, prepared.config.adc, readouts=prepared.readouts, x_axis=x_axis, memory=memory)
    return None


def _x_axis(wrapper: SequenceWrapper) -> tuple[str, str, NDArray[Any]]:
    return wrapper.x_axis_name or "element", wrapper.x_axis_unit or "", np.asarray(wrapper.x_axis)


def _provenance(prepared: Prepared) -> dict[str, Any]:
    from qtrl_spool.results.write import software

    config, settings = prepared.config, prepared.settings
    return {
        "config_version": -1 if config.version is None else config.version,
        "config_sha256": config.sha256,
        "program_sha256": prepared.sequence.program.sha256,
        "n_reps": settings.n_reps,
        "n_batches": settings.n_batches,
        "sample_rate": prepared.sequence.program.sample_rate,
        "software": software(),
    }
