"""What somebody finds who has only the repository or the wheel: scripts, unit file, shipped data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import qtrl_spool
from qtrl_spool.shipped import default_config_folder

ROOT = Path(__file__).parents[1]
SCRIPTS = ["scripts/demo", "scripts/test", "scripts/check", ".ci/run"]
DOCUMENTS = {"adc.yaml", "dac.yaml", "devices.yaml", "pulses.yaml", "simulator.yaml", "variables.yaml"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def build_wheel(folder: Path) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_be_executed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize("script", [*SCRIPTS, "scripts/_setup.sh"])
def test_scripts_are_plain_sh(script: str) -> None:
    shell = shutil.which("dash") or shutil.which("sh") or pytest.skip("there is no sh")
    subprocess.run([shell, "-n", str(ROOT / script)], check=True)


def test_continuous_integration_runs_the_checks_and_the_tests() -> None:
    commands = (ROOT / ".ci/run").read_text()
    assert "scripts/check" in commands and "scripts/test" in commands


def test_the_version_is_said_once_and_the_same() -> None:
    assert project()["version"] == qtrl_spool.__version__


def test_the_shipped_configuration_is_found_in_a_checkout() -> None:
    assert default_config_folder() == ROOT / "configs"


def test_the_wheel_carries_the_shipped_configuration_and_the_types(tmp_path: Path) -> None:
    with build_wheel(tmp_path) as wheel:
        names = set(wheel.namelist())
    assert {f"qtrl_spool/_configs/{name}" for name in DOCUMENTS} | {"qtrl_spool/py.typed"} <= names


def test_the_wheel_installs_the_command_and_the_simulator(tmp_path: Path) -> None:
    with build_wheel(tmp_path) as wheel:
        (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        text = wheel.read(entry_points).decode()
    assert "qtrl-spool = qtrl_spool.cli:main" in text and "[qtrl_spool.backends]" in text


def test_an_installed_package_finds_its_configuration(tmp_path: Path) -> None:
    with build_wheel(tmp_path) as wheel:
        wheel.extractall(tmp_path / "site")
    ask = "from qtrl_spool.shipped import default_config_folder; print(default_config_folder())"
    answer = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == str(tmp_path / "site/qtrl_spool/_configs")


def test_systemd_accepts_the_unit() -> None:
    analyze = shutil.which("systemd-analyze") or pytest.skip(
        "systemd-analyze is not installed (package systemd)"
    )
    unit = ROOT / "systemd" / "qtrl-spool@.service"
    verdict = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_the_unit_waits_for_the_file_system_of_the_spool() -> None:
    lines = (ROOT / "systemd" / "qtrl-spool@.service").read_text().splitlines()
    (spool,) = [line.split("=", 2)[2] for line in lines if line.startswith("Environment=QTRL_SPOOL=")]
    assert f"RequiresMountsFor={spool}" in lines


def test_the_embedded_spool_explains_each_of_its_directories() -> None:
    text = (ROOT / "spool" / "README.md").read_text()
    places = ["incoming", "requests", "queue", "held", "running", "rejected", "jobs", "config", "servers"]
    assert [place for place in places if f"`{place}/" not in text] == []


def test_nothing_of_the_embedded_spool_but_its_readme_is_kept_by_git() -> None:
    rules = (ROOT / ".gitignore").read_text().splitlines()
    assert rules.index("/spool/*") < rules.index("!/spool/README.md")
