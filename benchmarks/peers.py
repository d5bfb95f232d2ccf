"""The same experiments with other toolkits, where they are installed: what their compilation takes.

Each function of `PEERS` returns, for the name of an experiment of `compile.py`, a function that builds and
compiles it once, or None where the toolkit has no way to say it. What they make differs, so the figures
are for orientation only:

laboneq
    Zurich Instruments' compiler, sequences as real-time sweeps where it has them: programs for an SHFQC.
quantify-scheduler
    A schedule of timed operations for each element; not assembled, as that needs a vendor's package.
qibolab
    A sequence of pulses for each element and the samples of each distinct pulse.
pulser
    A sequence of an array of atoms for each element, sampled; amplitudes and detunings, no carriers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

Work = Callable[[], Any]
Gates = list[list[str]]
"""For each element the gates of one qubit, such as ``X90``."""
NS = 1e-9
ANGLES = {"X": 0.0, "Y": np.pi / 2}


def gate(name: str) -> tuple[float, float]:
    """Return (angle as a part of a half turn, phase of the axis in rad) of a gate such as ``Y-90``."""
    degrees = float(name[1:])
    return abs(degrees) / 180, ANGLES[name[0]] + (np.pi if degrees < 0 else 0.0)


def laboneq(name: str, gates: list[Gates]) -> Work | None:
    from laboneq import simple as lq

    logging.getLogger("laboneq").setLevel(logging.ERROR)
    session = lq.Session(_laboneq_setup(lq, len(gates) or 1), log_level=logging.ERROR)
    session.connect(do_emulation=True)

    def work() -> Any:
        pulse = lq.pulse_library.drag(uid="x", length=30 * NS, amplitude=0.2)
        flat = lq.pulse_library.gaussian_square(
            uid="rabi", length=500 * NS, amplitude=0.15, can_compress=True
        )
        read = lq.pulse_library.const(uid="read", length=1000 * NS, amplitude=0.1)
        qubits = range(len(gates) or 1)
        lines = [f"{line}{q}" for q in qubits for line in ("drive", "measure", "acquire")]
        signals = [lq.ExperimentSignal(line, map_to=f"q{line[-1]}/{line[:-1]}") for line in lines]
        exp = lq.Experiment(uid=name, signals=signals)

        def readout(element: int) -> None:
            with exp.section(uid=f"r_{element}", play_after=[f"d{q}_{element}" for q in qubits]):
                for q in qubits:
                    exp.play(f"measure{q}", read)
                    exp.acquire(f"acquire{q}", handle=f"q{q}_{element}", kernel=read)
                    exp.delay(f"acquire{q}", 1e-6)

        with exp.acquire_loop_rt(
            count=1,
            averaging_mode=lq.AveragingMode.SEQUENTIAL,
            acquisition_type=lq.AcquisitionType.INTEGRATION,
        ):
            if name in ("rabi", "ramsey"):
                stop = 99 * (10 if name == "rabi" else 200) * NS
                sweep = lq.LinearSweepParameter("x", 10 * NS, stop + 10 * NS, 100)
                with exp.sweep(parameter=sweep):
                    with exp.section(uid="d0_0"):
                        if name == "rabi":
                            exp.play("drive0", flat, length=sweep)
                        else:
                            exp.play("drive0", pulse, amplitude=0.5)
                            exp.delay("drive0", sweep)
                            exp.play("drive0", pulse, amplitude=0.5, phase=1.0)
                    readout(0)
            else:
                for element in range(len(gates[0])):
                    for q in qubits:
                        with exp.section(uid=f"d{q}_{element}"):
                            for word in gates[q][element]:
                                amplitude, phase = gate(word)
                                exp.play(f"drive{q}", pulse, amplitude=amplitude, phase=phase)
                    readout(element)
        return session.compile(exp, compiler_settings={"IGNORE_RESOURCE_LIMITATION_ERRORS": True})

    return work


def _laboneq_setup(lq: Any, n_qubits: int) -> Any:
    setup = lq.DeviceSetup("bench")
    setup.add_dataserver(host="localhost", port="8004")
    setup.add_instruments(lq.SHFQC(uid="shfqc", address="DEV12000", device_options="SHFQC/QC6CH"))
    for q in range(n_qubits):
        setup.add_connections(
            "shfqc",
            lq.create_connection(to_signal=f"q{q}/drive", ports=f"SGCHANNELS/{q}/OUTPUT"),
            lq.create_connection(to_signal=f"q{q}/measure", ports="QACHANNELS/0/OUTPUT"),
            lq.create_connection(to_signal=f"q{q}/acquire", ports="QACHANNELS/0/INPUT"),
        )
    lines = {"drive": 5.0e9, "measure": 6.6e9, "acquire": 6.6e9}
    for q in range(n_qubits):
        for line, frequency in lines.items():
            centre = "drive" if line == "drive" else "readout"
            setup.logical_signal_by_uid(f"q{q}/{line}").calibration = lq.SignalCalibration(
                oscillator=lq.Oscillator(
                    f"{line}{q}",
                    frequency=(50 + 10 * q) * 1e6,
                    modulation_type=lq.ModulationType.HARDWARE
                    if line == "drive"
                    else lq.ModulationType.SOFTWARE,
                ),
                local_oscillator=lq.Oscillator(f"lo_{centre}", frequency=frequency),
            )
    return setup


def pulser(name: str, gates: list[Gates]) -> Work | None:
    from pulser import Pulse, Register, Sequence
    from pulser.devices import MockDevice
    from pulser.sampler import sample
    from pulser.waveforms import BlackmanWaveform, ConstantWaveform

    register = Register({f"q{q}": (10.0 * q, 0.0) for q in range(len(gates) or 1)})
    n_elements = len(gates[0]) if gates else 100

    def one(element: int) -> Any:
        seq = Sequence(register, MockDevice)
        for q in range(len(gates) or 1):
            seq.declare_channel(f"d{q}", "raman_local", initial_target=f"q{q}")
        still = ConstantWaveform(30, 0.0)
        if name == "rabi":
            if element:
                seq.add(Pulse.ConstantPulse(10 * element, 5.0, 0.0, 0.0), "d0")
        elif name == "ramsey":
            for part in (0, 1):
                seq.add(Pulse(BlackmanWaveform(30, np.pi / 2), still, 0.1 * element * part), "d0")
                if element and not part:
                    seq.delay(200 * element, "d0")
        for q, sequences in enumerate(gates):
            for word in sequences[element]:
                amplitude, phase = gate(word)
                seq.add(
                    Pulse(BlackmanWaveform(30, np.pi * amplitude), still, phase), f"d{q}", protocol="no-delay"
                )
        return sample(seq) if not seq._empty_sequence else None

    return lambda: [one(element) for element in range(n_elements)]


def qibolab(name: str, gates: list[Gates]) -> Work | None:
    from qibolab import Drag, Pulse, PulseSequence, Rectangular
    from qibolab._core.pulses import Acquisition, Delay, Readout, VirtualZ

    n_elements = len(gates[0]) if gates else 100

    def one(element: int) -> Any:
        seq = PulseSequence()
        for q in range(len(gates) or 1):
            line = f"{q}/drive"
            if name == "rabi":
                seq.append((line, Pulse(duration=10.0 * element, amplitude=0.15, envelope=Rectangular())))
            elif name == "ramsey":
                half = Pulse(duration=30.0, amplitude=0.1, envelope=Drag(rel_sigma=0.2, beta=0.5))
                seq.append((line, half))
                seq.append((line, Delay(duration=200.0 * element)))
                seq.append((line, VirtualZ(phase=0.1 * element)))
                seq.append((line, half))
            for word in gates[q][element] if gates else ():
                amplitude, phase = gate(word)
                shape = Drag(rel_sigma=0.2, beta=0.5)
                seq.append(
                    (
                        line,
                        Pulse(duration=30.0, amplitude=0.2 * amplitude, envelope=shape, relative_phase=phase),
                    )
                )
            probe = Pulse(duration=1024.0, amplitude=0.06, envelope=Rectangular())
            seq.append((f"{q}/acquisition", Delay(duration=seq.channel_duration(line))))
            seq.append((f"{q}/acquisition", Readout(acquisition=Acquisition(duration=1024.0), probe=probe)))
        return seq

    def work() -> Any:
        shapes: dict[Any, Any] = {}
        sequences = [one(element) for element in range(n_elements)]
        for seq in sequences:
            for _, pulse in seq:
                if isinstance(pulse, Pulse) and pulse.duration:
                    key = (pulse.duration, pulse.amplitude, pulse.envelope)
                    if key not in shapes:
                        shapes[key] = pulse.envelopes(1.0)
        return sequences, shapes

    return work


def quantify_scheduler(name: str, gates: list[Gates]) -> Work | None:
    from quantify_scheduler import Schedule
    from quantify_scheduler.backends import SerialCompiler
    from quantify_scheduler.device_under_test.quantum_device import QuantumDevice
    from quantify_scheduler.device_under_test.transmon_element import BasicTransmonElement
    from quantify_scheduler.operations.gate_library import Measure, Rxy
    from quantify_scheduler.operations.pulse_library import IdlePulse, SquarePulse

    QuantumDevice.close_all()
    BasicTransmonElement.close_all()
    device = QuantumDevice("bench")
    names = [f"q{q}" for q in range(len(gates) or 1)]
    for each in names:
        element = BasicTransmonElement(each)
        element.rxy.amp180(0.2)
        element.rxy.duration(30 * NS)
        element.clock_freqs.f01(5e9)
        element.clock_freqs.readout(6.5e9)
        element.measure.pulse_amp(0.06)
        element.measure.pulse_duration(1e-6)
        device.add_element(element)
    config = device.generate_compilation_config()
    n_elements = len(gates[0]) if gates else 100

    def one(at: int) -> Any:
        schedule = Schedule(f"{name}{at}")
        for q, each in enumerate(names):
            if name == "rabi":
                schedule.add(
                    SquarePulse(amp=0.15, duration=(at or 1) * 10 * NS, port=f"{each}:mw", clock=f"{each}.01")
                )
            elif name == "ramsey":
                schedule.add(Rxy(90, 0, each))
                schedule.add(IdlePulse(at * 200 * NS))
                schedule.add(Rxy(90, 36.0 * at % 360, each))
            for word in gates[q][at] if gates else ():
                amplitude, phase = gate(word)
                schedule.add(Rxy(180 * amplitude, np.degrees(phase), each))
        schedule.add(Measure(*names))
        return SerialCompiler("bench").compile(schedule, config)

    return lambda: [one(at) for at in range(n_elements)]


PEERS: dict[str, tuple[str, Callable[[str, list[Gates]], Work | None]]] = {
    "laboneq": ("laboneq", laboneq),
    "quantify-scheduler": ("quantify_scheduler", quantify_scheduler),
    "qibolab": ("qibolab", qibolab),
    "pulser": ("pulser", pulser),
}


def installed() -> list[str]:
    """Return the names of the toolkits that are installed."""
    return [name for name, (module, _) in PEERS.items() if find_spec(module)]
