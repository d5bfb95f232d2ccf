"""How often and how long is acquired: the ADC's settings for one sequence.

Called by: ``run``.
Fails: `ConfigError` if a setting is no number, or if a job asks for a number of triggers that its
sequence does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtrl_spool.errors import ConfigError

if TYPE_CHECKING:
    from qtrl_spool.config.configuration import Configuration

_SETTINGS = "adc/acquisition_settings"


@dataclass(frozen=True)
class AcquisitionSettings:
    """What a backend needs to know to acquire.

    Attributes
    ----------
    n_reps:
        Repetitions in a batch.
    n_batches:
        Arm–acquire cycles; the shots of an element are ``n_reps * n_batches``.
    n_elements:
        Elements of the sequence.
    n_triggers:
        Digitizer triggers within an element.
    points:
        Samples that the ADC takes after a trigger.
    keep_raw:
        Whether the raw traces are kept.
    sample_rate:
        Of the ADC, in samples/s.
    compression:
        Of what is big in the result: None or ``gzip``.
    """

    n_reps: int
    n_batches: int
    n_elements: int
    n_triggers: int
    points: int
    keep_raw: bool
    sample_rate: float
    compression: str | None = None

    @classmethod
    def of(cls, cfg: Configuration, *, n_elements: int, n_triggers: int | None) -> AcquisitionSettings:
        """Return the settings for a sequence.

        Parameters
        ----------
        cfg:
            The effective configuration.
        n_elements:
            Of the sequence.
        n_triggers:
            Triggers in each element of the sequence; where it has none (None or 0) the configuration's count.

        Raises
        ------
        ConfigError
            If the job asks for another number of triggers than its sequence has.
        """
        asked = cfg.patch.get(f"{_SETTINGS}/n_triggers")
        if n_triggers and asked is not None and asked != n_triggers:
            raise ConfigError(
                f"the sequence has {n_triggers} triggers in an element, the job asks for {asked}",
                where=f"{_SETTINGS}/n_triggers",
                hint="leave it out of the patch",
            )
        return cls(
            n_reps=_count(cfg, "n_reps", 1),
            n_batches=_count(cfg, "n_batches", 1),
            n_elements=n_elements,
            n_triggers=n_triggers or _count(cfg, "n_triggers", 1),
            points=_count(cfg, "points", 1024),
            keep_raw=bool(cfg.get(f"{_SETTINGS}/keep_raw", False)),
            sample_rate=float(cfg.get("adc/hardware_settings/sample_rate", 1e9)),
            compression=_compression(cfg),
        )


def _compression(cfg: Configuration) -> str | None:
    value = cfg.get(f"{_SETTINGS}/compression", None)
    if value not in (None, "none", "gzip"):
        raise ConfigError(f"expected none or gzip, got {value!r}", where=f"{_SETTINGS}/compression")
    return "gzip" if value == "gzip" else None


def _count(cfg: Configuration, name: str, default: int) -> int:
    value: Any = cfg.get(f"{_SETTINGS}/{name}", default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise ConfigError(f"expected a whole number, 1 or more, got {value!r}", where=f"{_SETTINGS}/{name}")
    return int(value)
