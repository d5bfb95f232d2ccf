"""Small drops that cost much to read, and how much: what they are, and a measure of it.

``python -m tests.bombs`` prints what each costs, at the default limits.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEAD = '{"format":"qtrl-sequence/1",'
SEQUENCE = HEAD + '"n_elements":1,"appends":[]}'


def zip_of(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return file.getvalue()


def patched(patch: str) -> bytes:
    return zip_of(sequence_json=SEQUENCE, config_yaml=patch)


def lines(n: int, line: str) -> str:
    return "".join(line.format(i) for i in range(n))


def listed(n: int, item: str) -> str:
    return ",".join(item.format(i) for i in range(n))


def append_of(n: int, item: str) -> str:
    return f'{HEAD}"n_elements":1,"appends":[{listed(n, item)}]}}'


YAML = "format: qtrl-sequence/1\n"
MILLION = 1_000_000
BOMBS: dict[str, tuple[str, Callable[[], str | bytes]]] = {
    "blanks after two commas": ("a.json", lambda: HEAD + '"a":1,,' + " " * MILLION + "!}"),
    "escapes to the end": ("a.json", lambda: '{"a":"' + "\\n" * MILLION),
    "empty lists": ("a.json", lambda: HEAD + '"a":[' + "[]," * MILLION + "[]]}"),
    "a list of texts": ("a.json", lambda: HEAD + '"a":[' + listed(MILLION, '"{:x}"') + "]}"),
    "keys of no sequence": ("a.json", lambda: HEAD + listed(MILLION, '"k{}":0') + "}"),
    "one long text": ("a.json", lambda: HEAD + '"name":"' + "x" * 10 * MILLION + '"}'),
    "long notes": ("a.json", lambda: HEAD + '"appends":[],"job":{"notes":"' + "x" * 10 * MILLION + '"}}'),
    "many tags": ("a.json", lambda: HEAD + '"job":{"tags":[' + listed(MILLION, '"x"') + "]}}"),
    "a long duration": (
        "a.json",
        lambda: HEAD + '"job":{"max_duration":"' + "1 h " * MILLION + 'x"}}',
    ),
    "pulses that are not there": ("a.json", lambda: append_of(100_000, '{{"pulse":"Q6/X18{}"}}')),
    "fields of no pulse": ("a.json", lambda: append_of(100_000, '{{"pulse":"Q5/X180","elemnt{}":1}}')),
    "fields in one append": (
        "a.json",
        lambda: (
            HEAD + '"n_elements":1,"appends":[{"pulse":"Q5/X180",' + listed(300_000, '"elemnt{}":1') + "}]}"
        ),
    ),
    "pulses at once": (
        "a.json",
        lambda: append_of(1, '{{"pulse":{{"simultaneous":[' + listed(300_000, '"Q5/X180"') + "]}}}}"),
    ),
    "many appends": ("a.json", lambda: append_of(200_000, '{{"pulse":"Q5/X180"}}')),
    "points": (
        "a.json",
        lambda: HEAD + '"appends":[{"pulse":"a","kwargs":{"points":[' + listed(300_000, "[0,1]") + "]}}]}",
    ),
    "many digits": ("a.json", lambda: HEAD + '"a":' + "9" * 5 * MILLION + "}"),
    "many decimals": ("a.json", lambda: HEAD + '"a":0.' + "1" * 5 * MILLION + "}"),
    "a large exponent": ("a.json", lambda: HEAD + '"a":1e' + "1" * 5 * MILLION + "}"),
    "deep": ("a.json", lambda: HEAD + '"a":' + "[" * MILLION),
    "a sweep of 1e12": (
        "a.json",
        lambda: append_of(1, '{{"pulse":"Q5/X180","width":{{"linspace":[0,1,1000000000000]}}}}'),
    ),
    "elements, 1e12": ("a.json", lambda: HEAD + '"n_elements":1000000000000,"appends":[]}'),
    "YAML list": ("a.yaml", lambda: YAML + "a: [" + "1," * 500_000 + "1]\n"),
    "YAML lines": ("a.yaml", lambda: YAML + "a:\n" + "- x\n" * 250_000),
    "YAML mappings": ("a.yaml", lambda: YAML + "a:\n" + "- {}\n" * 200_000),
    "YAML keys": ("a.yaml", lambda: YAML + lines(90_000, "{:x}k: 1\n")),
    "YAML aliases": (
        "a.yaml",
        lambda: YAML + "a: &a [" + listed(1000, "x") + "]\nb: [" + "*a," * 1000 + "]\n",
    ),
    "YAML nested aliases": (
        "a.yaml",
        lambda: (
            "a: &a [x,x]\n"
            + "".join(f"b{n}: &b{n} [{'*a,' if not n else f'*b{n - 1},' * 9}]\n" for n in range(60))
        ),
    ),
    "YAML tags": ("a.yaml", lambda: YAML + "a:\n" + "- !!omap [a: 1]\n" * 50_000),
    "YAML wrong at its end": ("a.yaml", lambda: YAML + "a: [" + "1," * 500_000 + "!x\n"),
    "patch of one mapping": ("a.qjob", lambda: patched("variables:\n" + lines(40_000, "  Q5/freqq{}: 1\n"))),
    "patch of documents": ("a.qjob", lambda: patched(lines(40_000, "variabls{}: 1\n"))),
    "patch of new keys": ("a.qjob", lambda: patched("variables:\n" + lines(20_000, "  x{}: !new 1\n"))),
    "patch in JSON": (
        "a.qjob",
        lambda: zip_of(
            sequence_json=SEQUENCE,
            config_json=json.dumps({"variables": {f"Q5/freqq{i}": 1 for i in range(100_000)}}),
        ),
    ),
    "patch of a long key": ("a.qjob", lambda: patched('variables:\n  ? "' + "a" * 900_000 + '"\n  : 1\n')),
    "ZIP of blanks": ("a.qjob", lambda: zip_of(sequence_json=" " * 127 * MILLION + SEQUENCE)),
    "ZIP of zeros": ("a.qjob", lambda: zip_of(sequence_json=HEAD + '"a":[' + "0," * 2 * MILLION + "0]}")),
    "ZIP of ends": (
        "a.qjob",
        lambda: zip_of(sequence_json=SEQUENCE)[:-2] + b"\xff\xff" + b"PK\5\6" * 16383 + b"abc",
    ),
}


def make(name: str, folder: Path) -> Path:
    """Write a bomb into `folder`."""
    file_name, content = BOMBS[name]
    data = content()
    path = folder / file_name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(path: Path, default: Any) -> str:
    """Do with a drop what acceptance does; return what came of it."""
    from qtrl_spool import run
    from qtrl_spool.bundle import pack
    from qtrl_spool.errors import QtrlSpoolError
    from qtrl_spool.spool import drops

    try:
        bundle = drops.take(path).bundle
        run.check(bundle, default)
        pack(bundle)
    except QtrlSpoolError as error:
        return str(error)
    return "accepted"


def cost(path: Path, default: Any) -> tuple[float, float, str]:
    """Read a drop in a child of this process; return its CPU time in s, its memory in MB, what came of it."""
    import resource

    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        said = read(path, default)
        took = time.process_time() - started
        grew = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(theirs, json.dumps([took, grew / 1024, said[:500]]).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    found = json.loads(said) if said else [float("inf"), float("inf"), "it died"]
    return found[0], found[1], found[2]


def main() -> None:
    import tempfile

    from qtrl_spool.config import load_config

    default = load_config(Path(__file__).parents[1] / "configs")
    for name in sys.argv[1:] or BOMBS:
        with tempfile.TemporaryDirectory() as folder:
            path = make(name, Path(folder))
            took, grew, said = cost(path, default)
            print(
                f"{name:26} {path.stat().st_size / 1e6:7.2f} MB {took:6.2f} s {grew:6.0f} MB  {said[:70]!r}"
            )


if __name__ == "__main__":
    main()
