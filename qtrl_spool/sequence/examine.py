"""Everything that is wrong with a sequence, in one report: what ``check`` and the server ask.

`Examined.of` reads a plain tree as far as it can be read, with this package's own words and with the
published JSON Schema; `wanting` adds the pulse keys that are not there, and `compiled` whatever shows
only when the sequence is compiled. Each looks at what the others left whole, so that one slip does not
hide the next, and nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.checks import append_of, combined
from qtrl_spool.sequence.form import schema_problems
from qtrl_spool.sequence.library import PulseLibrary
from qtrl_spool.sequence.limits import amplitude_problems
from qtrl_spool.sequence.sequence import Sequence
from qtrl_spool.sequence.wrapper import SequenceWrapper


@dataclass(frozen=True)
class Examined:
    """A plain tree, read.

    Attributes
    ----------
    wrapper:
        The sequence, as far as it could be read; None if nothing can be made of the tree.
    problems:
        What is wrong with it.
    spoiled:
        Numbers of the appends that are concerned.
    """

    wrapper: SequenceWrapper | None
    problems: tuple[SequenceError, ...]
    spoiled: frozenset[int]

    @classmethod
    def of(cls, tree: Any) -> Examined:
        """Read a tree."""
        wrapper, problems, spoiled = SequenceWrapper.read(tree)
        if wrapper is not None:
            places = set(map(append_of, problems))
            more = [problem for problem in schema_problems(tree) if append_of(problem) not in places]
            problems = problems + more
            spoiled |= {number for number in map(append_of, more) if number is not None}
        return cls(wrapper, tuple(problems), spoiled)

    def wanting(self, pulses: Any) -> tuple[SequenceError, ...]:
        """Return `problems`, and one more for each pulse key that `pulses` does not have."""
        if self.wrapper is None:
            return self.problems
        return (*self.problems, *self.wrapper.key_problems(pulses))

    def compiled(
        self, pulses: Any, *, max_samples: int, check_amplitude: bool
    ) -> tuple[Sequence | None, tuple[SequenceError, ...]]:
        """Compile it as far as possible.

        Parameters
        ----------
        pulses:
            Any mapping from key to pulse.
        max_samples:
            Longest element that is drawn.
        check_amplitude:
            Whether samples beyond full scale are problems.

        Returns
        -------
        sequence:
            Compiled; None if anything is wrong.
        problems:
            All of them.
        """
        if self.wrapper is None:
            return None, self.problems
        library = PulseLibrary.of(pulses)
        problems = list(self.problems)
        problems += self.wrapper.key_problems(library, self.spoiled)
        made, program, found = self.wrapper._made(
            library, self.wrapper.sample_rate, self.spoiled, max_samples
        )
        problems += found
        if check_amplitude and program is not None:
            problems += amplitude_problems(program)
        if problems or program is None:
            return None, tuple(problems)
        return made._compiled(program, (), False), ()


def raise_all(
    problems: Iterable[SequenceError], place_of: Callable[[int], object] = lambda append: None
) -> None:
    """Raise one error for all `problems`, if there are any.

    Parameters
    ----------
    problems:
        Any number of them, in any order.
    place_of:
        Gives the place of an append in its author's text, by its number, or None.
    """
    found = [_placed(problem, place_of) for problem in problems]
    if found:
        raise combined(found)


def _placed(problem: SequenceError, place_of: Callable[[int], object]) -> SequenceError:
    number = append_of(problem)
    place = None if number is None else place_of(number)
    if place is not None:
        problem.where = f"{place}: {problem.where}"
    return problem
