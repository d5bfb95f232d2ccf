"""What the tests share: the real lab's configuration, locks of instruments of their own, counts of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_TRIALS = "trials of "
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


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Return a function that counts trials of a kind, for the sums at the end of the run."""
    return lambda kind, n: record_property(f"{_TRIALS}{kind}", n)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many trials of each kind there were, whichever tests made them."""
    sums: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, n in report.user_properties if report.when == "call" else ():
            if name.startswith(_TRIALS) and isinstance(n, int):
                sums[name.removeprefix(_TRIALS)] += n
    if sums:
        terminalreporter.write_line(f"trials: {', '.join(f'{n} {kind}' for kind, n in sums.items())}")
