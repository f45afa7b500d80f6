"""How many bits a sample costs a predictor that needs no network: what a model's are held against.

    unigram    how often each step comes
    bigram     ... after each other one
    fixed      32 taps for all sounds; the rest is logistic, of one scale
    following  the same; the scale follows how far off the last predictions were
    adaptive   32 taps for every 5 ms, of the 40 ms before; the scale follows

The first four are fitted to sounds, the last finds all but three numbers in the past of the very
sound, as a receiver could. None is meant to be played: the adaptive one oscillates when it hears
itself. Everything is told in `Steps`, and so is the past that a predictor sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.evaluation.steps import Array, Numbers, Steps

ORDER = 32
WINDOW_SECONDS, HOP_SECONDS = 0.04, 0.005  # of the adaptive predictor
# Keeps a silent window solvable: of r[0], a share and so much of full scale squared.
FLOOR_SHARE, FLOOR_POWER = 1e-4, 1e-6
FIXED_SHARE = 1e-6  # the same of the fixed predictor, which has heard more
LAG_HZ = 10.0  # every spectral line is smeared by so much; 0 to 30 differ by .05 bit on a violin
SMALL_SHARE = 1e-3  # of the probability is spread evenly: nothing costs more than 18 bits
SCALES = np.geomspace(1e-4, 0.1, 40)
# How much of the mean error is kept each sample, how much of it is the scale, and the least scale.
FOLLOWING = tuple(product((0.98, 0.99, 0.995), (0.4, 0.55, 0.7), (2e-4, 5e-4)))
TUNED_SECONDS, TUNED_PIECES = 16.0, 8  # of sound by which scales are chosen, from all over it
SEEN_BEFORE = 20.0  # times that a bigram takes a step to have followed as it does on average

Cost = Callable[[NDArray[Any]], Array]  # audio [samples] -> bits [samples]


def predictors(sounds: Sequence[NDArray[Any]], rate_hz: int, steps: Steps) -> dict[str, Cost]:
    """By name, fitted to sounds [samples] each."""
    numbers = [steps.numbers(sound) for sound in sounds]
    heard = [steps.values[each] for each in numbers]
    some = _stretches(heard, round(TUNED_SECONDS / TUNED_PIECES * rate_hz))
    taps = fixed_taps(heard)
    known = [(predicted(x, taps), steps.numbers(x)) for x in some]
    scale = min(SCALES, key=lambda scale: _mean(
        logistic_bits(centre, scale, steps, each) for centre, each in known))
    following = _best_following(some, lambda x: predicted(x, taps), steps)
    adaptive = _best_following(some, lambda x: adaptive_prediction(x, rate_hz), steps)
    chances, after = frequencies(numbers, len(steps))

    def cost(predict: Callable[[Array], Array], scales: Callable[[Array, Array], Any]) -> Cost:
        def bits(audio: NDArray[Any]) -> Array:
            x = steps.heard(audio)
            centre = predict(x)
            return logistic_bits(centre, scales(x, centre), steps, steps.numbers(audio))

        return bits

    return {
        "unigram": lambda audio: -np.log2(chances[steps.numbers(audio)]),
        "bigram": lambda audio: _bigram_bits(steps.numbers(audio), chances, after),
        "fixed": cost(lambda x: predicted(x, taps), lambda x, centre: scale),
        "following": cost(lambda x: predicted(x, taps),
                          lambda x, centre: following_scale(x - centre, *following)),
        "adaptive": cost(lambda x: adaptive_prediction(x, rate_hz),
                         lambda x, centre: following_scale(x - centre, *adaptive)),
    }


def _stretches(sounds: Sequence[Array], samples: int) -> list[Array]:
    """`TUNED_PIECES` of so many samples each, spread over the sounds as they follow each other."""
    whole = np.concatenate(list(sounds))
    starts = np.linspace(0, max(0, len(whole) - samples), TUNED_PIECES).astype(int)
    return [whole[start : start + samples] for start in starts]


def _mean(parts: Iterable[Array]) -> float:
    return float(np.concatenate(list(parts)).mean())


def _best_following(sounds: Sequence[Array], predict: Callable[[Array], Array], steps: Steps
                    ) -> tuple[float, float, float]:
    """The row of `FOLLOWING` that costs least."""
    known = [(x, predict(x), steps.numbers(x)) for x in sounds]
    return min(FOLLOWING, key=lambda row: _mean(
        logistic_bits(centre, following_scale(x - centre, *row), steps, numbers)
        for x, centre, numbers in known))


# --- how often ------------------------------------------------------------------------------------


def frequencies(sounds: Sequence[Numbers], count: int) -> tuple[Array, Array]:
    """Probability of every step [count], and of every step after each [count, count]."""
    single, pairs = np.full(count, 0.5), np.zeros((count, count))
    for numbers in sounds:
        single += np.bincount(numbers, minlength=count)
        places = numbers[:-1] * count + numbers[1:]
        pairs += np.bincount(places, minlength=count * count).reshape(count, count)
    chances = single / single.sum()
    after = (pairs + SEEN_BEFORE * chances) / (pairs.sum(axis=1, keepdims=True) + SEEN_BEFORE)
    return chances, after


def _bigram_bits(numbers: Numbers, chances: Array, after: Array) -> Array:
    first = -np.log2(chances[numbers[:1]])
    return np.concatenate([first, -np.log2(after[numbers[:-1], numbers[1:]])])


# --- linear prediction ----------------------------------------------------------------------------


def logistic_bits(centre: Array, scale: Any, steps: Steps, numbers: Numbers) -> Array:
    """Of steps `numbers` under logistic distributions around `centre`."""
    from scipy.special import expit

    low, high = ((steps.edges[numbers + side] - centre) / scale for side in (0, 1))
    # On the side where both are small, so that their difference is not lost.
    away = np.where(low > 0, -1.0, 1.0)
    inside = np.abs(expit(away * high) - expit(away * low))
    return -np.log2(inside * (1 - SMALL_SHARE) + SMALL_SHARE / len(steps))


def fixed_taps(sounds: Sequence[Array]) -> Array:
    """Those that fit all sounds best [ORDER], the first for the sample before."""
    from scipy.linalg import solve_toeplitz

    products = np.zeros(ORDER + 1)
    for x in sounds:
        products += [x[: max(0, len(x) - lag)] @ x[lag:] for lag in range(ORDER + 1)]
    products[0] = products[0] * (1 + FIXED_SHARE) + 1e-12
    taps: Array = solve_toeplitz(products[:ORDER], products[1:])
    return taps


def predicted(x: Array, taps: Array) -> Array:
    """What the taps make of the past of each sample."""
    past = np.concatenate([[0.0], x[:-1]])
    found: Array = np.convolve(past, taps)[: len(x)]
    return found


def following_scale(errors: Array, kept: float, share: float, least: float) -> Array:
    """The scale at each sample, from the errors before it."""
    from scipy.signal import lfilter

    mean = lfilter([1 - kept], [1, -kept], np.abs(errors))
    scale: Array = least + share * np.concatenate([[0.0], mean[:-1]])
    return scale


def adaptive_prediction(x: Array, rate_hz: int) -> Array:
    """As `predicted`, with taps for every `HOP_SECONDS` from the `WINDOW_SECONDS` before.

        window           |<- 40 ms, rising ->|
        predicted                             |<- 5 ms ->|
    """
    window, hop = round(WINDOW_SECONDS * rate_hz), max(1, round(HOP_SECONDS * rate_hz))
    count = -(-len(x) // hop)
    padded = np.concatenate([np.zeros(window), x, np.zeros(count * hop - len(x))])
    rising = np.hanning(2 * window)[:window]
    frames = sliding_window_view(padded[: window + (count - 1) * hop], window)[::hop] * rising
    size = 2 ** int(np.ceil(np.log2(window + ORDER + 1)))
    products = np.fft.irfft(np.square(np.abs(np.fft.rfft(frames, size))), size)[:, : ORDER + 1]
    products[:, 0] = products[:, 0] * (1 + FLOOR_SHARE) + FLOOR_POWER
    products *= np.exp(-0.5 * np.square(2 * np.pi * LAG_HZ / rate_hz * np.arange(ORDER + 1)))
    taps = levinson(products)
    # The past of every sample: [frames, hop, ORDER], the oldest first.
    past = sliding_window_view(padded[window - ORDER : -1], ORDER).reshape(count, hop, ORDER)
    found: Array = np.einsum("fho,fo->fh", past, taps[:, ::-1]).reshape(-1)[: len(x)]
    return found


def levinson(products: Array) -> Array:
    """Taps that predict best, for each of several sounds of autocorrelation `products`
    [sounds, order + 1]: [sounds, order]. Levinson's recursion, all sounds at once."""
    order = products.shape[1] - 1
    taps = np.zeros((len(products), order))
    power = products[:, 0].copy()
    for at in range(order):
        known = taps[:, :at]
        missing = products[:, at + 1] - (known * products[:, at:0:-1]).sum(axis=1)
        reflection = missing / power
        taps[:, :at] = known - reflection[:, None] * known[:, ::-1]
        taps[:, at] = reflection
        power *= 1 - np.square(reflection)
    return taps
