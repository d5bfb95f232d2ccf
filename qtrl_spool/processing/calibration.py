"""A classifier from the data themselves: a Gaussian mixture, fitted to a sample of the points.

Expectation maximisation with a full covariance for each level, from several deterministic starts; the
most likely end counts. A covariance leans on the mean of all of them with the weight of ten points, so
that no level can shrink onto a few points. At most `N_SAMPLE` points of each readout are looked at,
spread over all batches, elements and triggers, the same ones each time.

A fit is not believed, and `fit` says why, if there are too few points, if two clouds are nearer to each
other than `MIN_DISTANCE` standard deviations, if a cloud is all but empty, or if one single Gaussian
does as well by the Bayesian information criterion.

Which cloud is which level: the assignment to given centres with the shortest way, if it is clear; else
level 0 is the cloud that most heralds (the first trigger) are found in; without a herald, the cloud that
most points are found in, and a note says so. The other levels follow by their share of the points.

Pure, without scipy. Known limit: a level that decays during the readout leaves a trail between two
clouds, which widens one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import ceil

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import BATCHED, Labelled

Floats = NDArray[np.float64]

N_SAMPLE = 10_000
MIN_POINTS = 100
"""Points that each level needs, on average."""
MIN_DISTANCE = 1.5
_FEWEST = 20
_PRIOR_POINTS = 10.0
_N_FIRST, _N_STARTS = 2_000, 4
_TOLERANCE, _MAX_ROUNDS = 1e-6, 200
_GOLDEN = 0.6180339887498949
_CLEAR = 0.3


@dataclass(frozen=True)
class Sample:
    """Some of the points of a job.

    Attributes
    ----------
    points:
        In the units of the points, float64; axes: readout, point, quadrature.
    trigger:
        The trigger of each point; axes: point.
    """

    points: Floats
    trigger: NDArray[np.int64]


@dataclass(frozen=True)
class Blobs:
    """A Gaussian mixture of one readout.

    Attributes
    ----------
    means:
        Axes: level, quadrature.
    covariances:
        Axes: level, quadrature, quadrature.
    shares:
        Share of the points; axes: level.
    log_likelihood:
        Natural logarithm of the likelihood of the sample.
    """

    means: Floats
    covariances: Floats
    shares: Floats
    log_likelihood: float = -np.inf


def sample(batch: Labelled, n_total: int) -> Sample:
    """Return some points of one batch, evenly spread, such that `N_SAMPLE` come together over the job.

    Parameters
    ----------
    batch:
        Axes: readout, repetition, …, quadrature; the last but one is trigger, if there are triggers.
    n_total:
        Repetitions of the whole job.
    """
    n_readouts, n_points = len(batch.values), int(np.prod(batch.values.shape[1:-1]))
    n_wanted = min(n_points, ceil(N_SAMPLE * batch.size(BATCHED) / max(n_total, 1)))
    every = np.arange(n_points) if n_wanted == n_points else _spread(n_wanted, n_points)
    n_triggers = batch.size("trigger") if "trigger" in batch.axes else 1
    points = batch.values.reshape(n_readouts, n_points, 2)[:, every].astype(np.float64)
    return Sample(points, every % n_triggers)


def _spread(n: int, n_points: int) -> NDArray[np.int64]:
    """Return `n` of `n_points` indices by the golden ratio: in step with no axis."""
    return (np.arange(n) * _GOLDEN % 1.0 * n_points).astype(np.int64)


def joined(samples: Sequence[Sample]) -> Sample:
    """Return the samples of several batches as one."""
    return Sample(
        np.concatenate([part.points for part in samples], axis=1),
        np.concatenate([part.trigger for part in samples]),
    )


def fit(points: Floats, n_levels: int, given: Floats | None) -> Blobs | str:
    """Return the mixture that explains the points best, its levels in no order, or why there is none.

    Parameters
    ----------
    points:
        Axes: point, quadrature; those that are not finite are left out.
    n_levels:
        How many clouds there are.
    given:
        Centres to start from, beside others; axes: level, quadrature.
    """
    good = points[np.isfinite(points).all(axis=1)]
    if len(good) < MIN_POINTS * n_levels:
        return f"{len(good)} points are too few for {n_levels} levels"
    if np.linalg.matrix_rank(good - good.mean(axis=0)) < 2:
        return "the points lie on a line"
    first = good[_spread(min(_N_FIRST, len(good)), len(good))]
    ends = [_climbed(first, start, max_rounds=30) for start in _starts(first, n_levels, given)]
    best = max(ends, key=lambda blobs: blobs.log_likelihood)
    if _gain(first, best) < 0:
        return _one_cloud(n_levels)
    found = _climbed(good, replace(best, log_likelihood=-np.inf), max_rounds=_MAX_ROUNDS)
    return _doubt(good, found) or found


def _starts(points: Floats, n_levels: int, given: Floats | None) -> Iterator[Blobs]:
    """Yield mixtures to begin with: the given centres, and points that lie far from each other."""
    covariances = np.repeat(np.cov(points.T)[None] / n_levels, n_levels, axis=0)
    shares = np.full(n_levels, 1 / n_levels)
    if given is not None:
        yield Blobs(given, covariances, shares)
    random = np.random.default_rng(0)
    for _ in range(_N_STARTS):
        means = points[random.integers(len(points))][None]
        while len(means) < n_levels:
            away = ((points[:, None] - means) ** 2).sum(axis=2).min(axis=1)
            means = np.vstack([means, points[random.choice(len(points), p=away / away.sum())]])
        yield Blobs(means, covariances, shares)


def _climbed(points: Floats, blobs: Blobs, max_rounds: int) -> Blobs:
    """Return the mixture after as many rounds as make it more likely."""
    for _ in range(max_rounds):
        belonging, log_likelihood = _belonging(points, blobs)
        if log_likelihood - blobs.log_likelihood < _TOLERANCE * len(points):
            return replace(blobs, log_likelihood=log_likelihood)
        blobs = replace(_estimated(points, belonging), log_likelihood=log_likelihood)
    return blobs


def _belonging(points: Floats, blobs: Blobs) -> tuple[Floats, float]:
    """Return the probability that a point belongs to a level [level, point], and the log likelihood."""
    log = np.stack(
        [
            _log_density(points, mean, covariance) + np.log(share)
            for mean, covariance, share in zip(blobs.means, blobs.covariances, blobs.shares, strict=True)
        ]
    )
    most = log.max(axis=0)
    ratio = np.exp(log - most)
    total = ratio.sum(axis=0)
    return ratio / total, float((most + np.log(total)).sum())


def _log_density(points: Floats, mean: Floats, covariance: Floats) -> Floats:
    (a, b), (_, c) = np.linalg.inv(covariance)
    i, q = (points - mean).T
    distance = i * (a * i + 2 * b * q) + c * q * q
    return np.asarray(-0.5 * distance - 0.5 * np.log(np.linalg.det(covariance)) - np.log(2 * np.pi))


def _estimated(points: Floats, belonging: Floats) -> Blobs:
    """Return the mixture of points that belong to the levels with these probabilities."""
    n = belonging.sum(axis=1) + 1e-9
    means = belonging @ points / n[:, None]
    away = points - means[:, None]
    scatter = np.swapaxes(away * belonging[..., None], 1, 2) @ away
    common = scatter.sum(axis=0) / n.sum()
    covariances = (scatter + _PRIOR_POINTS * common) / (n + _PRIOR_POINTS)[:, None, None]
    return Blobs(means, covariances, n / n.sum())


def _gain(points: Floats, blobs: Blobs) -> float:
    """Return by how much the mixture is better than one single Gaussian, by their information criteria."""
    n, n_levels = len(points), len(blobs.means)
    _, alone = _belonging(points, _estimated(points, np.ones((1, n))))
    return float(2 * (blobs.log_likelihood - alone) - 6 * (n_levels - 1) * np.log(n))


def _one_cloud(n_levels: int) -> str:
    return f"the points form one cloud, not {n_levels}"


def _doubt(points: Floats, blobs: Blobs) -> str | None:
    """Return why the mixture should not be believed, or None."""
    n, n_levels = len(points), len(blobs.means)
    if _gain(points, blobs) < 0:
        return _one_cloud(n_levels)
    if (blobs.shares * n).min() < _FEWEST:
        return "one of the clouds is all but empty"
    nearest = distances(blobs)[np.triu_indices(n_levels, 1)].min()
    if nearest < MIN_DISTANCE:
        return f"two clouds are only {nearest:.1f} standard deviations apart"
    return None


def distances(blobs: Blobs) -> Floats:
    """Return how far the clouds lie apart, in standard deviations along the way; axes: level, level."""
    away = blobs.means[:, None] - blobs.means
    length = np.linalg.norm(away, axis=2) + 1e-300
    along = away / length[..., None]
    mean = (blobs.covariances[:, None] + blobs.covariances) / 2
    return np.asarray(length / np.sqrt(np.einsum("kli,klij,klj->kl", along, mean, along) + 1e-300))


def order(blobs: Blobs, given: Floats | None, heralds: Floats) -> tuple[Blobs, bool]:
    """Return the mixture with its levels in order, and whether something in the data or given tells it.

    Parameters
    ----------
    blobs:
        Of one readout.
    given:
        Centres of the levels as configured, or None; axes: level, quadrature.
    heralds:
        Points of the herald trigger, none if there is no herald; axes: point, quadrature.
    """
    nearest = None if given is None else _nearest(blobs, given)
    if nearest is not None:
        return _in_order(blobs, nearest), True
    by_share = [int(level) for level in np.argsort(-blobs.shares)]
    if not len(heralds):
        return _in_order(blobs, by_share), False
    belonging, _ = _belonging(heralds, blobs)
    ground = int(belonging.sum(axis=1).argmax())
    return _in_order(blobs, [ground, *(level for level in by_share if level != ground)]), True


def _nearest(blobs: Blobs, given: Floats) -> list[int] | None:
    """Return the assignment to the given centres with the shortest way; None if it is not clear."""
    ways = sorted(
        (float(np.linalg.norm(blobs.means[list(levels)] - given, axis=1).sum()), levels)
        for levels in permutations(range(len(given)))
    )
    apart = np.linalg.norm(blobs.means[:, None] - blobs.means, axis=2)
    between = float(apart[np.triu_indices(len(given), 1)].min())
    if ways[1][0] - ways[0][0] < _CLEAR * 2 * between:
        return None
    return list(ways[0][1])


def _in_order(blobs: Blobs, levels: list[int]) -> Blobs:
    return replace(
        blobs,
        means=blobs.means[levels],
        covariances=blobs.covariances[levels],
        shares=blobs.shares[levels],
    )
