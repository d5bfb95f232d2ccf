"""What the tests share: where the real lab's configuration lies, and locks of instruments of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

LAB_CONFIG = Path(__file__).parents[2] / "shared" / "lab-config"


@pytest.fixture(scope="session")
def lab_config() -> Path:
    """Return the folder of the real lab's five-qubit configuration, or skip."""
    folder = LAB_CONFIG / "five-qubit-chip"
    if not folder.is_dir():
        pytest.skip(f"the real lab's configuration is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def reference_config() -> Path:
    """Return the folder of the real lab's reference configuration, or skip."""
    folder = LAB_CONFIG / "reference"
    if not folder.is_dir():
        pytest.skip(f"the real lab's configuration is not at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the locks of instruments apart from this host's, and from those of tests that run beside these."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("QTRL_SPOOL_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield
