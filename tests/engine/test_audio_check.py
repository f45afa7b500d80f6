"""The one check of sound: every kind of finding, however the sound is cut into blocks."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine.audio_check import AudioCheck, heard

RATE = 16000


def noise(level: float = 0.1, channels: int = 1, frames: int = RATE, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((frames, channels))).astype(np.float32)


def with_samples(sound: np.ndarray, *values: float) -> np.ndarray:
    sound[100 : 100 + len(values), 0] = values
    return sound


def turned(sound: np.ndarray, keep: float) -> np.ndarray:
    """Two channels in opposite phase, but for a share of the sound that is in neither's way."""
    other = noise(seed=9)
    return np.concatenate((sound + keep * other, keep * other - sound), axis=1)


SOUNDS = {
    "good": (noise(), None, []),
    "stereo": (noise(channels=2), 1, []),
    "six": (noise(channels=6), 1, []),
    "one of six": (noise(channels=6) * np.float32([0, 0, 0, 1, 0, 0]), 1, []),
    "one side": (noise(channels=2) * np.float32([1, 0]), 1, []),
    "empty": (noise(frames=0), None, ["empty"]),
    "single": (noise(frames=1), None, ["short"]),
    "silence": (0 * noise(), None, ["silent"]),
    "dither": (np.sign(noise()) / 32768, None, ["silent"]),
    "offset": (0 * noise() + np.float32(0.3), None, ["silent"]),
    "quiet": (np.clip(noise(1e-3), -1, 1), None, []),
    "nan": (with_samples(noise(), np.nan, np.inf, -np.inf), None, ["not-finite"]),
    "all nan": (noise() * np.float32(np.nan), None, ["not-finite"]),
    "int16": (noise(0.1) * 32768, None, ["beyond-scale"]),
    "int24": (noise(0.1) * 2**23, None, ["beyond-scale"]),
    "one 1e30": (with_samples(noise(), 1e30), None, ["beyond-scale"]),
    "many 1e30": (noise() * np.float32(1e30), None, ["beyond-scale"]),
    "loud": (noise(2.0).clip(-7, 7), None, ["clipped"]),
    "square": (np.sign(noise()), None, ["clipped"]),
    "cancels": (turned(noise(), 0), 1, ["cancels"]),
    "cancels, kept apart": (turned(noise(), 0), 2, []),
    "cancels, not mixed": (turned(noise(), 0), None, []),
    "folded": (turned(noise(), 0.2), 1, ["folded"]),
    "both": (with_samples(turned(noise(), 0.2), np.nan), 1, ["not-finite", "folded"]),
}


@pytest.mark.parametrize("block", [RATE, 1000, 97])
@pytest.mark.parametrize("name", SOUNDS)
def test_kinds_are_found_whatever_the_blocks(name, block):
    sound, channels, kinds = SOUNDS[name]
    whole, check = AudioCheck(channels), AudioCheck(channels)
    whole.add(sound)
    for at in range(0, len(sound), block):
        check.add(sound[at : at + block])
    assert [finding.kind for finding in check.findings()] == kinds
    assert [finding.text for finding in whole.findings()] == [
        finding.text for finding in check.findings()]
    assert check.frames == len(sound)
    unusable = [kind for kind in kinds if kind not in ("clipped", "folded")]
    assert (check.unusable.kind if check.unusable else None) == (unusable or [None])[0]


@pytest.mark.parametrize(("name", "says"), [
    ("nan", "holds 3 samples that are no numbers"),
    ("int16", r"is at integer scale \(peak .*\); divide it by 32768"),
    ("int24", r"divide it by 8388608"),
    ("one 1e30", r"holds 1 sample far beyond full scale \(peak 1e\+30"),
    ("many 1e30", r"holds \d+ samples far beyond"),
    ("dither", r"nothing above -80 dBFS"),
    ("offset", r"a constant offset of 0.3"),
    ("folded", r"mixing its 2 channels to one loses 14 dB"),
    ("square", "100.0 % of its samples"),
])
def test_texts_name_what_was_found(name, says):
    sound, channels, _ = SOUNDS[name]
    check = AudioCheck(channels)
    check.add(sound)
    (finding,) = check.findings()
    assert re.search(says, finding.text), finding.text


def test_the_loss_of_mixing_is_measured_in_decibels():
    """Equal channels lose nothing, unrelated ones 3 dB, a share k in common of two opposite ones
    as much as it is of the whole."""
    for sound, wanted in ((np.repeat(noise(), 2, axis=1), 0.0), (noise(channels=2), 3.0),
                          (turned(noise(), 0.2), 10 * np.log10(1.04 / 0.04))):
        check = AudioCheck(1)
        check.add(sound)
        assert check.fold_loss_db == pytest.approx(wanted, abs=0.2)


def test_what_is_heard_of_a_sound_that_is_played_anyway():
    sound = with_samples(noise(), np.nan, 1e30, -1e30, 20).T
    audio, notes = heard(sound, "a.wav", 1)
    assert audio[0, 100:104].tolist() == [0, 8, -8, 8]
    assert np.array_equal(np.delete(audio, range(100, 104)), np.delete(sound, range(100, 104)))
    assert notes == [
        "a.wav holds 1 sample that is no number: silence instead",
        "a.wav holds 3 samples far beyond full scale (peak 1e+30, full scale is 1); repair them; "
        "held to ±8 here"]


def test_mixing_is_told_once_and_how_to_keep_channels_apart():
    for sound, start in ((noise(channels=6), "a.wav: 6 channels mixed to one (--stereo"),
                         (turned(noise(), 0.2), "a.wav: mixing its 2 channels to one loses 14"),
                         (turned(noise(), 0), "a.wav: its 2 channels cancel out")):
        audio, notes = heard(sound.T, "a.wav", 1, "--stereo keeps them")
        assert np.array_equal(audio, sound.T)
        (note,) = notes
        assert note.startswith(start)
        assert "--stereo keeps them" in note
    assert heard(noise(channels=2).T, "a.wav", 2)[1] == []
    assert heard((0 * noise()).T, "a.wav", 1)[1] == ["a.wav is silent"]
