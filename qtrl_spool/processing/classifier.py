"""The step ``GMM``: points to levels, by a classifier that is configured or fitted to the data.

``means: fit``, or ``fit: true`` beside configured means, fits the clouds of each readout (see
`qtrl_spool.processing.calibration`). Configured means then say which cloud is which level, and stand
in, with a note, for a readout whose clouds cannot be told apart; without them that is an error. Fitted
shares are told but do not weigh: where the boundary lies must not depend on what the job did to the
qubit.

What a classifier was is kept with the result as plain data, one record for each readout (`record`), from
which `levels_at` finds the level of any point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, Batches, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import calibration, classification
from qtrl_spool.processing.calibration import Blobs, Sample
from qtrl_spool.processing.classification import Mixture
from qtrl_spool.processing.streams import Memory, end_to_end, gather, size
from qtrl_spool.processing.work import Work, note, points_of, put, rows_of

FIT = "fit"


def gmm(
    work: Work,
    *,
    means: Any,
    covariances: Any = None,
    weights: Any = None,
    fit: Any = False,
    n_levels: Any = None,
    input_name: Any = "Heterodyne",
    result_name: Any = "GMM",
) -> Work:
    """Label each point with its most likely level."""
    iq = points_of(work, input_name)
    given = None if means == FIT else _given(work, means, covariances, weights)
    n = _n_levels(n_levels, given)
    if not isinstance(fit, bool):
        raise ProcessingError(f"fit is {fit!r}, expected true or false")
    if fit or given is None:
        work, mixture, found = _fitted(work, iq, given, n)
    else:
        mixture, found = given, [None] * len(work.readouts)
    labels = gather(
        iq,
        lambda batch: classification.classify(batch, mixture),
        end_to_end,
        memory=work.memory,
        key=work.step,
    )
    rotation = work.rotations.get(str(input_name))
    records = {
        label: record(mixture, row, blobs, 0.0 if rotation is None else float(rotation[row]))
        for row, (label, blobs) in enumerate(zip(work.readouts, found, strict=True))
    }
    work = put(replace(work, n_levels=n, classifier=records), result_name, labels)
    return _report_lost(work, labels)


def _given(work: Work, means: Any, covariances: Any, weights: Any) -> Mixture:
    widths = None if covariances is None else rows_of(work, covariances, "covariances")
    priors = None if weights is None else rows_of(work, weights, "weights")
    return classification.mixture(rows_of(work, means, "means"), widths, priors)


def _n_levels(n_levels: Any, given: Mixture | None) -> int:
    n = n_levels if n_levels is not None else 2 if given is None else given.n_levels
    if not isinstance(n, int) or isinstance(n, bool) or not 2 <= n <= 6:
        raise ProcessingError(f"n_levels is {n_levels!r}, expected 2 to 6")
    if given is not None and n != given.n_levels:
        raise ProcessingError(f"n_levels is {n}, means have {given.n_levels} levels")
    return n


def _fitted(
    work: Work, iq: Batches, given: Mixture | None, n_levels: int
) -> tuple[Work, Mixture, list[Blobs | None]]:
    """Return the mixture of all readouts, and what was fitted of each (None if the given one stands in).

    What is gathered from here on depends on points that may still come: it is not kept for a next call.
    """
    if work.rehearsal:
        nowhere = Blobs(np.zeros((n_levels, 2)), np.stack([np.eye(2)] * n_levels), np.ones(n_levels))
        found: list[Blobs | None] = [nowhere] * len(work.readouts)
        return work, _mixture(found, given), found
    n_repetitions = size(iq, "repetition")
    points = gather(
        iq,
        lambda batch: calibration.sample(batch, n_repetitions),
        calibration.joined,
        memory=Memory(),
        key=work.step,
    )
    work = replace(work, memory=Memory())
    found = []
    for row, label in enumerate(work.readouts):
        centres = None if given is None else given.means[row]
        blobs = calibration.fit(points.points[row], n_levels, centres)
        if isinstance(blobs, str):
            work = note(work, _stand_in(label, blobs, given))
            found.append(None)
            continue
        ordered, is_told = calibration.order(blobs, centres, _heralds(points, row))
        if not is_told:
            sentence = f"level 0 of {label} is the larger cloud: no herald and no means tell which one it is"
            work = note(work, sentence)
        found.append(ordered)
    return work, _mixture(found, given), found


def _stand_in(label: str, why: str, given: Mixture | None) -> str:
    """Return the note that the configured classifier stands in."""
    if given is None:
        raise ProcessingError(
            f"means is 'fit', and {label} has no fit: {why}",
            hint="give means, which then stand in for what cannot be fitted",
        )
    return f"the classifier of {label} is not fitted: {why}; the configured one counts"


def _heralds(points: Sample, row: int) -> NDArray[np.float64]:
    """Return the finite points of the herald trigger of one readout; none if there is no herald."""
    has_herald = points.trigger.max(initial=0) > 0
    heralds = points.points[row][(points.trigger == 0) & has_herald]
    return np.asarray(heralds[np.isfinite(heralds).all(axis=1)])


def _mixture(found: list[Blobs | None], given: Mixture | None) -> Mixture:
    """Return the fitted rows, and the given ones where there is no fit; weights are never the fitted."""
    means, covariances, weights = [], [], []
    for row, blobs in enumerate(found):
        if given is not None:
            weights.append(np.exp(given.log_weights[row]))
        elif blobs is not None:
            weights.append(np.ones(len(blobs.means)))
        if blobs is not None:
            means.append(blobs.means)
            covariances.append(blobs.covariances)
        elif given is not None:
            means.append(given.means[row])
            covariances.append(np.linalg.inv(given.precisions[row]))
    return classification.mixture([each.ravel() for each in means], covariances, weights)


def record(mixture: Mixture, row: int, blobs: Blobs | None, rotation: float) -> dict[str, Any]:
    """Return the classifier of one readout as plain data.

    Returns
    -------
    dict
        ``rotation`` (rad, by which points were turned before), ``means`` and ``covariances`` (of the turned
        points), ``weights``, whether they were ``fitted``, and then the ``shares`` of the points and the
        ``distances`` between the clouds in standard deviations.
    """
    told = {
        "rotation": rotation,
        "means": mixture.means[row].tolist(),
        "covariances": np.linalg.inv(mixture.precisions[row]).tolist(),
        "weights": np.exp(mixture.log_weights[row]).tolist(),
        "fitted": blobs is not None,
    }
    if blobs is not None:
        told |= {"shares": blobs.shares.tolist(), "distances": calibration.distances(blobs).tolist()}
    return told


def levels_at(classifier: Mapping[str, Any], points: NDArray[Any]) -> NDArray[np.int8]:
    """Return the level of each point, as a classifier's `record` tells it.

    Parameters
    ----------
    classifier:
        Of one readout.
    points:
        As demodulated, before rotation: complex I + iQ of any shape.
    """
    blobs = classification.mixture(
        [np.ravel(classifier["means"])], [classifier["covariances"]], [classifier["weights"]]
    )
    turned = np.asarray(points) * np.exp(1j * classifier["rotation"])
    iq = np.stack([turned.real, turned.imag], axis=-1).reshape(1, 1, 1, -1, 2).astype(np.float32)
    return classification.classify(Labelled(iq, IQ_AXES), blobs).values.reshape(turned.shape)


def _report_lost(work: Work, labels: Labelled) -> Work:
    for label, row in zip(work.readouts, labels.values, strict=True):
        n_lost = int((row == classification.DISCARDED).sum())
        if n_lost:
            work = note(work, f"{n_lost} of {row.size} points of {label} are not finite: left out")
    return work
