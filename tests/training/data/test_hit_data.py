"""Data "hits": where classes come from, and what a crop says and holds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import AudioError, ConfigError
from engine.models.registry import build, configure
from tests.training.training_helpers import QUIET
from training.data.base import Shard
from training.data.hit_facts import Stroke, classes_of, read_strokes, stroke_of
from training.data.hits import LOUDEST, Hits, HitSettings, stroke_audio

RATE, HOP, FFT = 8000, 32, 128
HERTZ = {"kick": 125.0, "snare": 500.0, "hat": 2000.0}
SECONDS = {"kick": 0.3, "snare": 0.1, "hat": 0.06}


def hit(hertz, seconds=0.15, late=0.0, level=0.5):
    t = np.arange(round(seconds * RATE)) / RATE
    sound = level * np.cos(2 * np.pi * hertz * t) * np.exp(-20 * t)
    return np.concatenate([np.zeros(round(late * RATE)), sound]).astype(np.float32)


def folder(path, genres=("a", "b"), each=6, table=False, loose=False):
    lines = ["file,kind,genre,velocity"]
    for genre in genres:
        for name, hertz in HERTZ.items():
            inside = path / genre / name if genre else path / name
            inside.mkdir(parents=True, exist_ok=True)
            for i in range(each):
                soundfile.write(inside / f"{i}.wav", hit(hertz, SECONDS[name], late=0.02 * i), RATE)
                lines.append(f"{(inside / f'{i}.wav').relative_to(path).as_posix()},{name},{genre},"
                             f"{0.25 + 0.1 * i:.2f}")
    if table:
        (path / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
    if loose:
        soundfile.write(path / "loose.wav", hit(300), RATE)
    return path


def settings(**changes):
    return SimpleNamespace(**{**HitSettings(crop_seconds=0.4, validation_fraction=0.3).model_dump(),
                              "seed": 3, "batch_size": 8, **changes})


def shape_for(sounds):
    shape = {"sample_rate_hz": RATE, "fft": FFT, "hop": HOP, "z": 3, "width": 8, "conditions": 8,
             "frames": 60}
    HitSettings.complete(shape, {}, sounds)
    return shape


def prepared(tmp_path, sounds, **changes):
    made = build("spectrogram_gan", shape_for(sounds))
    data = Hits(sounds, settings(**changes), tmp_path / "cache")
    data.look()
    data.prepare(made, QUIET)
    return data, made.config


def test_a_model_takes_the_classes_of_the_folder(tmp_path):
    shape = shape_for(folder(tmp_path / "a"))
    assert (shape["classes"], shape["subclasses"]) == (["hat", "kick", "snare"], ["a", "b"])
    shape = shape_for(folder(tmp_path / "b", genres=("",)))
    assert (shape["classes"], shape["subclasses"]) == (["hat", "kick", "snare"], [])
    own = {"classes": ["kick"], "subclasses": []}
    HitSettings.complete(own, {}, tmp_path / "a")
    assert own == {"classes": ["kick"], "subclasses": []}


def test_a_file_is_what_its_table_says_else_its_folders():
    table = {"x/y.wav": Stroke("tom", "rock", 0.5)}
    assert stroke_of("x/y.wav", table) == Stroke("tom", "rock", 0.5)
    assert stroke_of("x/z.wav", table) == Stroke("x")
    assert stroke_of("house/kick/z.wav", table) == Stroke("kick", "house")
    assert stroke_of("house/kick/more/z.wav", table) == Stroke("kick", "house")
    assert stroke_of("z.wav", table) is None
    assert classes_of(["one/kick/a.wav", "one/tom/b.wav"], {}) == (("kick", "tom"), ())


@pytest.mark.parametrize(("row", "said"), [
    ("a.wav,kick,x,1.5", "line 2: velocity must lie above 0, up to 1, got '1.5'"),
    ("a.wav,kick,x,hard", "got 'hard'"), ("a.wav,,x,0.5", "line 2: kind is empty"),
])
def test_a_table_that_cannot_be_meant_is_one_line(row, said, tmp_path):
    (tmp_path / "metadata.csv").write_text(f"file,kind,genre,velocity\n{row}\n", "utf-8")
    with pytest.raises(ConfigError) as raised:
        read_strokes(tmp_path)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_stroke_begins_with_its_onset_and_is_tuned():
    plain = stroke_audio(hit(500, late=0.05), RATE, RATE, 0.0)
    early = stroke_audio(hit(500, late=0.01, level=0.1), RATE, RATE, 0.0)
    assert np.abs(plain).max() == pytest.approx(1)
    assert np.abs(plain - early).max() < 0.02  # wherever it began, however loud
    for octaves in (-0.3, 0.3):
        tuned = stroke_audio(hit(500), RATE, RATE, octaves)
        assert len(tuned) == round(len(hit(500)) / 2**octaves)
        power = np.abs(np.fft.rfft(tuned, RATE))
        assert power.argmax() == pytest.approx(500 * 2**octaves, rel=0.02)
    long = stroke_audio(np.ones(2000, np.float32), RATE, 1000, 0.0)
    assert len(long) == 1000
    assert long[870] == 1
    assert abs(long[-1]) < 1e-3


def test_a_crop_holds_what_its_rows_ask_for(tmp_path):
    data, shape = prepared(tmp_path, folder(tmp_path / "d", table=True), tuned=0.0)
    batches = [data.batch(number, Shard()) for number in range(6)]
    audio, rows = (torch.cat([batch[name] for batch in batches]) for name in ("audio", "rows"))
    assert audio.shape == (48, 1, data.frames * HOP)
    assert rows.shape == (48, len(shape.labels), data.frames)
    at = shape.labels.index
    seen = 0
    for sound, said in zip(audio[:, 0].numpy(), rows.numpy(), strict=True):
        gate = said[at("gate")]
        starts = np.flatnonzero(np.diff(gate, prepend=0) > 0)
        assert np.abs(sound[: starts[0] * HOP]).max(initial=0) == 0  # silent before
        assert not said[1:, : starts[0]].any()
        for start, end in zip(starts, [*starts[1:], data.frames], strict=True):
            part = sound[start * HOP : end * HOP]
            asked = said[:, start]
            assert (said[1:, start:end] == asked[1:, None]).all()  # held until the next
            assert asked[[at(name) for name in HERTZ]].sum() == 1
            assert asked[[at("a"), at("b")]].sum() == 1
            assert np.abs(part).max() == pytest.approx(LOUDEST * asked[at("velocity")], rel=0.02)
            assert round(float(asked[at("velocity")]) * 100) % 10 == 5  # that of the table
            assert not asked[-shape.z :].any()
            name = next(name for name in HERTZ if asked[at(name)])
            assert not part[round(SECONDS[name] * RATE) + 8 :].any()  # nothing of the one before
            if len(part) > 12 * HOP:
                heard = np.abs(np.fft.rfft(part, RATE)).argmax()
                assert heard == pytest.approx(HERTZ[name], rel=0.1)
                seen += 1
    assert seen >= 6
    assert (rows[:, 0].diff(dim=1) > 0).sum() > 2  # some crops hold further strokes


def test_tuning_is_said_and_velocities_are_drawn_where_nobody_says_them(tmp_path):
    data, shape = prepared(tmp_path, folder(tmp_path / "d"), tuned=1.0, retriggers=0.0, waiting=0.0)
    rows = data.batch(0, Shard())["rows"][:, :, 0]
    pitch = rows[:, shape.labels.index("pitch_oct")]
    velocity = rows[:, shape.labels.index("velocity")]
    assert pitch.abs().max() <= 1 / 3
    assert pitch.std() > 0.05
    assert velocity.min() >= 0.2
    assert velocity.std() > 0.05
    assert "velocities are levels" in data.found()


def test_batches_depend_on_seed_number_and_place_alone(tmp_path):
    sounds = folder(tmp_path / "d")
    data, _ = prepared(tmp_path, sounds)
    one = data.batch(4, Shard())
    again = data.batch(4, Shard())
    assert torch.equal(one["audio"], again["audio"])
    assert not torch.equal(one["audio"], data.batch(5, Shard())["audio"])
    half, _ = prepared(tmp_path, sounds, batch_size=4)
    parts = [half.batch(4, Shard(rank, 2)) for rank in (0, 1)]
    for name in ("audio", "rows"):
        assert torch.equal(torch.cat([part[name] for part in parts]), one[name])


def test_validation_is_held_out_strokes_one_at_a_time(tmp_path):
    data, shape = prepared(tmp_path, folder(tmp_path / "d"))
    batches = data.validation()
    rows = torch.cat([batch["rows"] for batch in batches])
    assert len(rows) == len(data.parts.held) > 0
    assert (rows[:, 0, 0] == 1).all()
    assert (rows[:, 0].diff(dim=1) > 0).sum() == 0
    assert not rows[:, shape.labels.index("pitch_oct")].any()
    assert {s.name for s in data.parts.held}.isdisjoint(s.name for s in data.parts.learn)
    example = data.example(3)
    assert example["audio"].shape == (3, 1, data.frames * HOP)
    assert example["rows"].shape[1:] == batches[0]["rows"].shape[1:]


def test_what_cannot_be_learnt_is_said(tmp_path):
    data, _ = prepared(tmp_path, folder(tmp_path / "d", loose=True))
    assert any("loose.wav: lies in no folder" in str(item) for item in data.skipped)
    one = folder(tmp_path / "one")
    for name in ("snare", "hat"):
        for genre in ("a", "b"):
            for path in (one / genre / name).iterdir():
                path.unlink()
    with pytest.raises(AudioError, match="fewer than two classes"):
        Hits(one, settings(), tmp_path / "c").look()
    other = Hits(folder(tmp_path / "other"), settings(), tmp_path / "c")
    other.look()
    made = build("spectrogram_gan",
                 {**shape_for(tmp_path / "other"), "classes": ["kick", "snares"]})
    with pytest.raises(ConfigError, match="class 'hat', which the model does not have"):
        other.prepare(made, QUIET)
    short = Hits(tmp_path / "other", settings(crop_seconds=0.01), tmp_path / "c")
    short.look()
    with pytest.raises(ConfigError, match=r"give at least 0\.048"):
        short.prepare(build("spectrogram_gan", shape_for(tmp_path / "other")), QUIET)
    with pytest.raises(ConfigError, match="not for 'raw_vae'"):
        short.prepare(build("raw_vae", configure("raw_vae", {})), QUIET)


def test_tables_of_folders_in_it_count_too(tmp_path):
    """Two corpora beside each other are one."""
    for corpus, kind in (("first", "kick"), ("second", "snare")):
        folder = tmp_path / corpus
        folder.mkdir()
        (folder / "metadata.csv").write_text(f"file,kind,velocity\nhit-0.wav,{kind},0.5\n")
    found = read_strokes(tmp_path)
    assert found == {"first/hit-0.wav": Stroke("kick", "", 0.5),
                     "second/hit-0.wav": Stroke("snare", "", 0.5)}
    (tmp_path / "second" / "metadata.csv").write_text("file,kind,velocity\na.wav,snare,7\n")
    with pytest.raises(ConfigError, match=r"second/metadata.csv, line 2"):
        read_strokes(tmp_path)
