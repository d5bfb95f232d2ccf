"""How long the configuration takes: loading, validating, resolving, and the effective one of a job.

Run from the repository's root: ``python benchmarks/config.py [FOLDER]``. Without a folder of YAML
files the shipped configuration is measured. In the same run: plain `yaml.CSafeLoader` on the same
texts, and `copy.deepcopy` of what it gives.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import yaml

from qtrl_spool.config import Configuration
from qtrl_spool.config.load import read_texts

COMPONENT = """\
  - channel: Q{n}/chan_{quadrature}
    envelope:
      properties:
        env_func: Q{n}/pulse_shape
        kwargs:
          alpha: Q{n}/DRAG_alpha
          amplitude:
          - Q{n}/amp_{angle}
          - Q{n}/scale
          phase:
          - {phase}
          - 0.0
        width: common/pulse_length
      type: PulseEnvelope
    freq: Q{n}/mod_freq
    subchannel: 0
"""
VARIABLES = """\
Q{n}:
  DRAG_alpha: 0.92
  amp_180: 0.27
  amp_90: 0.135
  anharmonicity: -265000000.0
  chan_I: {channel_i}
  chan_Q: {channel_q}
  freq: 5775949350.0
  pulse_shape: DRAG
  res_freq: 6331500000.0
  scale: 1.0
"""
SHARED = "common: {pulse_length: 3.e-08}\nhardware: {qubit_LO: 5.5e9, readout_LO: 6.52e9}\n"


def generated(n_qubits: int) -> dict[str, str]:
    """Return the texts of a configuration of so many qubits, about 300 lines each."""
    pulses, variables = [], [SHARED]
    for n in range(n_qubits):
        variables.append(VARIABLES.format(n=n, channel_i=2 * n, channel_q=2 * n + 1))
        pulses.append(f"Q{n}:\n")
        for name in ("180", "90", "cr", "rabi", "a", "b", "c", "d", "e"):
            pulses.append(f"  {name}:\n")
            angle = name if name.isdecimal() else "90"
            for quadrature, phase in (("I", 0.0), ("Q", -1.5707963267948966)):
                pulses.append(COMPONENT.format(n=n, quadrature=quadrature, phase=phase, angle=angle))
    return {"Variables.yaml": "".join(variables), "Pulses.yaml": "".join(pulses)}


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of `work`, in ms."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def measure(name: str, texts: dict[str, str], repeats: int) -> None:
    """Print a table for one configuration."""
    n_lines = sum(text.count("\n") for text in texts.values())
    print(f"\n{name}: {n_lines} lines")
    plain = {each: yaml.load(text, Loader=yaml.CSafeLoader) for each, text in texts.items()}
    default = Configuration.from_texts(texts)
    group = next(
        key for key, value in default.variables.items() if isinstance(value, dict) and "freq" in value
    )
    jobs = {
        "one frequency": {f"variables/{group}/freq": 5.41e9},
        "the width of all pulses": {"variables/common/pulse_length": 4.1e-8},
        "nothing": {},
    }
    rows = {
        "load + validate + resolve": (lambda: Configuration.from_texts(texts), repeats),
        "  CSafeLoader alone (YAML 1.1, no checks)": (
            lambda: [yaml.load(text, Loader=yaml.CSafeLoader) for text in texts.values()],
            repeats,
        ),
        **{
            f"effective configuration of a job: {what}": (
                lambda patch=patch: default.merged(patch),
                5 * repeats,
            )
            for what, patch in jobs.items()
            if all(path in default for path in patch)
        },
        "  copy.deepcopy alone (no merge, nothing resolved)": (lambda: copy.deepcopy(plain), repeats),
        "SHA-256 of all values": (lambda: Configuration(default.documents).sha256, repeats),
    }
    for what, (work, times) in rows.items():
        print(f"  {milliseconds(work, times):8.2f} ms  {what}")


def main() -> None:
    """Measure a folder, and a configuration of 100 qubits."""
    root = Path(__file__).parents[1]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "configs"
    measure(folder.name, read_texts(folder), 20)
    measure("100 qubits", generated(100), 3)


if __name__ == "__main__":
    main()
