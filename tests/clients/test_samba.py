"""Drops that come through Samba, from a client that knows nothing of the spool."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qtrl_spool.bundle import Limits
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool.drops import Bad, Incomplete, Stillness, Whole, look

_UP_S = 20.0
_CONF = """\
[global]
 workgroup = T
 server role = standalone server
 interfaces = 127.0.0.1
 bind interfaces only = yes
 smb ports = {port}
 map to guest = Bad User
 guest account = {user}
 private dir = {priv}
 lock directory = {priv}
 state directory = {priv}
 cache directory = {priv}
 pid directory = {priv}
 ncalrpc dir = {priv}/ncalrpc
 log file = {priv}/log
 disable netbios = yes
 load printers = no
 printing = bsd
[box]
 path = {box}
 guest ok = yes
 read only = no
"""

Client = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samba") / "box"


@pytest.fixture(scope="module")
def client(box: Path) -> Iterator[Client]:
    """Return a function that runs commands of smbclient on a share of `box`."""
    if shutil.which("smbd") is None or shutil.which("smbclient") is None or os.geteuid() != 0:
        pytest.skip("needs smbd, smbclient and root")
    box.mkdir()
    priv = box.parent / "priv"
    (priv / "ncalrpc").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = box.parent / "smb.conf"
    conf.write_text(_CONF.format(port=port, priv=priv, box=box, user="root"))
    words = ["smbd", "--foreground", "--debug-stdout", "-s", str(conf)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    where = ("-N", "-s", str(conf), "-p", str(port), "//127.0.0.1/box")

    def run(*commands: str) -> subprocess.CompletedProcess[str]:
        words = ["smbclient", *where, "-c", "; ".join(commands)]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )

    try:
        end = time.monotonic() + _UP_S
        while run("ls").returncode != 0:
            if server.poll() is not None or time.monotonic() > end:
                pytest.skip("smbd does not come up here")
        yield run
    finally:
        server.terminate()
        server.wait(10)


def seen(path: Path, after: float = 3.0) -> object:
    stillness = Stillness()
    patience = {"limits": Limits(), "settle_s": 2.0, "abandoned_s": 600.0}
    look(path, stillness, now=0.0, **patience)
    return look(path, stillness, now=after, **patience)


@pytest.mark.parametrize("name", ["rabi.json", "RABI2.JSON", "Größe (1).json"])
def test_a_file_put_by_a_client_is_a_drop(box: Path, client: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / "local").write_text(json.dumps(pi_no_pi(0).to_dict()))

    client("prompt off", f'put "{tmp_path / "local"}" "{name}"')

    assert isinstance(seen(box / name), Whole)


def test_a_folder_put_by_a_client_is_a_drop(box: Path, client: Client, tmp_path: Path) -> None:
    (tmp_path / "my job").mkdir()
    (tmp_path / "my job" / "sequence.json").write_text(json.dumps(pi_no_pi(0).to_dict()))
    (tmp_path / "my job" / "job.yaml").write_text("n_reps: 2\r\n")

    client("prompt off", "recurse on", f'lcd "{tmp_path}"', 'mput "my job"')

    assert isinstance(seen(box / "my job"), Whole)


def test_a_large_file_is_never_taken_while_it_arrives(box: Path, client: Client, tmp_path: Path) -> None:
    import threading

    tree = pi_no_pi(0).to_dict()
    tree["appends"] = tree["appends"] * 60_000
    (tmp_path / "large").write_text(json.dumps(tree))
    size = (tmp_path / "large").stat().st_size
    path, sizes, early = box / "large.json", set[int](), list[object]()
    done = threading.Event()

    def put() -> None:
        client(f'put "{tmp_path / "large"}" large.json')
        done.set()

    copying = threading.Thread(target=put)
    copying.start()
    while not done.is_set():
        if path.exists():
            before = path.stat().st_size
            sizes.add(before)
            if before < size and isinstance(answer := seen(path), Whole | Bad):
                early.append((answer, path.stat().st_size))
    copying.join()

    assert [each for each in early if each[1] < size] == []  # type: ignore[index]
    assert isinstance(seen(path), Whole)


def test_a_copy_that_was_killed_waits_and_is_never_taken(box: Path, client: Client, tmp_path: Path) -> None:
    tree = pi_no_pi(0).to_dict()
    whole = json.dumps({**tree, "appends": tree["appends"] * 300_000})
    (tmp_path / "larger").write_text(whole)
    conf = box.parent / "smb.conf"
    port = next(line.split()[-1] for line in conf.read_text().splitlines() if "smb ports" in line)
    words = ["smbclient", "-N", "-s", str(conf), "-p", port, "//127.0.0.1/box", "-c"]
    command = f'put "{tmp_path / "larger"}" broken.json'
    copying = subprocess.Popen([*words, command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = box / "broken.json"
    end = time.monotonic() + _UP_S
    while not (path.exists() and path.stat().st_size) and copying.poll() is None:
        assert time.monotonic() < end
    copying.send_signal(signal.SIGKILL)
    copying.wait()

    if path.stat().st_size == len(whole):
        pytest.skip("the copy was too quick to be killed in its midst")
    assert isinstance(seen(path, after=500.0), Incomplete)
