"""A mono model in stereo: two streams of one instance, each side what a mono instrument plays."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.simulate_rack import STATES, Racked, events, play_rack
from tests.firmware.common_models import FloatArray, coder, generator, vae, wire
from tests.firmware.common_play import refusal
from tests.firmware.machines import assert_same_bits, machine

RATE = 48000
OFF, ON, AUTO = 0, 1, 2
NARROWED = 64
MAPPING = """way bend
knob1 latent 1
knob2 spread 2
knob3 swap
knob4 walk
cv1 latent 2
cv2 wet
gate1 freeze mode=toggle
gate2 record
gate3 reset
note jump
"""
RANGES = (-0.2, 0.2)
MODELS = [coder(4, 16, ranges=RANGES), coder(4, 32, 16000, ranges=RANGES),
          coder(6, 64, ranges=RANGES)]
HANDS = [
    *((0.05 + 0.04 * i, "knob", i % 4, (i * 37 % 100) / 100) for i in range(24)),
    *((0.06 + 0.05 * i, "cv", i % 2, (i * 53 % 100) / 100 - 0.5) for i in range(20)),
    (0.3, "gate", 0, 1.0), (0.31, "gate", 0, 0.0), (0.42, "gate", 0, 1.0), (0.43, "gate", 0, 0.0),
    (0.2, "gate", 1, 1.0), (0.55, "gate", 1, 0.0), (0.65, "midi", 0, 0x904864),
    (0.5, "select", 1, 0.0), (0.8, "select", 2, 0.0), (1.05, "gate", 2, 1.0),
    (1.2, "gate", 0, 1.0), (1.21, "gate", 0, 0.0)]


def sound(seconds: float = 1.4, seed: int = 1) -> FloatArray:
    """Two sides that differ, so quiet that no limiter listens to both."""
    x = np.random.default_rng(seed).standard_normal((2, round(seconds * RATE)))
    return (0.02 * x * np.array([[1.0], [0.6]])).astype(np.float32)


def play(models: list[bytes], mapping: str | None, audio: FloatArray, stereo: int = ON,
         rows: list[tuple[float, str, int, float]] = [], ins: int | None = None,  # noqa: B006
         **options: object) -> Racked:
    ins, outs = len(audio) if ins is None else ins, 1 if len(audio) == 1 else 2
    return play_rack(machine("native"), models, maps=[mapping] * len(models), audio=audio,
                     script=events(rows, RATE), channels=(ins, outs), stereo=stereo,
                     **options)  # type: ignore[arg-type]


def sides(models: list[bytes], mapping: str | None, audio: FloatArray,
          **options: object) -> tuple[Racked, Racked, Racked]:
    """Both sides in stereo, and each by itself in an instrument of one channel."""
    both = play(models, mapping, audio, **options)  # type: ignore[arg-type]
    each = [play(models, mapping, audio[i:i + 1], **options) for i in range(2)]  # type: ignore[arg-type]
    assert both.refused == ()
    assert (both.status["reduction"] == 1).all(), "a limiter that listens to both would differ"
    return both, each[0], each[1]


def same(both: Racked, left: Racked, right: Racked) -> None:
    assert both.audio.shape[0] == 2
    assert np.abs(both.audio).max(axis=1).min() > 1e-3, "silence proves nothing"
    assert not np.array_equal(both.audio[0], both.audio[1])
    assert_same_bits(both.audio[:1], left.audio)
    assert_same_bits(both.audio[1:], right.audio)


@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("block", [16, 48, 100, 256])
def test_each_side_is_what_a_mono_instrument_plays_of_it(block: int, overlap: int) -> None:
    """In all bits, under everything that hands do: both streams follow them alike."""
    both, left, right = sides(MODELS, MAPPING, sound(), rows=HANDS, block=block, overlap=overlap)
    same(both, left, right)
    assert set(both.status["slot"]) == {0, 1, 2}
    for bit, what in ((1, "frozen"), (2, "recorded"), (4, "looped")):
        assert (both.status["flags"] & bit).any(), f"nothing was {what}"
    assert set(both.status["streams"]) == {2}
    assert set(left.status["streams"]) == {1}
    assert np.array_equal(both.status["latent"], left.status["latent"]), "shown is the left one"


def test_an_effect_too() -> None:
    mapping = "way effect\nknob1 wet\nknob2 input\n"
    same(*sides([wire(16), wire(128, gain=-0.5)], mapping, sound(0.7),
                rows=[(0.1, "knob", 0, 0.7), (0.2, "knob", 1, 0.3), (0.3, "select", 1, 0.0)]))


def test_what_was_frozen_on_both_sides_is_there_again() -> None:
    rows, model = HANDS[:46], [MODELS[0]]
    first = sides(model, MAPPING, sound(0.7), rows=rows, save=True)
    assert all(run.status["flags"][-1] & 1 for run in first)
    other = sound(0.7, seed=2)
    second = [play(model, MAPPING, audio, restore=run.saved)
              for run, audio in zip(first, (other, other[:1], other[1:]), strict=True)]
    same(*second)
    assert all((run.status["flags"][5:] & 1).all() for run in second)
    # One stream takes what the left one held, two take what one held.
    once = play(model, MAPPING, other, OFF, restore=first[0].saved)
    assert np.array_equal(once.status["latent"][-1], second[0].status["latent"][-1])
    twice = play(model, MAPPING, other, ON, restore=first[1].saved)
    assert np.array_equal(twice.status["latent"][-1], second[0].status["latent"][-1])


def test_noise_is_another_on_the_right() -> None:
    audio = sound(0.5)
    audio[1] = audio[0]
    both, left, _ = sides([vae(RATE, 32)], "way effect\nknob1 output\n", audio,
                          rows=[(0.0, "knob", 0, 0.1)])
    assert_same_bits(both.audio[:1], left.audio)
    half = slice(RATE // 4, None)
    a, b = both.audio[:, half]
    assert np.abs(a - b).max() > 1e-4
    silent = play([coder(4, 16)], "way bend\n", audio)
    assert_same_bits(silent.audio[:1], silent.audio[1:])


def test_models_of_two_channels_play_as_before() -> None:
    for model, mapping in ((wire(16, channels=2), "way effect\n"),
                           (vae(RATE, 32, channels=2), None)):
        before, now = (play([model], mapping, sound(0.5), how) for how in (OFF, ON))
        assert_same_bits(now.audio, before.audio)
        assert now.slots[0]["streams"] == "1"


def test_once_is_the_sum_on_both_outputs() -> None:
    audio = sound(0.5)
    off = play([coder()], MAPPING, audio, OFF)
    mixed = play([coder()], MAPPING, np.tile(audio.mean(axis=0), (2, 1)), OFF)
    wet = slice(RATE // 8, None)
    assert np.abs(off.audio[0, wet] - off.audio[1, wet]).max() < 1e-6
    assert np.abs(off.audio[0, wet] - mixed.audio[0, wet]).max() < 1e-5
    assert set(off.status["streams"]) == {1}


def test_the_mapping_has_the_last_word() -> None:
    audio = sound(0.2)
    for said, how, streams in (("on", OFF, 2), ("off", ON, 1), ("auto", OFF, 2)):
        assert play([coder()], f"way bend\nstereo {said}\n", audio, how).slots[0]["streams"] \
            == str(streams)
    assert "stereo wants on, off or auto, not 'both'" in refusal("stereo both\n")
    assert "line 2: " in refusal("way bend\nstereo\n")


def test_a_board_of_one_input_or_output_plays_once() -> None:
    audio = sound(0.2)
    assert play([coder()], "way bend\n", audio[:1]).slots[0]["streams"] == "1"
    assert play([coder()], "way bend\n", audio, ins=1).slots[0]["streams"] == "1"


def test_a_source_is_played_twice_only_where_it_is_asked_for() -> None:
    audio = sound(0.3)
    audio[1] = audio[0]  # of what is dry at first
    for how, streams in ((OFF, "1"), (AUTO, "1"), (ON, "2")):
        run = play([generator()], None, audio, how)
        assert run.slots[0]["streams"] == streams
        assert np.abs(run.audio).max() > 1e-2
        assert_same_bits(run.audio[:1], run.audio[1:])  # it draws nothing: both are one voice


def test_memory_is_taken_for_a_second_state_and_no_more_weights() -> None:
    once, twice = (int(play([vae()], "way bend\n", sound(0.2), how).slots[0]["fast_bytes"])
                   for how in (OFF, ON))
    assert once < twice < 2 * once
    assert twice - once < len(vae())


@pytest.mark.parametrize(("each", "streams"), [(0.3, 2), (0.45, 1), (0.6, 1)])
def test_auto_plays_twice_where_the_load_allows_it(each: float, streams: int) -> None:
    """75 % of a block's time may be taken by two."""
    run = play([coder()], MAPPING, sound(1.0), AUTO, rows=[(0.0, "each", 0, each)])
    assert run.slots[0]["streams"] == "2"
    status = run.status[-1]
    assert status["streams"] == streams
    assert bool(status["flags"] & NARROWED) == (streams == 1)
    assert STATES[status["state"]] == "playing"
    assert int(run.facts["overloads"]) == 0
    assert int(run.facts["misses"]) <= 8 * (each > 0.475)
    half = run.audio[:, RATE // 2:]
    assert (np.abs(half[0] - half[1]).max() < 1e-5) == (streams == 1)
    if streams == 1:  # before anything was heard
        assert (run.status["streams"][run.status["wet"] > 0] == 1).all()


def test_auto_falls_back_in_the_middle_without_a_click_and_stays() -> None:
    t = np.arange(3 * RATE) / RATE
    audio = np.stack([0.3 * np.sin(2 * np.pi * hz * t) for hz in (100, 150)]).astype(np.float32)
    rows = [(0.0, "each", 0, 0.3), (1.0, "each", 0, 0.5), (1.6, "select", 1, 0.0),
            (2.2, "select", 0, 0.0)]
    run = play([wire(16), wire(64)], "way effect\n", audio, AUTO, rows=rows)
    at = run.status["blocks"] * 48 / RATE
    streams = run.status["streams"]
    assert (streams[(at > 0.1) & (at < 1.0)] == 2).all()
    assert (streams[(at > 1.1) & (at < 1.6)] == 1).all()
    assert (streams[at > 2.3] == 1).all(), "the slot remembers"
    assert np.abs(np.diff(run.audio)).max() < 0.3 * 2 * np.pi * 150 / RATE + 0.01
    wet = run.audio[:, round(1.3 * RATE):round(1.5 * RATE)]
    assert np.abs(wet[0] - wet[1]).max() < 1e-4
    assert wet[0].std() > 0.1


def test_on_means_on() -> None:
    run = play([coder()], MAPPING, sound(1.0), ON, rows=[(0.2, "each", 0, 0.6)])
    assert set(run.status["streams"]) == {2}
    assert int(run.facts["overloads"]) > 0, "it rests, as any model that is too much"


def test_what_is_held_stays_held_when_two_become_one() -> None:
    rows = [(0.3, "gate", 0, 1.0), (0.6, "each", 0, 0.5)]
    run = play([coder()], MAPPING, sound(1.2), AUTO, rows=rows)
    before, after = run.status[round(0.58 * 1000)], run.status[-1]
    assert (before["streams"], after["streams"]) == (2, 1)
    assert np.array_equal(before["latent"][:4], after["latent"][:4])
