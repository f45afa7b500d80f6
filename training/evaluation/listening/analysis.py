"""What the ratings say: who is left out, means and differences with 95 % intervals.

Listeners and sounds are both samples of more. The variance of a mean over L listeners and T sounds
comes from the mean squares of the crossed layout, (MS_L + MS_T - MS_E) / LT, with Satterthwaite's
degrees of freedom; with enough of both the interval is a percentile bootstrap that draws listeners
and sounds anew (Owen 2007, "The pigeonhole bootstrap"), which knows that the scale ends at 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from engine.errors import TudorError
from training.evaluation.listening.answers import Answer, Key
from training.evaluation.listening.formats import MODEL, REFERENCE

Ratings = NDArray[np.float64]
LEAST_REFERENCE, MOST_MISSED = 90.0, 0.15  # BS.1534: below 90 in more than 15 % of the trials
CONFIDENCE = 0.95
ENOUGH = 8  # listeners, and sounds, for the bootstrap
DRAWS = 4000


class Interval(NamedTuple):
    """A mean; None for bounds or p where a single rating says nothing of them."""

    mean: float
    low: float | None
    high: float | None
    p: float | None  # that a mean this far from 0 comes by chance


def analyse(answers: Sequence[Answer], key: Key) -> dict[str, Any]:
    """Plain data: what JSON, tables and picture share."""
    systems = list(key.systems)
    reference = systems.index(next(name for name in systems if key.systems[name] == REFERENCE))
    kept, excluded = screen(answers, reference)
    if not kept:
        raise TudorError(f"none of {len(answers)} listeners is left: each rated the hidden "
                         f"reference below {LEAST_REFERENCE:g} in more than {MOST_MISSED:.0%} of "
                         "the trials")
    ratings = np.stack([answer.ratings for answer in kept])  # [listeners, trials, systems]
    drawn = bootstrap(ratings) if min(ratings.shape[:2]) >= ENOUGH else None
    means = {name: interval(ratings[..., i], None if drawn is None else drawn[:, i])
             for i, name in enumerate(systems)}
    return {
        "test": key.test, "listeners": len(kept), "trials": ratings.shape[1],
        "excluded": excluded, "method": _method(ratings.shape[0], ratings.shape[1]),
        "systems": {name: {"kind": key.systems[name], "mean": means[name].mean,
                           "low": means[name].low, "high": means[name].high,
                           "by_listener": ratings[..., systems.index(name)].mean(axis=1).tolist()}
                    for name in sorted(systems, key=lambda name: -means[name].mean)},
        "pairs": pairs(ratings, drawn, systems, key.systems),
    }


def screen(answers: Sequence[Answer], reference: int) -> tuple[list[Answer], list[dict[str, Any]]]:
    """Those who heard the hidden reference, and who did not, with the number of trials."""
    kept, excluded = [], []
    for answer in answers:
        missed = int((answer.ratings[:, reference] < LEAST_REFERENCE).sum())
        if missed > MOST_MISSED * len(answer.ratings):
            excluded.append({"listener": answer.listener, "seed": answer.seed, "missed": missed,
                             "trials": len(answer.ratings)})
        else:
            kept.append(answer)
    return kept, excluded


def bootstrap(ratings: Ratings, draws: int = DRAWS, seed: int = 0) -> Ratings:
    """Means of samples with listeners and trials drawn anew: [draws, systems]."""
    rng = np.random.default_rng(seed)
    listeners, trials, _ = ratings.shape
    a = rng.multinomial(listeners, np.full(listeners, 1 / listeners), draws) / listeners
    b = rng.multinomial(trials, np.full(trials, 1 / trials), draws) / trials
    return np.einsum("dl,dt,lts->ds", a, b, ratings, optimize=True)


def interval(values: Ratings, drawn: Ratings | None = None) -> Interval:
    """Of the mean of values [listeners, trials]; bounds from `drawn` means, if given."""
    mean = float(values.mean())
    variance, freedom = variance_of_mean(values)
    if variance is None:
        return Interval(mean, None, None, None)
    if variance == 0:  # all alike: a chance of zero would be said too boldly
        return Interval(mean, mean, mean, None if mean else 1.0)
    error = float(np.sqrt(variance))
    p = float(2 * student.sf(abs(mean) / error, freedom))
    if drawn is not None:
        low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
        return Interval(mean, float(low), float(high), p)
    reach = error * float(student.ppf((1 + CONFIDENCE) / 2, freedom))
    return Interval(mean, mean - reach, mean + reach, p)


def variance_of_mean(values: Ratings) -> tuple[float | None, float]:
    """Of the mean of values [listeners, trials], and its degrees of freedom. With one listener or
    one trial it is over the others alone, and says nothing beyond it."""
    listeners, trials = values.shape
    if min(values.shape) == 1:
        count = values.size
        return (None, 0.0) if count == 1 else (float(values.var(ddof=1) / count), count - 1.0)
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + values.mean()
    freedom = np.array([listeners - 1.0, trials - 1.0, (listeners - 1.0) * (trials - 1.0)])
    squares = np.array([trials * rows.var(ddof=1), listeners * columns.var(ddof=1),
                        np.square(rest).sum() / freedom[2]])
    total = squares[0] + squares[1] - squares[2]
    larger = int(squares[1] > squares[0])
    if total <= squares[larger]:  # an estimate may come out below what one of them is alone
        return float(squares[larger] / values.size), float(freedom[larger])
    return (float(total / values.size),
            float(total**2 / np.sum(np.square(squares) / freedom)))


def pairs(
    ratings: Ratings, drawn: Ratings | None, systems: list[str], kinds: dict[str, str]
) -> list[dict[str, Any]]:
    """Differences between each model and everything else, each listener's with themself; p after
    Holm for all of them."""
    found: list[dict[str, Any]] = []
    for a, b in combinations(range(len(systems)), 2):
        if MODEL not in (kinds[systems[a]], kinds[systems[b]]):
            continue
        if kinds[systems[a]] != MODEL:
            a, b = b, a
        each = interval(ratings[..., a] - ratings[..., b],
                        None if drawn is None else drawn[:, a] - drawn[:, b])
        found.append({"a": systems[a], "b": systems[b], "difference": each.mean, "low": each.low,
                      "high": each.high, "p": each.p})
    for row, value in zip(found, holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = value
    return found


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """Adjusted for their number, step by step (Holm 1979); None stays, and counts."""
    order = sorted((i for i, p in enumerate(chances) if p is not None),
                   key=lambda i: chances[i] or 0.0)
    found: list[float | None] = [None] * len(chances)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * (chances[i] or 0.0)))
        found[i] = highest
    return found


def _method(listeners: int, trials: int) -> str:
    if min(listeners, trials) >= ENOUGH:
        return (f"bootstrap over listeners and sounds, {DRAWS} draws; p from the t distribution of "
                "the crossed layout, after Holm")
    if listeners == trials == 1:
        return "one rating: nothing is known of others"
    if 1 in (listeners, trials):
        one, over = ("listener", "sounds") if listeners == 1 else ("sound", "listeners")
        return f"t-interval over {over}: one {one}, nothing is known of others; p after Holm"
    return (f"t-interval of the crossed layout, as either is fewer than {ENOUGH}: "
            f"{listeners} listeners, {trials} sounds; p after Holm")
