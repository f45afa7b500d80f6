"""The way `source` of files that have a `generate`: alone, before a `decode`, or unfit for it."""

from __future__ import annotations

import pytest

from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_models import coder, composer
from tests.firmware.machines import assert_same_bits, machine

RATE, BLOCK = 48000, 48
MAP = "way source\nknob1 walk\nknob2 rate 0 8\nknob3 latent 1\ncv1 latent 2\nnote jump\n"
SCRIPT = [(0.0, "knob", 0, 0.6), (0.1, "knob", 2, 0.9), (0.3, "cv", 0, -0.5),
          (0.5, "midi", 0, float(0x904064)), (0.6, "knob", 1, 1.0)]


def play(model: bytes, target: str = "native", mapping: str | None = MAP) -> Racked:
    played = play_rack(machine(target), [model], maps=[mapping], seconds=1, channels=(0, 1),
                       script=events(SCRIPT, RATE), rate=RATE, block=BLOCK)
    assert played.refused == ()
    assert played.facts["way"] == "4"
    assert played.facts["faults"] == played.facts["ignored"] == "0"
    return played


def test_generated_latents_are_decoded() -> None:
    """One method after the other gives the bits of one method that does the work of both."""
    chained, fused = play(composer()), play(composer(kind="fused"))
    assert_same_bits(chained.audio, fused.audio)
    assert set(chained.status["latents"][1:]) == {3}, "what moves is what generates"
    assert int(chained.facts["latency_samples"]) == int(fused.facts["latency_samples"])


def test_without_a_mapping_a_board_without_inputs_generates() -> None:
    assert_same_bits(play(composer(), mapping=None).audio,
                     play(composer(kind="fused"), mapping=None).audio)


@pytest.mark.parametrize("target", ["aarch64", "m7"])
def test_generated_sound_has_the_same_bits_everywhere(target: str) -> None:
    wanted, got = play(composer()), play(composer(), target)
    assert_same_bits(got.audio, wanted.audio)
    assert got.status.tobytes() == wanted.status.tobytes()


@pytest.mark.parametrize(("kind", "inputs"), [("unfit", 3), ("chained", 65)])
def test_a_generate_that_does_not_fit_is_left_out(kind: str, inputs: int) -> None:
    """Too few latents for `decode`, or more inputs than an instrument moves: `decode` plays."""
    assert_same_bits(play(composer(kind=kind, inputs=inputs)).audio, play(coder()).audio)
