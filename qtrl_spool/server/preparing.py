"""The first stage: make a job ready, so that nothing about it is left to be found wrong.

Merges the patch into a copy of the default, compiles, and lets the backend make its plan. Touches
neither the spool nor the instrument: what it made can be thrown away when something more urgent or a
new configuration comes.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from qtrl_spool import run
from qtrl_spool.backends import Backend
from qtrl_spool.errors import NotFoundError, StorageError, UsageError
from qtrl_spool.gathered import Data
from qtrl_spool.results.read import resume_point
from qtrl_spool.server.orders import Before, NotBegun, Order, Ready, Unfit
from qtrl_spool.server.stage import Reports, Stage, as_error
from qtrl_spool.spool.journal import PARTIAL

_log = logging.getLogger(__name__)


class Preparing(Stage[tuple[Order, Backend]]):
    """Makes `Ready` of an order, or reports why it is `Unfit`.

    Parameters
    ----------
    reports:
        Where it says what becomes of its orders.
    deliver:
        Called with what is ready, before it is reported.
    """

    def __init__(self, reports: Reports, deliver: Callable[[Ready], None]) -> None:
        super().__init__("preparing", reports)
        self._deliver = deliver

    def carry_out(self, order: tuple[Order, Backend]) -> None:
        """Prepare one job for one backend."""
        job, backend = order
        try:
            ready = _ready(job, backend)
        except StorageError as trouble:
            self.report(NotBegun(job, trouble))  # it waits: the storage is at fault, not the job
        except Exception as error:  # noqa: BLE001 - a stage outlives whatever a job or a driver does
            self.report(Unfit(job, as_error(error), traceback.format_exc()))
        else:
            self._deliver(ready)
            self.report(ready)


def _ready(order: Order, backend: Backend) -> Ready:
    prepared = run.prepare(order.bundle, order.default, backend.capabilities)
    before = _before(order, prepared)
    plan = backend.prepare(run.measurement(prepared, None if before is None else before.seed))
    return Ready(order, prepared, plan, backend, before)


def _before(order: Order, prepared: run.Prepared) -> Before | None:
    """Return what a paused job measured, if it can go on from there; else it starts over."""
    if not order.is_paused:
        return None
    before = order.before or _from_partial(order, prepared)
    if before is None or before.program_sha256 != prepared.sequence.program.sha256:
        _log.warning("%s starts over: what it measured before its pause does not fit", order.job_id)
        return None
    return before


def _from_partial(order: Order, prepared: run.Prepared) -> Before | None:
    if prepared.settings.keep_raw:
        return None  # a partial result has no raw traces
    data = Data(run.need_of(prepared))
    try:
        found = resume_point(order.home / PARTIAL)
        for batch in found.iq:
            data.append(batch, None)
    except (NotFoundError, UsageError):
        data.close()
        return None
    except StorageError:
        data.close()
        raise  # it is not seen: it may fit
    return Before(data, found.seed, found.program_sha256)
