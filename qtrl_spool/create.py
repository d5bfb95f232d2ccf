"""Makes a spool: its first default configuration, its directories, and last of all ``spool.yaml``.

Called by ``init``, by ``serve`` for the embedded spool of a checkout, by ``demo`` and by tests.
Everything is checked before anything is made. A death in between leaves a directory that is no
spool yet, and making it again goes on from there.

Fails: `ConfigError` with all that is wrong with the configuration; `StorageError` if there is a spool
already, if the directory holds something else, or if it cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.config.documents import document_name
from qtrl_spool.config.edit import dump_yaml
from qtrl_spool.config.load import read_texts
from qtrl_spool.errors import StorageError
from qtrl_spool.job import utc
from qtrl_spool.run import warnings_of
from qtrl_spool.shipped import default_config_folder
from qtrl_spool.spool.layout import Layout, make
from qtrl_spool.spool.settings import TEMPLATE

SIMULATOR_FILE = "simulator.yaml"
_SIMULATOR_HEAD = """\
# What the simulated chip truly is. It was taken once from the other documents when the spool was made, so a
# job that patches a drive or a readout sees a chip that does not change with it. Only the simulator reads it.
# Frequencies in Hz, times in s; drive_rate in Hz at full scale.
"""


@dataclass(frozen=True)
class Created:
    """A new spool.

    Attributes
    ----------
    path:
        Its directory.
    config_from:
        The folder that its default configuration was taken from.
    documents:
        The names of its documents.
    warnings:
        What the lab should know of its configuration.
    """

    path: Path
    config_from: Path
    documents: tuple[str, ...]
    warnings: tuple[str, ...]


def create_spool(
    root: Path | str, config: Path | str | None = None, *, who: str, now: datetime | None = None
) -> Created:
    """Make a spool.

    Parameters
    ----------
    root:
        Its directory: new, empty, or left by an attempt that did not come to its end.
    config:
        Folder of YAML files, the first default configuration; None: the shipped one.
    who:
        Who makes it, for the log of the configuration.
    now:
        The time, timezone-aware; None: the present.

    Raises
    ------
    ConfigError
        If the configuration is wrong; nothing is made then.
    StorageError
        If there is a spool already, or `root` holds other things.
    """
    layout = Layout(Path(root).expanduser().absolute())
    folder = default_config_folder() if config is None else Path(config).expanduser()
    texts = with_simulator(read_texts(folder))
    checked = Configuration.from_texts(texts)
    _check_place(layout)
    _make_config(layout, texts, who=who, why=f"made from {folder.name}", now=now or datetime.now(UTC))
    make(layout.root, TEMPLATE)
    return Created(layout.root, folder, tuple(checked.documents), warnings_of(checked))


def with_simulator(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the documents, and the simulator's own, described after them if they have none."""
    if SIMULATOR_FILE in {f"{document_name(name)}.yaml" for name in texts}:
        return dict(texts)
    from qtrl_spool.backends.simulator.describe import simulator_document

    chip = simulator_document(Configuration.from_texts(texts))
    return {**texts, SIMULATOR_FILE: _SIMULATOR_HEAD + dump_yaml(chip)}


def is_embedded(root: Path) -> bool:
    """Return whether `root` is the spool of a fresh checkout: nothing but its README."""
    return fs.names(root) == ["README.md"]


def _check_place(layout: Layout) -> None:
    if fs.exists(layout.root) and not fs.is_folder(layout.root):
        raise StorageError(f"{layout.root} is a file", hint="name a new or an empty folder")
    if fs.exists(layout.mark):
        raise StorageError(f"there is a spool at {layout.root} already", hint="nothing was changed")
    known = {"README.md", "lost+found", *(folder.name for folder in layout.folders), layout.config.name}
    others = [name for name in fs.names(layout.root) if name not in known and not name.startswith(".")]
    if others:
        raise StorageError(
            f"{layout.root} holds other things, such as {others[0]!r}",
            hint="name a new or an empty directory",
        )
    if fs.names(layout.jobs):
        raise StorageError(
            f"{layout.root} holds jobs and no spool.yaml",
            hint="if spool.yaml was lost, put it back; nothing was changed",
        )


def _make_config(layout: Layout, texts: Mapping[str, str], *, who: str, why: str, now: datetime) -> None:
    """Make the configuration aside and rename it in; one that an earlier attempt left is replaced."""
    try:
        fs.make_folder(layout.root)
    except StorageError as error:
        remedy = error.hint or "name a folder in a place that you may write to"
        raise StorageError(error.message, hint=remedy) from error
    aside = fs.temporary_name(layout.config)
    try:
        ConfigStore.create(aside, texts, who=who, why=why, now=utc(now))
        fs.remove(layout.config)
        fs.move(aside, layout.config)
    finally:
        fs.remove(aside)
