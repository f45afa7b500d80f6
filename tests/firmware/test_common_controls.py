"""Mappings, gates, gestures, notes: what a player does, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.simulate_rack import STATES, events, play_rack
from tests.firmware.common_models import coder, generator, vae, wire
from tests.firmware.common_play import BEND, RATE, latent, native, refusal
from tests.firmware.machines import machine


@pytest.mark.parametrize(("line", "says"), [
    ("fader1 wet", "there is no input 'fader1'"),
    ("knob17 wet", "there is no input 'knob17'"),
    ("knob1", "says not what moves"),
    ("knob1 wett", "there is no target 'wett'; known: wet input"),
    ("knob1 latent 5", "latent wants a number from 1 to 4"),
    ("knob1 latent x", "latent wants a number from 1 to 4"),
    ("knob1 latent 1 0 x", "a range wants two numbers, 'x' is none"),
    ("knob1 latent 1 0", "a range wants two numbers, not only '0'"),
    ("knob1 latent 1 curve=wavy", "curve= wants linear, square, cube, root or s, not 'wavy'"),
    ("knob1 latent 1 smooth=-1", "smooth= wants milliseconds from 0 to 10000"),
    ("cv1 latent 1 in=5:5", "in= wants two different numbers"),
    ("knob1 latent 1 blend=2", "there is no option 'blend=2'; known: in="),
    ("knob1 freeze", "only a gate, a note, a cc, beat or bar can do 'freeze'"),
    ("gate1 freeze mode=add", "mode= wants hold or toggle, not 'add'"),
    ("cv1 pitch", "the model has no 'pitch' to play"),
    ("knob1 attribute colour", "the model has no attribute 'colour'"),
    ("way forward", "way wants effect, bend or source, not 'forward'"),
    ("way effect", "the model has no methods for the way 'effect': it lacks forward"),
    ("knob1 wet " + "x" * 200, "is longer than 200 characters"),
    ("a b c d e f g h i j k l m", "has more than 12 words"),
    ("knob1 \x01\x02 wet", "there is no target '??'"),
])
def test_mistakes_are_named_with_their_line(line: str, says: str) -> None:
    said = refusal(f"# a comment\n\n{line}\nknob1 wet\n")
    assert said.startswith("m0: line 3: ")
    assert says in said


def test_other_mistakes_of_a_mapping() -> None:
    assert "line 2: the way must stand before" in refusal("knob1 wet\nway bend\n")
    assert "line 97: is one too many" in refusal("knob1 wet\n" * 97)
    assert "longer than 16384 bytes" in refusal("#\n" * 9000)
    assert "no latents that can be moved" in refusal("way effect\nknob1 latent 1\n", wire())
    for word in ("walk", "swap", "rate"):
        assert f"line 2: played as an effect, no latents can be moved by '{word}'" in refusal(
            f"way effect\nknob1 {word}\n", wire())


@pytest.mark.parametrize("text", ["way bend\nknob1 wet\n", "# a comment\r\nknob1 wet\r\n"])
def test_texts_of_other_computers_are_read(text: str) -> None:
    """A mark before the first line, as Windows' editors set it."""
    silent = np.zeros((1, RATE), np.float32)
    run = native([coder()], "\ufeff" + text, [(0.0, "knob", 0, 0.25)], audio=silent)
    assert run.refused == ()
    assert run.status["wet"][-1] == pytest.approx(0.25, abs=0.01)
    run = play_rack(machine("native"), [coder()], maps=[BEND + "knob1 wet\n"], audio=silent,
                    script=events([(0.0, "knob", 0, 0.25)], RATE),
                    calibration="\ufeffknob1 gain=2\r\n")
    assert run.status["wet"][-1] == pytest.approx(0.5, abs=0.01)
    assert "line 2: there is no input '???knob1'" in refusal("#\n\ufeffknob1 wet\n")


def test_calibration_turns_readings_into_volts() -> None:
    """A converter that reads upside down, from 0 to 1, 2 V a tenth."""
    text = "cv1 offset=0.5 gain=-20\nknob1 curve=square\n"
    rows = [(0.0, "cv", 0, 0.4), (0.0, "knob", 0, 0.5)]
    run = play_rack(machine("native"), [coder()], seconds=1, script=events(rows, RATE),
                    maps=["way bend\ncv1 latent 1 -3 3\nknob1 latent 2 0 3\n"], calibration=text)
    assert latent(run, 0, 0.9) == pytest.approx(0.5 + 0.2, abs=0.08)  # 2 V of 10, of a span of 6
    rows[0] = (0.0, "cv", 0, 0.6)
    flipped = play_rack(machine("native"), [coder()], seconds=1, script=events(rows, RATE),
                        maps=["way bend\ncv1 latent 1 -3 3\nknob1 latent 2 0 3\n"],
                        calibration=text)
    difference = run.status["latent"][-500:, 0] - flipped.status["latent"][-500:, 0]
    assert difference == pytest.approx(0.4, abs=1e-5)
    with pytest.raises(Exception, match=r"line 1: wants offset=NUMBER.*'gain=0'"):
        play_rack(machine("native"), [coder()], seconds=1, calibration="cv1 gain=0\n")


def test_ranges_of_the_file_are_a_knob_s_range() -> None:
    model = coder(ranges=(-1.0, 2.0))
    for value, wanted in ((0.0, -1.0), (1.0, 2.0), (0.5, 0.5)):
        rows = [(0.0, "knob", 0, value), (0.0, "knob", 1, 0.0)]
        run = native([model], "way source\nknob1 latent 1\nknob2 walk\n", rows, seconds=1)
        assert latent(run, 0, 0.9) * 3 - 1 == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(("model", "way"), [
    (wire, 1), (coder, 2), (vae, 2), (generator, 4),
])
def test_a_model_without_a_mapping_plays(model: object, way: int) -> None:
    run = native([model()], None, [], seconds=2)  # type: ignore[operator]
    assert run.refused == ()
    assert set(run.status["way"]) == {way}
    assert run.audio[0, RATE // 2 :].std() > 1e-3
    assert STATES[run.status["state"][-1]] == "playing"


def test_freeze_holds_latents_and_lets_them_go() -> None:
    run = native([coder()], BEND + "gate1 freeze\nknob1 latent 1 -2 2\n",
                 [(0.5, "gate", 0, 1.0), (0.0, "knob", 0, 0.5), (0.7, "knob", 0, 1.0),
                  (1.0, "gate", 0, 0.0)])
    z = run.status["latent"]

    def moving(index: int, begin: float, end: float) -> float:
        return float(np.abs(np.diff(z[round(begin * 1000) : round(end * 1000), index])).max())

    assert moving(1, 0.2, 0.5) > 1e-3
    assert moving(1, 0.56, 0.99) == 0
    assert moving(1, 1.1, 1.5) > 1e-3
    assert latent(run, 0, 0.95) - latent(run, 0, 0.65) == pytest.approx(2 / 6, abs=1e-3)
    assert run.status["flags"][700] & 1


def test_toggled_gates() -> None:
    rows = [(at, "gate", 0, level) for at, level in
            ((0.2, 1.0), (0.3, 0.0), (0.8, 1.0), (0.9, 0.0))]
    run = native([coder()], BEND + "gate1 freeze mode=toggle\n", rows, seconds=1)
    frozen = run.status["flags"] & 1
    assert frozen[150] == 0
    assert (frozen[250:790] == 1).all()
    assert (frozen[810:] == 0).all()


def test_jumps_lead_elsewhere_and_the_same_seed_leads_there_again() -> None:
    rows = [(0.5, "gate", 0, 1.0), (0.6, "gate", 0, 0.0), (1.0, "gate", 0, 1.0)]
    silent = np.zeros((1, 2 * RATE), np.float32)
    first, again = (native([coder()], BEND + "gate1 jump\n", rows, audio=silent) for _ in range(2))
    other = native([coder()], BEND + "gate1 jump\n", rows, audio=silent, seed=7)
    places = [first.status["latent"][round(at * 1000), :4] for at in (0.45, 0.95, 1.9)]
    assert places[0] == pytest.approx(0.5)
    assert np.abs(places[1] - 0.5).max() > 0.05
    assert np.abs(places[2] - places[1]).max() > 0.05
    assert np.array_equal(first.audio, again.audio)
    assert not np.array_equal(first.audio, other.audio)


def test_a_note_leads_to_the_same_place_each_time() -> None:
    silent = np.zeros((1, 2 * RATE), np.float32)
    rows = [(0.2, "midi", 0, 0x903C64), (0.7, "midi", 0, 0x904864), (1.2, "midi", 0, 0x903C64)]
    run = native([coder()], BEND + "note jump\n", rows, audio=silent)
    z = [run.status["latent"][n, :4] for n in (690, 1190, 1990)]
    assert z[2] == pytest.approx(z[0], abs=1e-3)
    assert np.abs(z[1] - z[0]).max() > 0.05


def test_a_gesture_is_recorded_and_looped() -> None:
    """A ramp of half a second, drawn while the gate is high, comes again every half second."""
    silent = np.zeros((1, 4 * RATE), np.float32)
    ramp = [(0.5 + 0.01 * i, "knob", 0, i / 49) for i in range(50)]
    rows = [(0.0, "knob", 0, 0.0), (0.495, "gate", 0, 1.0), *ramp, (0.995, "gate", 0, 0.0)]
    mapping = BEND + "knob1 latent 1 -3 3 smooth=0\ngate1 record\n"
    run = native([coder()], mapping, rows, audio=silent)
    z = run.status["latent"][:, 0]
    assert z[1900:2400].max() - z[1900:2400].min() > 0.9
    assert z[1500:2000] == pytest.approx(z[2000:2500], abs=1e-6)
    assert z[1500:2000] == pytest.approx(z[3500:4000], abs=1e-6)
    assert (run.status["flags"][1100:] & 4).all()
    moved = native([coder()], mapping, [*rows, (2.2, "knob", 0, 0.3)], audio=silent)
    assert moved.status["latent"][2300:, 0] == pytest.approx(0.3, abs=1e-3), "a hand takes over"
    noisy = native([coder()], mapping, [*rows, (2.2, "knob", 0, 0.99)], audio=silent)
    assert noisy.status["latent"][2300:, 0].std() > 0.1, "a converter's noise does not"


@pytest.mark.parametrize("last", [None, "loudness"])
def test_a_knob_swaps_a_whole_round(last: str | None) -> None:
    """At its end all are back in their places, halfway all free ones have moved by half of it."""
    audio = np.full((1, RATE), 0.3, np.float32)

    def at(value: float) -> list[float]:
        run = native([coder(last=last)], BEND + "knob1 swap\n", [(0.1, "knob", 0, value)],
                     audio=audio)
        return [latent(run, i, 0.9) for i in range(4)]

    still, free = at(0.0), 4 if last is None else 3
    assert at(1.0) == pytest.approx(still, abs=1e-5)
    one = [*still[1:free], still[0], *still[free:]]  # each takes its neighbour's place
    assert at(1 / free) == pytest.approx(one, abs=1e-4)
    assert one != pytest.approx(still, abs=0.01)


def test_play_opens_and_closes_the_sound() -> None:
    rows = [(1.5, "gate", 0, 1.0), (2.0, "gate", 0, 0.0)]
    run = native([wire()], "way effect\ngate1 play\n", rows, seconds=5)
    part = {at: float(run.audio[0, round(at * RATE) : round((at + 0.1) * RATE)].std())
            for at in (1.35, 1.7, 4.5)}
    assert part[1.35] < 1e-3
    assert part[1.7] > 0.05
    assert part[4.5] < 1e-3


def test_next_program_change_and_select() -> None:
    rows = [(0.5, "gate", 0, 1.0), (1.0, "midi", 0, 0xC00000), (1.5, "select", 1, 0.0)]
    run = native([wire(), wire(gain=0.5)], "way effect\ngate1 next\n", rows)
    assert [int(run.status["slot"][n]) for n in (400, 700, 1200, 1800)] == [0, 1, 0, 1]
    assert run.audio[0, 48 * 700 : 48 * 1000].std() == pytest.approx(
        0.5 * run.audio[0, 48 * 1200 : 48 * 1500].std(), rel=0.5)


def test_what_is_held_ends_with_the_gates_that_held_it() -> None:
    """Slot 2 has no gate that freezes, slot 1 has another one that is high all the time."""
    silent = np.zeros((1, 2 * RATE), np.float32)
    maps = [BEND + "gate1 freeze\ngate2 play\n", BEND + "gate3 freeze\n", BEND]
    rows = [(0.1, "gate", 0, 1.0), (0.1, "gate", 1, 1.0), (0.5, "select", 2, 0.0),
            (0.8, "gate", 0, 0.0), (1.0, "select", 0, 0.0), (1.4, "gate", 2, 1.0),
            (1.5, "select", 1, 0.0)]
    run = play_rack(machine("native"), [coder()] * 3, maps=maps, audio=silent, overlap=1,
                    script=events(rows, RATE))
    frozen = [int(run.status["flags"][n]) & 1 for n in (50, 300, 700, 900, 1200, 1450, 1700)]
    assert frozen == [0, 1, 0, 0, 0, 0, 1]
    # A gate that is still high when its slot comes back is heard at once.
    run = play_rack(machine("native"), [wire(), wire(gain=0.5)], seconds=4, overlap=1,
                    maps=["way effect\ngate2 play\n", "way effect\n"],
                    script=events([(0.1, "gate", 1, 1.0), (0.5, "select", 1, 0.0),
                                   (1.0, "select", 0, 0.0)], RATE))
    assert run.audio[0, round(1.3 * RATE) : round(1.6 * RATE)].std() > 0.05


def test_gates_of_an_effect_do_what_an_effect_can() -> None:
    """Nothing to freeze, nowhere to jump; the next slot is where it is in the other ways."""
    rows = [(0.5, "gate", 1, 1.0), (1.0, "gate", 0, 1.0)]
    run = native([wire(), wire()], None, rows)
    assert [int(run.status["slot"][n]) for n in (400, 700)] == [0, 1]
    assert (np.array(STATES)[run.status["state"]][1000:1100] == "recovering").any()


def test_reset_silences_what_the_model_remembers() -> None:
    """Two runs whose inputs differed become the same after a reset."""
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((2, 1, 2 * RATE)).astype(np.float32) * np.float32(0.1)
    audio[1, :, RATE:] = audio[0, :, RATE:]
    runs = [native([vae()], "way effect\ngate1 reset\n", [(1.2, "gate", 0, 1.0)], audio=x)
            for x in audio]
    states = np.array(STATES)[runs[0].status["state"]]
    assert (states[1200:1230] == "recovering").any()
    assert states[-1] == "playing"
    assert np.abs(runs[0].audio - runs[1].audio)[0, : RATE // 2].max() > 1e-2
    assert np.abs(runs[0].audio - runs[1].audio)[0, -RATE // 4 :].max() < 1e-5


def test_events_wait_for_their_time() -> None:
    silent = np.zeros((1, RATE), np.float32)
    run = native([coder()], "way bend\nknob1 latent 1 -3 3 smooth=0\n",
                 [(0.0, "knob", 0, 0.0), (0.5, "knob", 0, 1.0)], audio=silent)
    z = run.status["latent"][:, 0]
    assert (z[100:499] < 0.01).all()
    assert (z[503:] > 0.9).all()
