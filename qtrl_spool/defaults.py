"""The default configuration as a client sees it: read from the spool's files, changed by asking a server.

Called by ``client`` (``spool.config``). Importing it loads no YAML; reading the configuration does.
Fails: `NotFoundError` for a version or a path that is not there; what the server refuses is raised as the
exception that it recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtrl_spool.config import ConfigStore, Configuration


class SpoolConfig:
    """The default configuration of a spool: ``spool.config['variables/Q6/freq']``.

    Parameters
    ----------
    folder:
        ``config/`` of the spool.
    ask:
        Sends a request and returns its answer, see `qtrl_spool.Spool.ask`.
    """

    def __init__(self, folder: Path, ask: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._folder = folder
        self._ask = ask

    def __getitem__(self, path: str) -> Any:
        return self.current()[path]

    def _store(self) -> ConfigStore:
        from qtrl_spool.config import ConfigStore

        return ConfigStore(self._folder)

    @property
    def files(self) -> Path:
        """The folder with the YAML files as people edit them."""
        return self._folder / "current"

    def current(self) -> Configuration:
        """Return the configuration in force."""
        return self._store().current()

    def at(self, version: int) -> Configuration:
        """Return the configuration as it was at `version`."""
        return self._store().version(version)

    def log(self) -> list[dict[str, Any]]:
        """Return every version: who made it, when, why."""
        return self._store().log()

    def diff(self, a: int, b: int | None = None) -> str:
        """Return what changed between version `a` and `b` (default: the one in force)."""
        current = self.current().version
        return self._store().diff(a, b if b is not None else int(current or 0))

    def update(
        self, patch: Mapping[str, Any], reason: str, *, base: int | None = None, job: str | None = None
    ) -> int:
        """Merge a patch into the default and return the new version.

        Parameters
        ----------
        patch:
            Keyed by document: ``{'variables': {'Q6/freq': 5.41e9}}``, or by path:
            ``{'variables/Q6/freq': 5.41e9}``.
        reason:
            Why, for the log.
        base:
            The version that the update is based on; None: the one in force now.
        job:
            Id of the job that found the values, for the log.

        Raises
        ------
        ConfigConflictError
            If the default changed since `base`.
        ConfigError
            If the patch does not fit.
        """
        from qtrl_spool.config.patches import json_spelling

        current = self.current()
        if base is None or base == current.version:
            current.merged(patch)  # what is wrong is told here with its line, and nobody is asked
        request = {"config": json_spelling(patch), "base": base or current.version, "reason": reason}
        reply = self._ask({**request, "job": job} if job else request)
        return int(reply["version"])

    def rollback(self, version: int, *, reason: str) -> int:
        """Make a new version that equals an old one, and return its number."""
        return int(self._ask({"rollback": version, "reason": reason})["version"])
