"""Whether a generator of loops obeys: what it was asked for beside what is measured in its sounds,
and whether its code says which loop it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]

LEAST_DRAWS = 5  # of which a rank correlation says anything


def knob_response(asked: Mapping[str, NDArray[Any]], measured: Mapping[str, NDArray[Any]]
                  ) -> dict[str, dict[str, float | str | None]]:
    """Of each knob of `asked` [draws] that is measured: `spearman` with its own measure; `slope`,
    of measured on asked, by least squares; `cross_talk`, the largest absolute rank correlation
    with the measure of another knob, and which one, `into`.

    Knobs may have been drawn together: ranks are fitted by those of all knobs at once, so that what
    two of them have in common by chance counts for neither. Of a knob that is moved alone, its
    figures are plain rank correlations."""
    names = list(asked)
    draws = {len(row) for row in (*asked.values(), *measured.values())}
    if len(draws) != 1 or min(draws) < LEAST_DRAWS:
        raise ValueError(f"asked and measured values are one for each draw, {LEAST_DRAWS} at least")
    causes = np.stack([_ranks(np.asarray(asked[name])) for name in names], axis=1)
    effects = {name: np.asarray(row, np.float64) for name, row in measured.items()}
    found: dict[str, dict[str, float | str | None]] = {}
    shares = {name: _shares(causes, row) for name, row in effects.items()}
    for index, name in enumerate(names):
        if name not in effects:
            continue
        others = {other: abs(share[index]) for other, share in shares.items() if other != name}
        into = max(others, key=lambda other: others[other]) if others else None
        found[name] = {"spearman": float(shares[name][index]),
                       "slope": _slope(np.asarray(asked[name], np.float64), effects[name]),
                       "cross_talk": float(others[into]) if into else None, "into": into}
    return found


def _ranks(values: NDArray[Any]) -> Array:
    """Ranks about 0 with variance 1; zeros where all are one."""
    from scipy.stats import rankdata

    ranks = rankdata(values) - (len(values) + 1) / 2
    spread = ranks.std()
    return np.asarray(ranks / spread if spread > 0 else ranks * 0.0, np.float64)


def _shares(causes: Array, effect: Array) -> Array:
    """How much ranks of `effect` [draws] go with each of `causes` [draws, knobs], the others held:
    [knobs]. Draws without a measure are left out."""
    known = np.isfinite(effect)
    if known.sum() < LEAST_DRAWS:
        return np.zeros(causes.shape[1])
    return np.asarray(np.linalg.lstsq(causes[known], _ranks(effect[known]), rcond=None)[0])


def _slope(asked: Array, measured: Array) -> float | None:
    """Of the line that fits best."""
    known = np.isfinite(measured)
    spread = float(np.var(asked[known])) if known.any() else 0.0
    if not spread > 0:
        return None
    x, y = asked[known] - asked[known].mean(), measured[known] - measured[known].mean()
    return float((x * y).mean()) / spread


def code_rank(made: Array, real: Array) -> float | None:
    """Where a loop's own rhythm comes among all when those are ordered by how like they are to what
    was made from its code: mean share of other loops that are more like it. 0: its own is always
    the first; 0.5: chance. `made` and `real` [loops, STEPS], in one order; likeness is correlation
    of profiles less their collection's mean, ties count half. None for a single loop."""
    if made.shape != real.shape:
        raise ValueError(f"profiles of {len(made)} made and {len(real)} real loops do not pair")
    count = len(real)
    if count < 2:
        return None
    a, b = (_directions(rows) for rows in (made, real))
    likeness = a @ b.T  # [made, real]
    own = np.diag(likeness)[:, None]
    near = np.isclose(likeness, own, rtol=0, atol=1e-12)
    more = ((likeness > own) & ~near).sum() + 0.5 * (near.sum() - count)
    return float(more) / (count * (count - 1))


def _directions(profiles: Array) -> Array:
    """Rows less the mean row, then less their own mean, of length 1; zeros stay zeros."""
    centred = profiles - profiles.mean(axis=0)
    centred = centred - centred.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(length > 1e-12, length, 1.0)
