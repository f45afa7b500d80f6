"""`tudor module simulate` and `tudor module mapping`, as a player types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.presets import shipped_native
from firmware.pi import build
from tests.firmware.command import tudor
from tests.firmware.common_models import coder, generator, wire
from tests.firmware.machines import machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    machine("native")
    (tmp_path / "coder.tudor").write_bytes(coder())
    (tmp_path / "gen.tudor").write_bytes(generator())
    (tmp_path / "wire.tudor").write_bytes(wire())
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", 0.1 * rng.standard_normal(44100), 44100)
    (tmp_path / "s.csv").write_text("seconds,input,value\n# moves\n0,knob2,0\n0.9,knob2,1\n"
                                    "0.5,gate1,1\n0.6,gate1,0\n0.2,cc1,127\n0.3,note,60\n")
    return tmp_path


@pytest.mark.parametrize("board", ["pi", "daisy"])
def test_a_patch_is_played_and_drawn(
    board: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tudor("module", "simulate", folder / "coder.tudor", "--in", folder / "in.wav",
                 "--script", folder / "s.csv", "--out", folder / "o.wav", "--board", board,
                 "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    audio, rate = soundfile.read(folder / "o.wav")
    assert (rate, len(audio)) == (48000, 48000)
    assert audio.std() > 0.01
    assert (folder / "o.png").stat().st_size > 10_000
    assert facts["way"] == "bend"
    assert facts["faults"] == facts["dropped"] == facts["ignored"] == 0
    assert facts["states"]["playing"] > 0.8 * sum(facts["states"].values())


def picture_height(path: Path) -> int:
    """From a PNG's header, at 110 dots an inch."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return round(int.from_bytes(data[20:24], "big") / 110)


def test_the_picture_has_no_empty_panels(folder: Path) -> None:
    """One inch, two for controls, three for latents, two for levels."""
    sound = ("--in", folder / "in.wav", "--out", folder / "o.wav")
    for words, inches in ((("coder.tudor", "--script", folder / "s.csv"), 8), (("coder.tudor",), 6),
                          (("wire.tudor",), 3)):
        assert tudor("module", "simulate", folder / words[0], *words[1:], *sound) == 0
        assert picture_height(folder / "o.png") == inches


@pytest.mark.parametrize(("rate", "channels", "subtype"), [
    (44100, 2, "PCM_16"), (22050, 1, "PCM_U8"), (96000, 2, "PCM_24"), (48000, 1, "FLOAT"),
])
def test_sounds_of_other_kinds_come_through(rate: int, channels: int, subtype: str, folder: Path
                                            ) -> None:
    """A wire: as long, as loud and as high as what went in."""
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(folder / "k.wav", np.stack([sine] * channels, 1), rate, subtype=subtype)
    assert tudor("module", "simulate", folder / "wire.tudor", "--in", folder / "k.wav", "--out",
                 folder / "o.wav", "--no-plot") == 0
    audio, _ = soundfile.read(folder / "o.wav", always_2d=True)
    assert audio.shape == (48000, channels)
    middle = audio[12000:36000]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.01)
    assert np.argmax(np.abs(np.fft.rfft(middle[:, 0]))) == 220  # of half a second
    assert np.abs(np.diff(audio, axis=0)).max() < 0.05, "a click"


def test_what_is_odd_about_a_sound_is_said(folder: Path, capsys: pytest.CaptureFixture[str]
                                           ) -> None:
    """Mixing for a mono model, and what would ring through a resampler."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((8820, 2)).astype(np.float32)

    def said(sound: np.ndarray, rate: int = 44100) -> str:
        soundfile.write(folder / "odd.wav", sound, rate, subtype="FLOAT")
        assert tudor("module", "simulate", folder / "wire.tudor", "--in", folder / "odd.wav",
                     "--out", folder / "o.wav", "--no-plot") == 0
        assert np.isfinite(soundfile.read(folder / "o.wav")[0]).all()
        return capsys.readouterr().err

    assert "odd.wav: 2 channels mixed to one for wire.tudor" in said(noise)
    assert "its 2 channels cancel out" in said(noise[:, :1] * np.float32([1, -1]))
    assert said(noise[:, :1]) == ""
    assert "odd.wav is silent" in said(0 * noise[:, :1])
    assert "holds a single sample" in said(noise[:1, :1])
    assert "is at integer scale" in said(32768 * noise[:, :1])
    broken = noise[:, :1].copy()
    broken[4410] = np.nan
    assert "holds 1 sample that is no number: silence instead" in said(broken)
    assert np.abs(soundfile.read(folder / "o.wav")[0][-2000:]).max() > 0.1, "the rest is heard"
    assert said(broken, 48000) == "", "the instrument counts them itself"


def test_flac_from_a_pipe_comes_through(folder: Path) -> None:
    soundfile.write(folder / "p.flac", soundfile.read(folder / "in.wav")[0], 44100)
    data = bytearray((folder / "p.flac").read_bytes())
    data[21] &= 0xF0  # the length in its header: unknown
    data[22:26] = bytes(4)
    (folder / "p.flac").write_bytes(data)
    assert tudor("module", "simulate", folder / "wire.tudor", "--in", folder / "p.flac", "--out",
                 folder / "o.wav", "--no-plot") == 0
    assert soundfile.info(folder / "o.wav").frames == 48000


def test_slots_change_and_are_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also samples that are no numbers are counted."""
    audio = soundfile.read(folder / "in.wav")[0]
    audio[1000] = np.nan
    soundfile.write(folder / "nan.wav", audio, 48000, subtype="FLOAT")
    (folder / "k.csv").write_text("0.4,slot2,1\n", encoding="utf-8-sig")
    words = ["module", "simulate", folder / "coder.tudor", folder / "wire.tudor", "--in",
             folder / "nan.wav", "--script", folder / "k.csv", "--out", folder / "o.wav"]
    assert tudor(*words, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [slot["way"] for slot in facts["slots"]] == ["bend", "effect"]
    assert facts["latency_samples"] == facts["slots"][0]["latency_samples"]
    assert facts["nonfinite"] == 1
    assert facts["states"]["changing"] > 0
    assert tudor(*words) == 0
    told = capsys.readouterr().out
    assert "slot 1 as bend, " in told
    assert "slot 2 as effect, " in told
    assert "1 samples of the sound were no numbers" in told


@pytest.mark.parametrize(("rows", "tempo", "passed"), [
    ("0.25,start,1\n0.25,clock,150\n", 150, 4.4), ("0.25,pulses1,480\n", 120, 3.5),
    ("0,host,96\n", 96, 3.2),
])
def test_a_clock_is_scripted_and_drawn(rows: str, tempo: float, passed: float, folder: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").write_text(rows)
    (folder / "t.map").write_text("way source\ngate1 clock 4\nbar jump\nknob1 walk\n")
    words = ["module", "simulate", folder / "gen.tudor", "--map", folder / "t.map", "--script",
             folder / "t.csv", "--seconds", 2, "--out", folder / "o.wav"]
    assert tudor(*words, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["beats"]["tempo"] == pytest.approx(tempo, rel=1e-3)
    assert abs(facts["beats"]["passed"] - passed) < 1
    assert picture_height(folder / "o.png") == 6, "a clock is no control"
    with_beats = (folder / "o.png").read_bytes()
    assert tudor(*words[:-4], "--seconds", 2, "--out", folder / "p.wav") == 0
    assert f"clock: {tempo}" in capsys.readouterr().out
    (folder / "t.csv").write_text("0,knob2,0\n")
    assert tudor(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["beats"] is None
    assert with_beats != (folder / "o.png").read_bytes()


def test_the_same_seed_gives_the_same_patch(folder: Path) -> None:
    def once(name: str, *more: object) -> list[float]:
        assert tudor("module", "simulate", folder / "coder.tudor", "--in", folder / "in.wav",
                     "--script", folder / "s.csv", "--out", folder / name, *more) == 0
        return soundfile.read(folder / name)[0].tolist()  # the file's header holds the time

    assert once("a.wav") == once("b.wav")
    assert once("c.wav", "--seed", 2) != once("a.wav"), "the converters' noise is another"


def test_a_source_needs_no_sound_and_a_map_beside_the_model_is_used(folder: Path) -> None:
    (folder / "gen.map").write_text("knob1 output 0 0\n")
    words = ["module", "simulate", folder / "gen.tudor", "--out", folder / "o.wav", "--seconds", 2]
    (folder / "k.csv").write_text("0,knob1,0.5\n")
    assert tudor(*words, "--script", folder / "k.csv") == 0
    assert np.abs(soundfile.read(folder / "o.wav")[0][48000:]).max() < 1e-3
    (folder / "gen.map").unlink()
    assert tudor(*words, "--script", folder / "k.csv") == 0
    assert np.abs(soundfile.read(folder / "o.wav")[0][48000:]).max() > 0.01


def test_a_board_with_a_calibration_reads_as_its_file_says(folder: Path) -> None:
    """0 V to 8 V over the converter's range: 6 V is 6 V, where a board of 5 V ends at 5 V."""
    (folder / "v.map").write_text("way effect\ncv1 output 0 1 mode=set in=0:8 smooth=0\n")
    (folder / "c.txt").write_text("cv1 offset=-1 gain=4\n")
    (folder / "k.csv").write_text("0,cv1,6\n")
    soundfile.write(folder / "k.wav", np.full(48000, 0.1) * (-1) ** np.arange(48000), 48000)

    def level(*more: object) -> float:
        assert tudor("module", "simulate", folder / "wire.tudor", "--in", folder / "k.wav",
                     "--map", folder / "v.map", "--script", folder / "k.csv", "--out",
                     folder / "o.wav", "--no-plot", *more) == 0
        return float(np.abs(soundfile.read(folder / "o.wav")[0][24000:]).max()) / 0.1

    assert level("--calibration", folder / "c.txt") == pytest.approx(6 / 8, abs=0.003)
    assert level() == pytest.approx(5 / 8, abs=0.003)


def test_the_printed_mapping_is_the_one_that_is_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tudor("module", "mapping", folder / "coder.tudor") == 0
    text = capsys.readouterr().out
    assert text.startswith("way bend\nknob1 wet\nknob2 latent 1\n")
    (folder / "own.map").write_text(text)
    for name, more in (("a.wav", ()), ("b.wav", ("--map", folder / "own.map"))):
        assert tudor("module", "simulate", folder / "coder.tudor", "--in", folder / "in.wav",
                     "--script", folder / "s.csv", "--out", folder / name, *more) == 0
    a, b = (soundfile.read(folder / name)[0] for name in ("a.wav", "b.wav"))
    assert a.std() > 0.01
    assert np.array_equal(a, b)


def test_the_printed_mapping_names_no_knob_that_the_board_lacks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = (Path(build.__file__).parent / "module.conf").read_text()
    preset = shipped_native("techno-pi")  # eight latents and more
    assert preset is not None
    assert tudor("module", "mapping", preset, "--board", "pi") == 0
    text = capsys.readouterr().out
    for kind in ("knob", "cv"):
        printed = set(re.findall(rf"^({kind}\d+) ", text, re.MULTILINE))
        wired = set(re.findall(rf"^({kind}\d+) = ", conf, re.MULTILINE))
        assert printed == wired == {f"{kind}{n}" for n in range(1, 5)}
    assert re.findall(r"^cc(\d+) latent", text, re.MULTILINE) == [str(n) for n in range(20, 28)]


@pytest.mark.parametrize(("words", "says"), [
    (["nothing.tudor"], "nothing.tudor does not exist"),
    (["wire.tudor"], "is played as effect, which wants a sound: give --in"),
    (["wire.tudor", "--in", "in.wav", "--board", "pie"], "did you mean 'pi'"),
    (["wire.tudor", "--in", "in.wav", "--map", "bad.map"],
     "bad.map: line 1: there is no input 'fader'"),
    (["wire.tudor", "--in", "in.wav", "--calibration", "bad.txt"],
     "bad.txt: line 2: there is no input to calibrate called 'fader'"),
    (["wire.tudor", "--in", "in.wav", "--calibration", "no.txt"], "no.txt: No such file"),
    (["own.tudor", "--in", "in.wav"], "own.map: line 2: there is no target 'wat'"),
    (["wire.tudor", "own.tudor", "--in", "in.wav"], "own.map: line 2: "),  # the same model
    (["techno-tny"], "did you mean 'techno-tiny'"),
    (["wire.tudor", "--in", "in.wav", "--script", "bad.csv"], "line 1: wants seconds,input,value"),
    (["cut.tudor", "--in", "in.wav"], "truncated"),
    (["wire.tudor", "--in", "none.wav"], "none.wav does not exist"),
    (["wire.tudor", "--in", "empty.wav"], "empty.wav holds no samples"),
    (["wire.tudor", "--in", "five.wav"], "five.wav has 5 channels"),
    (["wire.tudor", "--in", "slow.wav"], "slow.wav: its header says 1 Hz"),
    (["wire.tudor", "--in", "fast.wav"], "fast.wav: its header says 2000000000 Hz"),
    (["wire.tudor", "--in", "in.wav", "--script", "none.csv"], "none.csv: No such file"),
    (["wire.tudor", "--in", "in.wav", "--script", "far.csv"], "far.csv: slot2 is empty"),
    (["wire.tudor", "wire.tudor", "cut.tudor", "--in", "in.wav"], "cut.tudor: "),
    (["gen.tudor", "wire.tudor"], "wire.tudor is played as effect, which wants a sound"),
])
def test_mistakes_are_one_line(
    words: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "bad.map").write_text("fader wet\n")
    (folder / "bad.txt").write_text("knob1 gain=1\nfader gain=1\n")
    (folder / "own.map").write_text("way effect\nknob1 wat\n")
    (folder / "own.tudor").write_bytes(wire())
    (folder / "bad.csv").write_text("0,knob1\n")
    (folder / "cut.tudor").write_bytes(wire()[:-100])
    (folder / "far.csv").write_text("0,slot2,1\n")
    soundfile.write(folder / "empty.wav", np.zeros(0), 48000)
    for name, rate in (("slow.wav", 1), ("fast.wav", 2_000_000_000)):
        soundfile.write(folder / name, np.zeros(100), rate)
    soundfile.write(folder / "five.wav", np.zeros((100, 5)), 48000)
    assert tudor("module", "simulate", *words, "--out", "o.wav") == 1
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert not (folder / "o.wav").exists()


def test_seeds_are_numbers_that_both_generators_take(folder: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    for seed, limit in ((-1, "or equal to 0"), (2**32, "or equal to 4294967295")):
        assert tudor("module", "simulate", folder / "wire.tudor", "--in", folder / "in.wav",
                     "--out", folder / "o.wav", "--seed", seed) == 2
        assert limit in capsys.readouterr().err
