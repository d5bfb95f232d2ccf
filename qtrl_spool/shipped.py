"""Where the configuration that comes with this package lies.

An installed package carries it as ``qtrl_spool/_configs``; in a checkout it is the folder
``configs`` beside the package. ``init`` without ``--config`` and the demo start from it.
It is data of the package: read it, copy it, never write there.
"""

from __future__ import annotations

from pathlib import Path

from qtrl_spool.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent


def default_config_folder() -> Path:
    """Return the folder with the YAML files of the shipped default configuration.

    Raises
    ------
    NotFoundError
        The package was installed without its data.
    """
    for folder in (_PACKAGE / "_configs", _PACKAGE.parent / "configs"):
        if folder.is_dir():
            return folder
    raise NotFoundError(
        "the shipped default configuration is not where the package should have it",
        where=str(_PACKAGE / "_configs"),
        hint="install the package again, or name a folder of your own with --config",
    )
