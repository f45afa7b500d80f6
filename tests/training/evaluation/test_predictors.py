"""Predictors on processes whose entropy is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from training.evaluation.predictors import (
    adaptive_prediction,
    following_scale,
    frequencies,
    levinson,
    logistic_bits,
    predicted,
    predictors,
)
from training.evaluation.steps import Array, Steps, even_steps, mu_law_steps

RATE = 16000
POLES = ((1.6, -0.9), (-0.5, -0.8))  # x[n] = a x[n - 1] + b x[n - 2] + noise
SCALE = 0.004


def noise(size: int, seed: int = 0, scale: float = SCALE) -> Array:
    return np.random.default_rng(seed).logistic(0, scale, size)


def resonant(size: int, poles: tuple[float, float], seed: int = 0) -> Array:
    found: Array = lfilter([1], [1, -poles[0], -poles[1]], noise(size, seed))
    return found


def entropy(scale: float, steps: Steps, sound: Array) -> float:
    """Bits of a step, the noise being logistic: its entropy is ln(scale) + 2 nats, and a step of
    `width` tells log2(width) bits less."""
    widths = np.log2(steps.widths()[steps.numbers(sound)])
    return float((np.log(scale) + 2) / np.log(2) - widths.mean())


def bits(sound: Array, steps: Steps, fitted: Array | None = None) -> dict[str, float]:
    rows = predictors([sound if fitted is None else fitted], RATE, steps)
    return {name: float(cost(sound)[RATE // 2 :].mean()) for name, cost in rows.items()}


@pytest.mark.parametrize("poles", POLES)
def test_the_entropy_of_an_ar_process_is_reached(poles: tuple[float, float]) -> None:
    steps = even_steps(4097)
    sound = resonant(4 * RATE, poles)
    least = entropy(SCALE, steps, sound)
    found = bits(sound, steps)
    assert found["fixed"] == pytest.approx(least, abs=0.02)
    # A scale that follows is a little off at any time.
    assert least - 0.01 < found["following"] < least + 0.06
    # So are taps that know 40 ms: 32 numbers from some 300 effective samples.
    assert least < found["adaptive"] < least + 0.25
    assert found["unigram"] > least + 0.5  # which does not know the past


def test_white_noise_costs_its_entropy_whoever_predicts() -> None:
    """In steps of different widths too."""
    steps, sound = mu_law_steps(), noise(8 * RATE, scale=0.05)
    least = entropy(0.05, steps, sound)
    found = bits(sound, steps)
    assert found["fixed"] == pytest.approx(least, abs=0.03)
    assert found["unigram"] == pytest.approx(least, abs=0.03)
    assert least < found["adaptive"] < least + 0.3


def test_frequencies_cost_the_entropy_of_a_chain() -> None:
    rng = np.random.default_rng(1)
    after = rng.dirichlet(np.full(8, 0.4), 8)
    numbers = [0]
    for place in rng.random(60000):
        numbers.append(int(np.searchsorted(np.cumsum(after[numbers[-1]]), place)))
    often = np.linalg.matrix_power(after, 200)[0]
    rate = float(-(often[:, None] * after * np.log2(after)).sum())
    sound = even_steps(8).values[np.minimum(numbers, 7)]
    found = bits(sound, even_steps(8))
    assert found["bigram"] == pytest.approx(rate, abs=0.02)
    assert found["unigram"] == pytest.approx(float(-(often * np.log2(often)).sum()), abs=0.02)


def test_only_the_adaptive_one_follows_a_filter_that_changes() -> None:
    """From one set of poles to the other and back, each half a second."""
    parts = [resonant(RATE // 2, POLES[i % 2], i) for i in range(8)]
    sound = np.concatenate(parts)
    steps = even_steps(4097)
    found, least = bits(sound, steps), entropy(SCALE, steps, sound)
    assert least < found["adaptive"] < least + 0.35
    assert found["following"] > least + 0.5


def test_a_scale_follows_what_is_loud_and_soft() -> None:
    loud = np.repeat(np.tile([1.0, 0.05], 4), RATE // 2)
    sound = noise(len(loud), scale=0.05) * loud
    found = bits(sound, mu_law_steps())
    assert found["following"] < found["fixed"] - 0.2


def test_what_is_predicted_never_knows_the_present() -> None:
    sound = resonant(RATE // 4, POLES[0])
    other = sound.copy()
    at = 2345
    other[at:] += 0.3
    taps = np.linspace(1, 0, 32) / 40
    for guess in (lambda x: predicted(x, taps), lambda x: adaptive_prediction(x, RATE),
                  lambda x: following_scale(x, 0.99, 0.5, 1e-4)):
        before, after = guess(sound), guess(other)
        assert before.shape == sound.shape
        assert np.allclose(before[: at + 1], after[: at + 1], atol=1e-9)
        assert not np.allclose(before[at + 1 : at + 50], after[at + 1 : at + 50], atol=1e-3)


def test_levinson_solves_the_normal_equations() -> None:
    from scipy.linalg import solve_toeplitz

    products = np.stack([np.correlate(x, x, "full")[len(x) - 1 :][:9] for x in
                         np.random.default_rng(2).standard_normal((5, 40))])
    for row, taps in zip(products, levinson(products), strict=True):
        assert np.allclose(taps, solve_toeplitz(row[:8], row[1:]))


@pytest.mark.parametrize("steps", [mu_law_steps(), even_steps(16)])
@pytest.mark.parametrize(("centre", "scale"), [(0.0, 1e-5), (0.3, 0.1), (-2.0, 0.01)])
def test_logistic_probabilities_sum_to_one(steps: Steps, centre: float, scale: float) -> None:
    numbers = np.arange(len(steps))
    each = 2.0 ** -logistic_bits(np.full(len(steps), centre), scale, steps, numbers)
    assert each.sum() == pytest.approx(1, abs=1e-6)


def test_frequencies_are_probabilities() -> None:
    chances, after = frequencies([np.array([0, 1, 1, 2]), np.array([2])], 4)
    assert chances.sum() == pytest.approx(1)
    assert np.allclose(after.sum(axis=1), 1)
    assert after[1, 1] > after[3, 1] > after[3, 3] > 0


def test_ten_seconds_and_silence_have_finite_bits() -> None:
    for sound in (np.zeros(RATE), np.r_[np.zeros(RATE // 2), np.ones(RATE // 2)]):
        for cost in predictors([sound], RATE, mu_law_steps()).values():
            found = cost(sound)
            assert found.shape == sound.shape
            assert np.isfinite(found).all()
