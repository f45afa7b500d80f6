"""Fits the polynomials of engine/core/vmath.inc and prints their coefficients: weighted least
squares on Chebyshev nodes, weights moved towards the largest error until it is level (Lawson).

    python tests/core/fit_polynomials.py
"""

from __future__ import annotations

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

mp.mp.dps = 40
Array = NDArray[np.float64]


def nodes(low: float, high: float, count: int) -> Array:
    angles = np.pi * (np.arange(count) + 0.5) / count
    return 0.5 * (low + high) + 0.5 * (high - low) * np.cos(angles)


def level(rows: Array, wanted: Array, rounds: int = 60) -> tuple[float, Array]:
    """Coefficients whose largest error is about the smallest possible, and that error."""
    weights = np.full(len(wanted), 1 / len(wanted))
    best = (np.inf, np.zeros(rows.shape[1]))
    for _ in range(rounds):
        root = np.sqrt(weights)
        c = np.linalg.lstsq(rows * root[:, None], wanted * root, rcond=None)[0]
        error = np.abs(wanted - rows @ c)
        if error.max() < best[0]:
            best = float(error.max()), c
        weights = weights * error
        weights /= weights.sum()
    return best


def exp_tail() -> tuple[float, Array]:
    """(e^r - 1 - r) / r^2 on |r| <= ln2 / 2, error relative to e^r."""
    r = nodes(*(s * float(mp.log(2)) / 2 * 1.0005 for s in (-1, 1)), 400)
    rows = np.stack([r ** (k + 2) / np.exp(r) for k in range(5)], 1)
    return level(rows, np.array([float((mp.expm1(mp.mpf(v)) - mp.mpf(v)) / mp.e**v) for v in r]))


def sine_tail() -> tuple[float, Array]:
    """(sin r - r) / r^3 in r^2 on [0, pi / 2], relative error."""
    r = nodes(1e-3, float(mp.pi) / 2 * 1.0005, 400)
    rows = np.stack([r ** (2 * k + 3) / np.sin(r) for k in range(4)], 1)
    return level(rows, np.array([float((mp.sin(mp.mpf(v)) - mp.mpf(v)) / mp.sin(v)) for v in r]))


def log_tail() -> tuple[float, Array]:
    """(2 artanh s - 2 s) / s^3 in s^2 on [0, 1 / 3], relative error. With s = (m - 1) / (m + 1) the
    function is log m: of a mantissa, and of 1 + t for t up to 1."""
    s = nodes(1e-3, 1 / 3 * 1.0005, 400)
    whole = np.array([float(2 * mp.atanh(mp.mpf(v))) for v in s])
    rows = np.stack([s ** (2 * k + 3) / whole for k in range(4)], 1)
    return level(rows, np.array([float((2 * mp.atanh(mp.mpf(v)) - 2 * mp.mpf(v))
                                       / (2 * mp.atanh(mp.mpf(v)))) for v in s]))


def tanh_ratio(limit: float = 8.5, p: int = 4, q: int = 4) -> tuple[float, Array, Array]:
    """tanh(x) / x = P(x^2) / Q(x^2), relative error; linearised anew with each round's Q (Loeb)."""
    x = nodes(1e-3, limit, 1500)
    t = np.array([float(mp.tanh(mp.mpf(v)) / v) for v in x])
    z, below, weights = (x / limit) ** 2, np.ones_like(x), np.ones_like(x)
    best = (np.inf, np.zeros(p + 1), np.zeros(q + 1))
    for turn in range(80):
        scale = np.sqrt(weights) / (below * t)
        columns = [z**k for k in range(p + 1)] + [-t * z**k for k in range(1, q + 1)]
        c = np.linalg.lstsq(np.stack(columns, 1) * scale[:, None], t * scale, rcond=None)[0]
        above = sum(c[k] * z**k for k in range(p + 1))
        below = 1 + sum(c[p + k] * z**k for k in range(1, q + 1))
        error = np.abs(above / below / t - 1)
        if error.max() < best[0]:
            powers = limit ** (2.0 * np.arange(max(p, q) + 1))
            best = (float(error.max()), c[: p + 1] / powers[: p + 1],
                    np.concatenate([[1.0], c[p + 1 :] / powers[1 : q + 1]]))
        if turn > 5:
            weights = weights * np.maximum(error, 1e-14)
            weights /= weights.sum()
    return best


if __name__ == "__main__":
    for name, fit in (("exp", exp_tail()), ("sin", sine_tail()), ("log", log_tail()),
                      ("tanh", tanh_ratio())):
        print(name, f"error {fit[0]:.2g}")
        for coefficients in fit[1:]:
            print("   ", " ".join(f"{c:.9g}" for c in coefficients))
