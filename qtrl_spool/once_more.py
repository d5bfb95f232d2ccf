"""What was submitted, and the same once more: `OnceMore` is what a `client.Job` can do of that.

Fails: `NotFoundError` if a job's bundle is nowhere to be read; as `Spool.submit` does for what could not run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from qtrl_spool import fs
from qtrl_spool.errors import NotFoundError
from qtrl_spool.job import State
from qtrl_spool.spool import find, tickets
from qtrl_spool.spool.layout import Layout

if TYPE_CHECKING:
    from qtrl_spool.bundle import Bundle
    from qtrl_spool.client import Job, Spool

_LOOKS, _BETWEEN_LOOKS_S = 50, 0.02


class OnceMore:
    """A job, as far as its bundle is concerned."""

    id: str
    _spool: Spool
    _layout: Layout

    def bundle(self) -> Bundle:
        """Return what was submitted, as it was edited since.

        Raises
        ------
        NotFoundError
            If the job was rejected, or moved on too fast to be read.
        """
        from qtrl_spool.bundle import unpack

        data = self._ticket()
        if data is None:
            state = find.bare_status(self._layout, self.id)["state"]
            raise NotFoundError(f"job {self.id} has no ticket: it is {state}")
        return unpack(data)

    def bundle_sha256(self) -> str | None:
        """Return the SHA-256 of the job's bundle, for an `edit` that is refused if it has another by then."""
        import hashlib

        data = self._ticket()
        return None if data is None else hashlib.sha256(data).hexdigest()

    def _ticket(self) -> bytes | None:
        """Return the bytes of the job's bundle; while it is moved, wait for a moment until it lies again."""
        for _ in range(_LOOKS):
            dropped = find.drop(self._layout, self.id)
            place = tickets.find(self._layout, self.id)
            path = place.path if place else dropped
            data = None if path is None else fs.read(path)
            if data is not None or find.bare_status(self._layout, self.id)["state"] == State.REJECTED:
                return data
            time.sleep(_BETWEEN_LOOKS_S)
        return None

    def again(self, config: Mapping[str, Any] | None = None, **more: Any) -> Job:
        """Submit the job once more, as it ran but for a patch on top; see `Spool.submit`, ``like``."""
        return self._spool.submit(config=config, like=cast("Job", self), **more)

    def retry(
        self, config: Mapping[str, Any] | None = None, *, priority: str | int | None = None, **manifest: Any
    ) -> Job:
        """Submit the job's bundle once more, as a new job of whoever calls, whatever became of this one.

        Other than `again`, it runs with the default configuration of its own day, unless the bundle says
        otherwise. It is not held, and waits for nothing that this one waited for.

        Parameters
        ----------
        config:
            A patch on top of the bundle's own.
        priority:
            None: the job's.
        **manifest:
            Keys of ``job.yaml`` with other values.
        """
        bundle = self.retried(config, **manifest)
        self._spool.check(bundle)
        record = find.bare_status(self._layout, self.id)
        return self._spool.drop(bundle, priority=record["priority"] if priority is None else priority)

    def retried(self, config: Mapping[str, Any] | None = None, **manifest: Any) -> Bundle:
        """Return what `retry` would submit, given the same arguments."""
        from dataclasses import replace

        found = self._submitted()
        name = find.bare_status(self._layout, self.id)["name"]
        fresh = replace(found.manifest, user=None, hold=False, after=(), not_before=None)
        given = {key: value for key, value in manifest.items() if value is not None}
        return replace(
            found, patch=patched(found.patch, config), manifest=fresh.changed({"name": name, **given})
        )

    def _submitted(self) -> Bundle:
        """Return what was submitted, also of a job that was rejected."""
        from qtrl_spool.spool.drops import read_drop

        rejected = find.bare_status(self._layout, self.id).get("rejected")
        if rejected is None:
            return self.bundle()
        path = self._layout.root / rejected
        for _ in range(_LOOKS):  # the record comes before the drop is put aside
            if fs.exists(path):
                break
            time.sleep(_BETWEEN_LOOKS_S)
        return read_drop(path)


def patched(patch: Mapping[str, Any], more: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a patch with another one on top, if there is one."""
    if not more:
        return patch
    from qtrl_spool.config.patches import stacked

    return stacked(patch, more)
