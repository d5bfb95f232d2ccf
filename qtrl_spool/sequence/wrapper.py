"""`SequenceWrapper`: a sequence of pulse *keys*, compiled later with somebody else's pulses.

    seq = SequenceWrapper(n_elements=10)
    start_ref, end_ref = seq.append('Q6/X180', element=5)
    compiled = seq.compile(pulses)      # a Sequence

It is tiny, needs no configuration, and travels as the plain tree of `to_dict` (format
``qtrl-sequence/1``). A list of keys means what the list of the stored pulses means for `Sequence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence import form
from qtrl_spool.sequence.checks import combined, with_place
from qtrl_spool.sequence.compile import MAX_SAMPLES, NONE, compile_columns
from qtrl_spool.sequence.library import PulseLibrary
from qtrl_spool.sequence.lists import Sequential, Simultaneous, groups_of
from qtrl_spool.sequence.program import Program
from qtrl_spool.sequence.records import Recorder
from qtrl_spool.sequence.resolve import Resolver
from qtrl_spool.sequence.sequence import Sequence

_MOST_KEYS = 100


class SequenceWrapper(Recorder):
    """A symbolic sequence of `n_elements` elements; see `Recorder` for its parameters."""

    def _stored(self, pulse: Any) -> Any:
        return form.pulse_in(pulse)

    def _is_succession(self, pulse: Any) -> bool:
        return isinstance(pulse, (tuple, Sequential))

    def compile(
        self, pulses: Any, sample_rate: float | None = None, *, check_amplitude: bool | None = None
    ) -> Sequence:
        """Return the compiled `Sequence`.

        Parameters
        ----------
        pulses:
            Any mapping from key to pulse: a `PulseLibrary`, or a dict of `Pulse`, lists or plain forms.
        sample_rate:
            In samples/s; None for the sequence's own.
        check_amplitude:
            What to do about samples beyond full scale: True refuses, False is silent, None warns.

        Raises
        ------
        SequenceError
            With everything that is wrong in ``problems``.
        """
        library = PulseLibrary.of(pulses)
        rate = self.sample_rate if sample_rate is None else sample_rate
        made, program, problems = self._made(library, rate)
        return made._compiled(program, problems, check_amplitude)

    def _made(
        self,
        library: PulseLibrary,
        sample_rate: float,
        spoiled: frozenset[int] = NONE,
        max_samples: int = MAX_SAMPLES,
    ) -> tuple[Sequence, Program | None, list[SequenceError]]:
        """Return a sequence with the same appends, its program, and what is wrong; see `compile_columns`."""
        made = Sequence(self.n_elements, sample_rate, None, self.name)
        made._axis = self._axis
        resolver = Resolver(
            lambda pulse: groups_of(pulse, library.__getitem__),
            made.sample_rate,
            lambda pulse, text: _explained(library, pulse, text),
            max_samples,
        )
        size = (self.n_elements, made.sample_rate)
        program, problems = compile_columns(
            self._columns, *size, resolver, spoiled=spoiled, max_samples=max_samples
        )
        made._adopt(self._columns, resolver)
        return made, program, problems

    def check_keys(self, pulses: Any) -> None:
        """Raise an `UnknownPulseError` that names every pulse key which `pulses` does not have."""
        problems = self.key_problems(pulses)
        if problems:
            raise combined(problems)

    def key_problems(self, pulses: Any, appends: Iterable[int] | None = None) -> list[SequenceError]:
        """Return an error for every key, of all or only some `appends`, that `pulses` does not have."""
        library = PulseLibrary.of(pulses)
        first: dict[str, list[int]] = {}
        every = self._columns.pulses
        for index in range(len(every)) if appends is None else sorted(appends):
            pulse = every[index]
            for key in (pulse,) if type(pulse) is str else keys_in(pulse):
                first.setdefault(key, []).append(index)
        unknown = [key for key in first if key not in library]
        problems = [with_place(library.unknown(key), *first[key]) for key in unknown[:_MOST_KEYS]]
        if len(unknown) > _MOST_KEYS:
            problems.append(SequenceError(f"there is no pulse for {len(unknown) - _MOST_KEYS} more keys"))
        return problems

    def pulse_keys(self) -> set[str]:
        """Return all pulse keys that it names."""
        return {key for pulse in set(self._columns.pulses) for key in keys_in(pulse)}

    def to_dict(self) -> dict[str, Any]:
        """Return the plain tree, format ``qtrl-sequence/1``; `from_dict` gives back the same sequence."""
        return form.tree_of(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> SequenceWrapper:
        """Return the sequence that a plain tree describes.

        Raises
        ------
        SequenceError
            If the format is not known, or with everything that is wrong in ``problems``.
        """
        made, problems, _ = cls.read(tree)
        if problems or made is None:
            raise combined(problems)
        return made

    @classmethod
    def read(cls, tree: Any) -> tuple[SequenceWrapper | None, list[SequenceError], frozenset[int]]:
        """Read a plain tree as far as it can be read.

        Returns
        -------
        sequence:
            The sequence, or None if nothing can be made of it.
        problems:
            What is wrong.
        spoiled:
            Numbers of the appends that are concerned.
        """
        head, problems = form.head_of(tree)
        if head is None:
            return None, problems, NONE
        made = cls(**head)
        more, spoiled = form.fill(made, tree)
        return made if len(more) < form.MOST_PROBLEMS else None, problems + more, spoiled


def keys_in(pulse: Any) -> Iterator[str]:
    """Yield the keys in what was appended."""
    if isinstance(pulse, str):
        yield pulse
    elif isinstance(pulse, Simultaneous):
        yield from keys_in(pulse.pulses)
    elif isinstance(pulse, Sequential):
        yield from keys_in(pulse.groups)
    else:
        for entry in pulse:
            yield from keys_in(entry)


def _explained(library: PulseLibrary, pulse: Any, text: str) -> str | None:
    for key in keys_in(pulse):
        try:
            sentence = library.why_unresolved(key, text)
        except SequenceError:
            continue
        if sentence:
            return sentence
    return None
