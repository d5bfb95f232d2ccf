"""A finished job processed once more, from its file, with another chain.

The points are those of the file or, where it holds traces, what the new chain demodulates of them. The
chain is that of the job's effective document ``adc`` with a patch on top. All that was measured, and
with which pulses, stays as it was: a patch that would change it is refused.

The new file lies beside the first one as ``result-2.h5`` (``-3``, …), or where the caller says. It
appears whole; the first is never touched, and no number is ever used twice, however many people do this
at a time. It holds no traces, and the root attributes ``reprocessed`` and ``reprocessed_from`` besides
those of the first; the document ``processing_patch`` tells what was changed.

Called by: ``client`` (`Job.process`) and ``qtrl-spool process``.
Fails: as processing does; `ConfigError` if the patch does not fit; `StorageError` if the job's home may
not be written to, which is so where the server's files are its own: then say where else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from qtrl_spool import fs
from qtrl_spool.axes import Batches
from qtrl_spool.config.edit import dump_yaml
from qtrl_spool.config.merge import parse_patch
from qtrl_spool.config.tree import Tree
from qtrl_spool.errors import ConfigError, StorageError
from qtrl_spool.job import utc
from qtrl_spool.processing import demodulate, process
from qtrl_spool.results import Result, layout
from qtrl_spool.results.opened import open_result, plain
from qtrl_spool.results.scratch import Scratch
from qtrl_spool.results.stored import Stored
from qtrl_spool.results.write import GZIP, XAxis, software, write

if TYPE_CHECKING:
    from qtrl_spool.config import Configuration

ALLOWED = ("adc", "variables")
_FIRST = 2
_FOUND = (layout.FITS, layout.CLASSIFIER)


def reprocess(
    path: Path,
    patch: Mapping[Any, Any],
    *,
    default: Configuration | None = None,
    output: Path | None = None,
    now: datetime | None = None,
) -> Path:
    """Process a result again, and return the path of the new one.

    Parameters
    ----------
    path:
        The file of the first.
    patch:
        What to change, of the documents ``adc`` and ``variables``; over the job's own patch.
    default:
        The default configuration whose chain to take; None takes that of the job.
    output:
        Where to write it; None: beside the first.
    now:
        The time, timezone-aware.
    """
    with Result(path) as result, Scratch() as scratch:
        config = _chosen(result, patch, default)
        readouts, x_axis = _axes(path)
        iq = _points(result, config.adc, readouts, scratch)
        processed = process(iq, config.adc, readouts=readouts, x_axis=x_axis[2])
        identity = {
            **{name: value for name, value in result.attrs.items() if name not in ("format", layout.NOTES)},
            "reprocessed": utc(now or datetime.now(UTC)),
            "reprocessed_from": path.name,
            "software": software(),
        }
        texts = {name: text for name, text in result.documents.items() if name not in _FOUND}
        texts[layout.CONFIG] = dump_yaml(Tree({**result.config, "adc": config.adc}))
        texts[layout.CHAIN_PATCH] = dump_yaml(parse_patch(patch))

        def fill(file: BinaryIO) -> None:
            write(
                file,
                iq=iq,
                raw=None,
                processed=processed,
                readouts=readouts,
                x_axis=x_axis,
                identity=identity,
                documents=texts,
                compression=GZIP if config.get(layout.COMPRESSION, None) == GZIP else None,
            )

        if output is not None:
            fs.replace_by(output, fill)
            return output
        for target, into in _free_names(path):
            fs.replace_by(target, fill, into=into)
            return target
    raise StorageError(f"there is no free name beside {path}")


def numbered(path: Path, number: int) -> Path:
    """Return the name beside the result `path` that the processing of that number bears; 1 is the first."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _chosen(result: Result, patch: Mapping[Any, Any], default: Configuration | None) -> Configuration:
    wanted = parse_patch(patch)
    for name in wanted:
        if name not in ALLOWED:
            raise ConfigError(
                f"{name!r} was played already and cannot be changed afterwards",
                where=str(name),
                hint=f"processing looks at {' and '.join(ALLOWED)}",
            )
    config = default or result.default
    for each in (result.bundle.patch, wanted):
        config = config.merged(each) if each else config
    return config


def _axes(path: Path) -> tuple[tuple[str, ...], XAxis]:
    with open_result(path) as file:
        element = file["element"]
        name, unit = (str(plain(element.attrs.get(each, ""))) for each in ("long_name", "units"))
        readouts = tuple(str(label) for label in file["readout"].asstr()[...])
        return readouts, (name, unit, np.asarray(element[...], np.float64))


def _points(result: Result, adc: Mapping[str, Any], readouts: tuple[str, ...], scratch: Scratch) -> Batches:
    n_reps = int(result.attrs.get("n_reps", 1000))
    with open_result(result.path) as file:
        has_traces = "raw" in file
    if not has_traces:
        return Stored.of(result.path, "iq", n_reps)
    for traces in Stored.of(result.path, "raw", n_reps):
        scratch.append(demodulate(traces, adc, readouts))
    return scratch.batches()


def _free_names(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a name that is free, and a file beside it that keeps others from taking it."""
    for number in count(_FIRST):
        target = numbered(path, number)
        into = target.with_name(f".{target.name}.writing")
        if fs.exists(target) or fs.exists(into):
            continue
        try:
            fs.write_new(into, b"", durable=False, meant=target)
        except StorageError as error:
            if isinstance(error.__cause__, FileExistsError):
                continue
            error.hint = "the job's home belongs to the server: say where else with --output FILE"
            raise
        if not fs.exists(target):
            yield target, into
        fs.remove(into)
