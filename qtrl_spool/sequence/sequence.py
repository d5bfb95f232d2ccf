"""`Sequence`: pulses appended, compiled to a program and, when asked for, to the dense array.

    seq = Sequence(n_elements=10)
    start_ref, end_ref = seq.append(pulses['Q6/X180'], element=5)
    seq.compile()
    seq.array          # float32 [channel, element, sample, subchannel]

Errors of a single append (no pulse, unknown field) are raised by `append`; what can be known only from
the whole is raised by `compile`, all of it in one `SequenceError`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.checks import combined
from qtrl_spool.sequence.compile import compile_columns, spans_of
from qtrl_spool.sequence.limits import FullScaleWarning, amplitude_problems, amplitude_violations, tell
from qtrl_spool.sequence.lists import Groups, groups_of
from qtrl_spool.sequence.program import Program
from qtrl_spool.sequence.pulse import Pulse
from qtrl_spool.sequence.records import Columns, Recorder
from qtrl_spool.sequence.resolve import Resolver

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Sequence(Recorder):
    """A sequence of pulses on `n_elements` elements; see `Recorder` for its parameters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups: dict[Any, Groups] = {}
        self._numbers: dict[Any, int] = {}
        self._kept: list[Any] = []
        self._program: Program | None = None
        self._array: NDArray[np.float32] | None = None

    def _stored(self, pulse: Any) -> Any:
        """Return a number that stands for the groups of `pulse`; equal numbers, the same pulses."""
        parts = pulse if isinstance(pulse, (list, tuple)) else (pulse,)
        key: Any = None
        if parts and all(isinstance(part, Pulse) for part in parts):
            key = tuple(map(id, parts))
            if key in self._numbers:
                return self._numbers[key]
        number = len(self._groups)
        self._groups[number] = groups_of(pulse)
        if key is not None:
            self._numbers[key] = number
            self._kept.append(tuple(parts))
        return number

    def _is_succession(self, pulse: Any) -> bool:
        return len(self._groups[pulse]) > 1

    def append(self, pulse: Any, *args: Any, **kwargs: Any) -> tuple[str, str]:
        """Append a pulse: a `Pulse`, a list of them (or their plain form); see `Recorder.append`."""
        if isinstance(pulse, str):
            raise SequenceError(
                f"{pulse!r} is a key, not a pulse", hint="append pulses[key], or use SequenceWrapper"
            )
        self._program = self._array = None
        return super().append(pulse, *args, **kwargs)

    def compile(self) -> Sequence:
        """Compile, and return this sequence; warns of amplitudes beyond full scale."""
        resolver = Resolver(self._groups.__getitem__, self.sample_rate)
        return self._compiled(*compile_columns(self._columns, self.n_elements, self.sample_rate, resolver))

    def _adopt(self, columns: Columns, resolver: Resolver) -> None:
        """Take over the appends of a symbolic sequence, with what its keys stood for."""
        self._columns = columns.copy()
        self._groups = dict(resolver.groups)

    def _compiled(
        self,
        program: Program | None,
        problems: Iterable[SequenceError] = (),
        check_amplitude: bool | None = None,
    ) -> Sequence:
        problems = list(problems)
        if check_amplitude and program is not None:
            problems += amplitude_problems(program)
        if problems or program is None:
            raise combined(problems)
        if check_amplitude is None:
            violations = amplitude_violations(program)
            if violations:
                warnings.warn(tell(violations), FullScaleWarning, stacklevel=3)
        self._program, self._array = program, None
        return self

    @property
    def is_compiled(self) -> bool:
        """Whether it was compiled since the last append."""
        return self._program is not None

    @property
    def program(self) -> Program:
        """The compiled program."""
        if self._program is None:
            raise SequenceError(f"the sequence {self.name!r} is not compiled", hint="call compile()")
        return self._program

    @property
    def array(self) -> NDArray[np.float32]:
        """All samples, float32 [channel, element, sample, subchannel]; made when first asked for."""
        if self._array is None:
            self._array = self.program.dense()
        return self._array

    def spans(self, element: int) -> list[tuple[str, int, int]]:
        """Return what plays in one element: (name, first sample, sample after the last), in order of time."""
        resolver = Resolver(self._groups.__getitem__, self.sample_rate)
        found = spans_of(self._columns, element, self.n_elements, self.sample_rate, resolver)
        return [(_name(pulse), start, end) for pulse, start, end in found]

    def plot(self, element: int | None = None, **kwargs: Any) -> Figure:
        """Draw it: one `element` as traces per channel, or all as a map; see `plot.draw_program`."""
        from qtrl_spool.sequence.plot import draw_program

        return draw_program(self, element, **kwargs)


def _name(pulse: Any) -> str:
    """Return what a stored pulse is called: its key, where there is one."""
    if isinstance(pulse, str):
        return pulse
    parts = getattr(pulse, "pulses", None) or getattr(pulse, "groups", None) or pulse
    return "pulse" if isinstance(parts, int) else "+".join(map(_name, parts))
