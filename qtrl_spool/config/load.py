"""A folder of YAML files as a configuration.

Every ``*.yaml`` and ``*.yml`` file is one document, its name in any letter case; hidden files,
backups and all other files are left alone.

Called by: users, ``init``, ``config validate``, ``store``.
Fails: `NotFoundError` if there is no such folder or no document in it; `ConfigError` with all problems.
"""

from __future__ import annotations

from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.config.configuration import Configuration
from qtrl_spool.errors import ConfigError, NotFoundError

MAX_BYTES = 16_000_000
_ENDINGS = (".yaml", ".yml")


def load_config(folder: Path | str) -> Configuration:
    """Return the configuration in a folder of YAML files: ``load_config(folder).pulses['Q6/X180']``.

    Raises
    ------
    NotFoundError
        If the folder is not there, or holds no YAML file.
    ConfigError
        All that is wrong with the files, each with its place.
    """
    return Configuration.from_texts(read_texts(Path(folder)))


def read_texts(folder: Path) -> dict[str, str]:
    """Return the text of each document in a folder by its file name."""
    texts = {
        name: text for name in fs.names(folder) if is_document(name) if (text := read_document(folder / name))
    }
    if not texts:
        raise NotFoundError(f"there is no configuration (*.yaml) in {folder}")
    return texts


def is_document(file_name: str) -> bool:
    """Return whether a file of that name is a document of the configuration."""
    return file_name.casefold().endswith(_ENDINGS) and not file_name.startswith((".", "~", "#"))


def read_document(path: Path) -> str | None:
    """Return the text of one file, or None if it is not there.

    Raises
    ------
    ConfigError
        If it is no text in UTF-8.
    """
    data = fs.read(path, limit=MAX_BYTES)
    if data is None:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError("is not text in UTF-8", where=f"{path.name}:{line}") from error
