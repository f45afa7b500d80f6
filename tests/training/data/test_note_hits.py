"""Data "hits" of notes: what says their pitch, and gates that are held and let go."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigError
from engine.models.registry import build
from tests.training.data.test_hit_data import HOP, RATE, settings, shape_for
from tests.training.training_helpers import QUIET
from training.data.base import Shard
from training.data.hit_facts import Stroke, read_strokes, stroke_of
from training.data.hits import Hits

PITCHES = {"flute": (72, 75, 79), "horn": (48, 52, 55)}


def notes(path, table=True, names="{name}/{pitch}_{i}.wav"):
    lines = ["file,instrument,pitch,velocity"]
    for name, pitches in PITCHES.items():
        for pitch in pitches:
            for i in range(4):
                file = path / names.format(name=name, pitch=pitch, i=i)
                file.parent.mkdir(parents=True, exist_ok=True)
                t = np.arange(RATE) / RATE
                soundfile.write(file, 0.5 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * t),
                                RATE)
                lines.append(f"{file.relative_to(path).as_posix()},{name},{pitch},{0.3 + 0.1 * i}")
    if table:
        (path / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return path


def prepared(tmp_path, sounds, **changes):
    shape = {**shape_for(sounds), "harmonics": 8, "release": 10}
    data = Hits(sounds, settings(**changes), tmp_path / "cache")
    data.look()
    data.prepare(build("spectrogram_gan", shape), QUIET)
    return data


@pytest.mark.parametrize(("table", "names"), [
    (True, "{name}/{pitch}_{i}.wav"), (False, "{name}_acoustic_00{i}-0{pitch}-100.wav")])
def test_pitches_are_told_in_octaves_from_middle_c(tmp_path, table, names):
    sounds = notes(tmp_path / "sounds", table, names)
    data = prepared(tmp_path, sounds, tuned=0.0, retriggers=0.0, waiting=0.0)
    batch = data.batch(0, Shard())
    assert set(data.shape.classes) == set(PITCHES)
    for audio, rows in zip(batch["audio"], batch["rows"], strict=True):
        octaves = float(rows[2, 0])
        spectrum = np.abs(np.fft.rfft(audio[0].numpy() * np.hanning(audio.shape[1]), 2**16))
        hz = spectrum.argmax() / 2**16 * RATE
        assert np.log2(hz / 261.625565) == pytest.approx(octaves, abs=0.02)
        name = data.shape.asked[int(rows[3:5, 0].argmax()) + 2]
        assert round(60 + 12 * octaves) in PITCHES[name]


def test_a_note_is_held_or_let_go_and_fades_as_the_model_has_it(tmp_path):
    data = prepared(tmp_path, notes(tmp_path / "sounds"), tuned=0.0, retriggers=0.0, waiting=0.0,
                    batch_size=40)
    batch = data.batch(1, Shard())
    gates = batch["rows"][:, 0].sum(dim=1)
    frames = batch["rows"].shape[2]
    assert 0.4 < float((gates == frames).float().mean()) < 0.95
    place = int(gates.argmin())
    end = int(gates[place])
    level = batch["audio"][place, 0].reshape(-1, HOP).square().mean(dim=1).sqrt().numpy()
    falling = np.log(level[end + 2 : end + 8 : 3] / level[end + 1])
    assert falling == pytest.approx(-20 * np.array([1, 4]) / 10, rel=0.25)


def test_the_gate_opens_anew_for_every_note(tmp_path):
    data = prepared(tmp_path, notes(tmp_path / "sounds"), retriggers=1.0, waiting=0.0,
                    batch_size=20)
    for rows in data.batch(2, Shard())["rows"]:
        begun = (rows[1:, 1:] != rows[1:, :-1]).any(dim=0).nonzero()[:, 0] + 1
        assert all(rows[0, at] == 1 and rows[0, at - 1] == 0 for at in begun.tolist())


def test_a_note_of_no_pitch_is_one_line(tmp_path):
    sounds = notes(tmp_path / "sounds", table=False)
    with pytest.raises(ConfigError, match=r"^flute/72_0.wav: nothing says its pitch.*metadata.csv"):
        prepared(tmp_path, sounds)


def test_names_and_tables_say_notes(tmp_path):
    assert stroke_of("a/Vn-ord-A4-mf-4c.wav", {}) == Stroke("Vn", "ord", 80 / 127, 0.75)
    assert stroke_of("house/kick/1.wav", {}) == Stroke("kick", "house")
    (tmp_path / "metadata.csv").write_text("file,kind,pitch\na.wav,flute,A9x\n", "utf-8")
    with pytest.raises(ConfigError, match=r"line 2: pitch wants a MIDI number .* not 'A9x'"):
        read_strokes(tmp_path)
