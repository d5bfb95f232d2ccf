"""The data of a result file as batches, to be processed again or to go on with.

Called by: `qtrl_spool.results.read.resume_point`, and whoever processes a result again.
Fails: as `qtrl_spool.results.opened` does, a resume point as `qtrl_spool.results.unlocked`; the file is
opened whenever the batches are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtrl_spool.axes import BATCHED, Batches, Labelled
from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.results import layout
from qtrl_spool.results.opened import open_result, plain
from qtrl_spool.results.unlocked import unlocked_result


@dataclass(frozen=True)
class Stored:
    """`Batches` that lie in a result file, and are read from it one by one.

    Attributes
    ----------
    path:
        The file.
    name:
        ``iq`` or ``raw``.
    axes, shape:
        Names and lengths of the axes.
    n_reps:
        Repetitions in a batch.
    opening:
        Opens the file.
    """

    path: Path
    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    n_reps: int
    opening: Callable[[Path], Any] = open_result

    @classmethod
    def of(cls, path: Path, name: str, n_reps: int, opening: Callable[[Path], Any] = open_result) -> Stored:
        """Return the batches of a variable.

        Raises
        ------
        NotFoundError
            If the file has no such variable.
        """
        with opening(path) as file:
            if name not in file:
                raise NotFoundError(f"this result has no {name!r}", where=str(path))
            axes = tuple(dim[0].name.removeprefix("/") for dim in file[name].dims)
            return cls(path, name, axes, file[name].shape, max(1, n_reps), opening)

    def __iter__(self) -> Iterator[Labelled]:
        """Return the batches in the order in which they were acquired."""
        at = self.axes.index(BATCHED)
        with self.opening(self.path) as file:
            for start in range(0, self.shape[at], self.n_reps):
                values = file[self.name][(slice(None),) * at + (slice(start, start + self.n_reps),)]
                yield Labelled(values, self.axes)


@dataclass(frozen=True)
class ResumePoint:
    """How far a job had come when it was paused, and what it must go on with.

    Attributes
    ----------
    iq:
        The points of the batches so far, as they were measured; read from the file when they are asked for.
    n_batches:
        How many batches these are.
    seed:
        Of a simulating backend, else None.
    config_version:
        Version of the default configuration, or None if it had none.
    program_sha256:
        Of the compiled program.
    claim:
        The claim that measured them, or None where the file does not say.
    """

    iq: Batches
    n_batches: int
    seed: int | None
    config_version: int | None
    program_sha256: str
    claim: int | None

    @classmethod
    def of(cls, path: Path) -> ResumePoint:
        """Return how far the job of a partial result had come."""
        with unlocked_result(path) as file:
            attrs = {name: plain(value) for name, value in file.attrs.items()}
        n_reps = int(attrs.get("n_reps", 0))
        iq = Stored.of(path, "iq", n_reps, unlocked_result)
        total = iq.shape[iq.axes.index(BATCHED)]
        if n_reps < 1 or total % n_reps:
            raise UsageError(f"{total} repetitions are no whole batches of {n_reps}", where=str(path))
        version = int(attrs.get("config_version", -1))
        return cls(
            iq=iq,
            n_batches=total // n_reps,
            seed=attrs.get("seed"),
            config_version=version if version > 0 else None,
            program_sha256=str(attrs.get("program_sha256", "")),
            claim=attrs.get(layout.CLAIM),
        )
