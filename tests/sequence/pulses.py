"""Small pulses for the tests, as the package's objects and in the plain form."""

import math

from qtrl_spool.sequence import Pulse, PulseEnvelope, VirtualEnvelope

NS = 1e-9


def real(env_func="square", width=10 * NS, freq=0.0, channel=0, subchannel=0, **kwargs):
    return Pulse(PulseEnvelope(env_func, kwargs, width), freq, channel, subchannel)


def turn(phase, freq=0.0, width=None):
    return Pulse(VirtualEnvelope(phase, width), freq, 0, 0)


def plain(pulse):
    """A pulse, or a list of them, in the form of pulses.yaml."""
    if isinstance(pulse, (list, tuple)):
        return [plain(entry) for entry in pulse]
    envelope = pulse.envelope
    if pulse.is_virtual:
        properties = {"phase": envelope.phase, "width": envelope.width}
    else:
        properties = {"env_func": envelope.env_func, "kwargs": dict(envelope.kwargs), "width": envelope.width}
    return {
        "envelope": {"type": type(envelope).__name__, "properties": properties},
        "freq": pulse.freq,
        "channel": pulse.channel,
        "subchannel": pulse.subchannel,
    }


def qubit(freq=100e6, channel=0, amplitude=0.5, width=20 * NS):
    """Prototypes of a qubit with I and Q, in the form of pulses.yaml."""

    def pair(a):
        shape = {"env_func": "gaussian", "width": width}
        return [
            {
                "envelope": {
                    "type": "PulseEnvelope",
                    "properties": {**shape, "kwargs": {"amplitude": a, "phase": phase}},
                },
                "freq": freq,
                "channel": channel + i,
                "subchannel": 0,
            }
            for i, phase in enumerate((0.0, -math.pi / 2))
        ]

    return {90: pair(amplitude / 2), 180: pair(amplitude)}
