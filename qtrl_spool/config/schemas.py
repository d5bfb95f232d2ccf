"""The lab's documents as shapes: strict where the program reads a value, open where the lab keeps its own.

==============  =====================================================================================
document        what is read in it
==============  =====================================================================================
``variables``   whatever the lab keeps; frequencies of groups with a ``Q``, the LOs, the readout's switches
``pulses``      groups, names, components: channel, carrier, envelope
``adc``         acquisition settings, sample rate, the processing chain
``dac``         amplitude and offset of each ``Channel_NN``, the clock delay
``devices``     the frequency of the LOs
``simulator``   the simulated chip
==============  =====================================================================================

Other documents are the lab's own. `json_schemas` says the same for editors.

Called by: ``validate``, ``config schema``.

Known limits: the names of envelopes and of processing steps are repeated here, because naming them
must not import numpy; a test compares them with the tables that count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qtrl_spool.config.quantities import HERTZ, RADIANS, SECONDS, VOLTS
from qtrl_spool.config.shapes import (
    Anything,
    Flag,
    Listing,
    Mapped,
    Number,
    Problem,
    Shape,
    Text,
    View,
    shown,
)

ENVELOPES = (
    "square", "sin", "gaussian", "DRAG", "cos_square", "cos_square_fixed", "hann", "cos_env", "half_sin",
    "gauss_square", "arb", "mark",
)  # fmt: skip
STEPS = (
    "Heterodyne", "IQRotation", "GMM", "AxisTriggerSelector", "Heralding", "AverageAxis",
    "IndividualReadoutCorrection", "CorrelatedBins", "JointReadoutCorrection", "FitExpAll", "FitSinExpAll",
    "FitCosAll", "FitRabiAll", "FitRamseyBeatAll", "FitAllXYAll", "FitRBAll", "Eval", "SaveMeasurement",
)  # fmt: skip

_ANY = Anything()
_FREQUENCY = Number("frequency", HERTZ)
_MAYBE_FREQUENCY = Number("frequency", HERTZ, nullable=True)
_COUNT = Number("how many", whole=True, least=1)
_INDEX = Number("index, null for all", whole=True, nullable=True)
_CHANNEL = Number("analog output, from 0", whole=True, least=0)

_KWARGS = Mapped(
    {
        "amplitude": Listing(Number("in full scale; a list is multiplied"), or_one=True),
        "phase": Listing(Number("a list is added up", RADIANS), or_one=True),
        "global_amp": Number("multiplies the amplitude"),
        "global_phase": Number("is added to the phase", RADIANS),
        "alpha": Number("size of the derivative (DRAG)"),
        "delta": Number("size of the anharmonicity (DRAG)", HERTZ),
        "df": Number("detuning", HERTZ),
        "frequency": Number("of the sine (sin)", HERTZ),
        "ramp_fraction": Number("of the width, each edge"),
        "sample_rate": Number("another than the sequence's", HERTZ, nullable=True),
        "sigmas": Number("half the width in standard deviations"),
    },
    about="parameters of the shape",
)
_REAL = Mapped(
    {
        "env_func": Text("the shape", ENVELOPES),
        "kwargs": _KWARGS,
        "width": Number("length", SECONDS, least=0),
        "t0": _ANY,
    },
    required=("env_func", "width"),
    others=None,
)
_VIRTUAL = Mapped(
    {"phase": Number("turns the carrier", RADIANS), "width": Number("length", SECONDS, nullable=True)},
    required=("phase",),
    others=None,
)
_ENVELOPE_TYPES: Mapping[str, Mapped] = {"PulseEnvelope": _REAL, "VirtualEnvelope": _VIRTUAL}


@dataclass(frozen=True)
class _Envelope:
    """``{type, properties}``, the properties of the type."""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with an envelope."""
        kind = view.value.get("type") if isinstance(view.value, dict) else None
        properties: Shape = _ENVELOPE_TYPES.get(kind, _ANY) if isinstance(kind, str) else _ANY
        yield from _envelope(properties).problems(view)

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        either = {"anyOf": [shape.json_schema() for shape in _ENVELOPE_TYPES.values()]}
        schema = _envelope(_ANY).json_schema()
        schema["properties"]["properties"] = either
        return schema


def _envelope(properties: Shape) -> Mapped:
    kind = Text("real or virtual", tuple(_ENVELOPE_TYPES))
    keys: dict[str, Shape] = {"type": kind, "properties": properties}
    return Mapped(keys, required=("type", "properties"), others=None)


_COMPONENT = Mapped(
    {
        "channel": _CHANNEL,
        "subchannel": Number("0 analog, 1… markers", whole=True, least=0),
        "freq": _MAYBE_FREQUENCY,
        "envelope": _Envelope(),
    },
    required=("envelope",),
    others=None,
    about="one component of a pulse",
)


@dataclass(frozen=True)
class _Pulses:
    """A component, a list of them, or a mapping of names to the same."""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a pulse or a group."""
        if view.value is view.old or view.path in view.unresolved:
            return
        if isinstance(view.value, list):
            yield from Listing(self).problems(view)
        elif not isinstance(view.value, dict):
            yield view.problem(f"expected a pulse or a group of pulses, got {shown(view.value)}")
        elif any(key in view.value for key in ("envelope", "channel", "subchannel")):
            yield from _COMPONENT.problems(view)
        else:
            yield from Mapped(others=self).problems(view)

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema, which refers to itself."""
        return {"$ref": "#/$defs/pulses"}


_ROWS = Listing(Listing(Number()))
_STEP_KWARGS = Mapped(
    {
        "angles": Listing(Number("", RADIANS)),
        "axis": _INDEX,
        "corr_matrix": _ROWS,
        "covariances": Listing(_ANY),
        "elem_index": _INDEX,
        "freq_labels": Listing(Text("readout labels")),
        "frequencies": Listing(_FREQUENCY),
        "fit": Flag("whether the classifier is fitted to the data"),
        "means": Listing(Listing(Number()), or_word="fit"),
        "n_levels": Number("levels to be told apart", whole=True, least=2, nullable=True),
        "rep_index": _INDEX,
        "resonators": Listing(Text("readouts, the first is the most significant digit")),
        "sample_rate": _FREQUENCY,
        "trigger": _INDEX,
        "input_name": Text(),
        "result_name": Text(),
    }
)


@dataclass(frozen=True)
class _Step:
    """One step of the processing chain; one that is switched off may be anything."""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a step."""
        if not isinstance(view.value, dict):
            yield view.problem(f"expected a step, got {shown(view.value)}")
        elif view.value.get("enable") is not False:
            kwargs = _ANY if view.value.get("type") == "Eval" else _STEP_KWARGS
            yield from _step(kwargs).problems(view)

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        return _step(_STEP_KWARGS).json_schema()


def _step(kwargs: Shape) -> Mapped:
    keys: dict[str, Shape] = {"enable": Flag("whether it runs"), "type": Text("what it does", STEPS)}
    keys["kwargs"] = kwargs
    return Mapped(keys, required=("type",), others=None)


_CATEGORY = Mapped({"enable": Flag("whether its steps run")}, others=_Step(), strict=False)
_ADC = Mapped(
    {
        "acquisition_settings": Mapped(
            {
                "n_reps": _COUNT,
                "n_batches": _COUNT,
                "n_elements": _COUNT,
                "n_triggers": _COUNT,
                "points": _COUNT,
                "keep_raw": Flag("whether raw traces are kept"),
                "compression": Text("of the result's big data", ("none", "gzip")),
            }
        ),
        "hardware_settings": Mapped({"sample_rate": Number("of the ADC", HERTZ, least=1)}),
        "processing": Mapped(others=_CATEGORY),
    }
)

_OUTPUT = Mapped(
    {
        "amplitude": Number("of full scale", VOLTS, least=-1.5, most=1.5),
        "dc_offset": Number("", VOLTS, least=-1.5, most=1.5),
    }
)
_DAC = Mapped(
    {
        "clock_delay": Number("between elements, ns", least=0),
        "max_samples": Number("of a channel in one element, what its memory holds", whole=True, least=1),
    },
    choose=lambda key: _OUTPUT if key.startswith("Channel_") else None,
)

_QUBIT = Mapped(
    {
        "freq": _MAYBE_FREQUENCY,
        "anharmonicity": _MAYBE_FREQUENCY,
        "res_freq": _MAYBE_FREQUENCY,
        "chan_I": _CHANNEL,
        "chan_Q": _CHANNEL,
    },
    strict=False,
)


@dataclass(frozen=True)
class _Group:
    """A group with a ``Q`` in its name; not every such variable is a group."""

    def problems(self, view: View) -> Iterator[Problem]:
        """Yield what is wrong with a group."""
        if isinstance(view.value, dict):
            yield from _QUBIT.problems(view)

    def json_schema(self) -> dict[str, Any]:
        """Return it as a JSON Schema."""
        return _QUBIT.json_schema()


_GROUP = _Group()
_VARIABLES = Mapped(
    {
        "hardware": Mapped({"qubit_LO": _MAYBE_FREQUENCY, "readout_LO": _MAYBE_FREQUENCY}),
        "readout": Mapped(
            {
                "corr_matrix": _ROWS,
                "heralding": Flag("whether a herald readout comes first"),
                "length": Number("of a readout", SECONDS, least=0),
                "readout_qubits": Listing(_ANY, or_one=True),
            },
            strict=False,
        ),
    },
    strict=False,
    choose=lambda key: _GROUP if "Q" in key else None,
)
_LO = Mapped({"settings": Mapped({"frequency": _MAYBE_FREQUENCY}, strict=False)}, strict=False)
_DEVICES = Mapped({"LOs": Mapped(others=_LO)}, strict=False)

_SIMULATOR = Mapped(
    {
        "seed": Number("null: another each time", whole=True, least=0, nullable=True),
        "noise": Number("of the readout; 1 as calibrated", least=0),
        "batch_s": Number("least wall time of a batch", SECONDS, least=0),
        "chip": Mapped(
            others=Mapped(
                {
                    "freq": _FREQUENCY,
                    "anharmonicity": _FREQUENCY,
                    "drive_rate": Number("Rabi frequency at full scale", HERTZ),
                    "res_freq": _FREQUENCY,
                    "t1": Number("energy decay", SECONDS, least=0),
                    "t2": Number("loss of phase", SECONDS, least=0),
                    "detuning_noise": Number("from repetition to repetition", HERTZ, least=0),
                    "thermal_population": Number("of level 1 at rest", least=0, most=0.5),
                    "chi": Number("shift of the resonator", HERTZ),
                    "kappa": Number("line width of the resonator", HERTZ, least=0),
                    "chan_I": _CHANNEL,
                    "chan_Q": _CHANNEL,
                    "res_chan_I": _CHANNEL,
                    "res_chan_Q": _CHANNEL,
                },
                strict=False,
            )
        ),
        "pairs": Mapped(
            others=Mapped(
                {
                    "zz": Number("shift of one by the other", HERTZ),
                    "cr": Number("the second, driven through the first, at full scale", HERTZ),
                    "cr_back": Number("the first, driven through the second", HERTZ),
                }
            )
        ),
    }
)

SCHEMAS: Mapping[str, Shape] = {
    "variables": _VARIABLES,
    "pulses": Mapped(others=_Pulses()),
    "adc": _ADC,
    "dac": _DAC,
    "devices": _DEVICES,
    "simulator": _SIMULATOR,
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return a JSON Schema for each document, for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schemas = {name: {**head, "title": name, **shape.json_schema()} for name, shape in SCHEMAS.items()}
    component = _COMPONENT.json_schema()
    self = {"$ref": "#/$defs/pulses"}
    either = [component, {"type": "array", "items": self}, {"type": "object", "additionalProperties": self}]
    schemas["pulses"]["$defs"] = {"pulses": {"anyOf": either}}
    return schemas
