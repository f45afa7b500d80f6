"""What all corpora promise: the same every time, level, no silence, no clipping, no two alike."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nn_tudor.cli import main
from tests.training.corpus.sound_measures import distances_db, octaves_db, texture_db
from training.corpus import hits, kinds
from training.data.labelled import class_of

RATE = 16000
NEW = ("drums", "breaks", "textures", "notes", "bach")
COUNT = {"drums": 48, "breaks": 6, "textures": 9, "notes": 16, "bach": 3}
Made = dict[str, list[tuple[np.ndarray, dict[str, Any]]]]


def tudor(*words: object) -> int:
    """The command: its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def made() -> Made:
    """Some files of each kind, rendered once."""
    return {kind: [kinds.KINDS[kind].render(11, index, sample_rate_hz=RATE)
                   for index in range(COUNT[kind])] for kind in NEW}


@pytest.mark.parametrize("kind", NEW)
def test_the_same_every_time(kind: str, made: Made) -> None:
    audio, row = made[kind][2]
    again, again_row = kinds.KINDS[kind].render(11, 2, sample_rate_hz=RATE)
    other, _ = kinds.KINDS[kind].render(12, 2, sample_rate_hz=RATE)
    assert audio.dtype == np.float32
    assert audio.shape == (kinds.KINDS[kind].channels, row["samples"])
    assert audio.tobytes() == again.tobytes()
    assert row == again_row
    assert audio.tobytes() != other.tobytes()


@pytest.mark.parametrize("kind", NEW)
def test_levels(kind: str, made: Made) -> None:
    for audio, row in made[kind]:
        peak = np.abs(audio).max()
        assert np.isfinite(audio).all(), row["file"]
        assert 0.05 < peak < 0.9, row["file"]
        assert -40 < row["rms_dbfs"] < -8, row["file"]
        assert abs(audio.mean()) < 2e-3, row["file"]
        # A clipped sound stays at its peak.
        held = np.abs(audio[:, 1:]) > 0.9999 * peak
        assert not (held & (np.abs(np.diff(audio)) < 1e-6 * peak)).any(), row["file"]


@pytest.mark.parametrize("kind", ["drums", "notes"])
def test_sounds_begin_and_end_in_silence(kind: str, made: Made) -> None:
    for audio, row in made[kind]:
        peak = np.abs(audio).max()
        assert np.abs(audio[:, 0]).max() < 0.05 * peak, row["file"]
        assert np.abs(audio[:, -1]).max() < 1e-4 * peak, row["file"]


@pytest.mark.parametrize("kind", ["breaks", "textures"])
def test_loops_close(kind: str, made: Made) -> None:
    for audio, row in made[kind]:
        steps = np.abs(np.diff(audio[0]))
        around = np.concatenate([steps[-200:], steps[:200]])
        assert abs(audio[0, 0] - audio[0, -1]) <= 1.5 * np.sort(around)[-4], row["file"]


@pytest.mark.parametrize("kind", NEW)
def test_no_two_alike(kind: str, made: Made) -> None:
    sounds = [audio[0].astype(np.float64) for audio, _ in made[kind]]
    length_s = 0.2 if kind == "drums" else 1.0
    nearest = distances_db(sounds, RATE, length_s)
    # The same drum struck the same way, noise apart: that is what "fifty times the same" measures.
    spec = hits.CLASSES["snare"][1][1](np.random.default_rng(0))
    same = distances_db([hits.kit.drum(spec, 0.7, RATE, np.random.default_rng(i))
                         for i in range(8)], RATE, length_s)
    assert np.median(same) < 2.0
    assert np.quantile(nearest, 0.1) > 2.0
    assert np.median(nearest) > 4.0


# Medians of recordings (sonic-pi-samples): by octave from 31 Hz, as `octaves_db` measures them
# without the top one, and by `texture_db`.
REAL_TEXTURE = {"kick": 4.9, "snare": 5.0, "tom": 5.1, "hat_closed": 5.7, "cymbal": 6.8}
REAL = {
    "kick": (-3, -4, -15, -23, -31, -32, -33, -35),
    "snare": (-33, -22, -5, -9, -12, -12, -11, -11),
    "tom": (-27, -8, -1, -16, -18, -20, -22, -27),
    "hat_closed": (-37, -35, -24, -19, -24, -18, -14, -8),
    "cymbal": (-46, -44, -38, -14, -19, -17, -10, -5),
}


@pytest.mark.parametrize("of_class", sorted(REAL))
def test_drums_lie_near_recordings(of_class: str) -> None:
    index = hits.ORDER.index(of_class)
    made = [hits.render_hit(5, index + turn * len(hits.ORDER)) for turn in range(24)]
    # The recordings of all but the kicks are of a band's kit.
    sounds = [audio[0].astype(np.float64) for audio, row in made
              if of_class == "kick" or row["way"] != "machine"]
    assert len(sounds) >= 8
    levels = np.median([octaves_db(sound, 48000, 8) for sound in sounds], axis=0)
    real = np.array(REAL[of_class], float)
    heard = real > -23
    assert np.abs(levels - real)[heard].max() < 9.0, levels.round()
    assert levels[~heard].max(initial=-99.0) < -13.0, levels.round()
    texture = np.median([texture_db(sound, 48000) for sound in sounds if len(sound) > 4000])
    assert texture == pytest.approx(REAL_TEXTURE[of_class], abs=1.2)


def test_breaks_lie_near_recordings(made: Made) -> None:
    amen = np.array((-18, -6, -5, -9, -17, -18, -11, -8), float)
    levels = np.median([octaves_db(audio[0].astype(float), RATE, 8)
                        for audio, _ in made["breaks"]], axis=0)
    # Not the lowest octave, where it holds nearly nothing.
    assert np.abs(levels - amen)[1:].mean() < 5.0, levels.round()


def test_drums_are_labelled_by_folder(made: Made) -> None:
    rows = [row for _, row in made["drums"]]
    assert all(class_of(row["file"]) == row["kind"] for row in rows)
    counts = np.unique([row["kind"] for row in rows], return_counts=True)[1]
    assert len(counts) == len(hits.ORDER) >= 8
    assert set(counts) == {COUNT["drums"] // len(hits.ORDER)}


def test_textures_are_stereo_above_the_bass(made: Made) -> None:
    wide = []
    for audio, row in made["textures"]:
        assert audio.shape[0] == 2
        spectra = np.fft.rfft(audio.astype(np.float64))
        hz = np.fft.rfftfreq(audio.shape[-1], 1 / RATE)
        side, middle = np.abs(spectra[0] - spectra[1]) ** 2, np.abs(spectra[0] + spectra[1]) ** 2
        assert side[hz < 80].sum() < 0.1 * middle[hz < 80].sum(), row["kind"]
        wide.append(side[hz > 400].sum() / middle[hz > 400].sum())
    assert min(wide) > 1e-3
    assert np.median(wide) > 0.05


@pytest.mark.parametrize("kind", NEW)
def test_any_rate_and_both_channel_counts(kind: str) -> None:
    for rate, channels in ((8000, 2), (44100, 1)):
        audio, row = kinds.KINDS[kind].render(4, 1, sample_rate_hz=rate, channels=channels)
        reference, _ = kinds.KINDS[kind].render(4, 1, sample_rate_hz=16000, channels=channels)
        assert audio.shape[0] == channels
        assert audio.shape[-1] / rate == pytest.approx(reference.shape[-1] / 16000, rel=0.15)
        assert row["sample_rate_hz"] == rate


KILLED = """
import os, sys
from pathlib import Path
from training.corpus import kinds
shares = []
def stop(share):
    shares.append(share)
    if len(shares) == 5:
        os._exit(9)
kinds.write_corpus("drums", Path(sys.argv[1]), 0.05, seed=2, sample_rate_hz=16000, progress=stop)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], check=False)
    assert done.returncode == 9
    staging = next((tmp_path / "a").glob(".partial-*"))
    broken = sorted(staging.rglob("*_00004.wav"))[0]
    broken.write_bytes(broken.read_bytes()[:200])
    rendered: list[int] = []
    own = hits.render_hit

    def counted(seed: int, index: int, **more: Any) -> Any:
        rendered.append(index)
        return own(seed, index, **more)

    monkeypatch.setitem(kinds.KINDS, "drums", kinds.Kind(counted, hits.NAMES))
    kinds.write_corpus("drums", tmp_path / "a", 0.05, seed=2, sample_rate_hz=16000)
    assert rendered[0] == 4  # four were whole, the fifth was cut short
    kinds.write_corpus("drums", tmp_path / "b", 0.05, seed=2, sample_rate_hz=16000)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not list((tmp_path / "a").glob(".partial-*"))


def test_another_seed_does_not_go_on(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], check=False)
    kinds.write_corpus("drums", tmp_path / "a", 0.02, seed=3, sample_rate_hz=16000)
    kinds.write_corpus("drums", tmp_path / "b", 0.02, seed=3, sample_rate_hz=16000)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_faulty_sound_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = hits.render_hit

    def faulty(gain: float) -> Any:
        def render(seed: int, index: int, **more: Any) -> Any:
            audio, row = own(seed, index, **more)
            return audio * (gain if index == 3 else 1.0), row
        return render

    for gain in (0.0, 3.0, float("nan")):
        monkeypatch.setitem(kinds.KINDS, "drums", kinds.Kind(faulty(gain), hits.NAMES))
        with pytest.raises(ValueError, match="silent or clipped"):
            kinds.write_corpus("drums", tmp_path / "out", 0.05)
        assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hits"
    assert tudor("corpus", "drums", out, "--minutes", 0.02, "--seed", 3, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    with (out / "metadata.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert report["files"] == len(rows) == sum(report["sorts"].values())
    assert report["sample_rate_hz"] == 48000
    seconds = 0.0
    for row in rows:
        info = soundfile.info(str(out / row["file"]))
        assert (info.frames, info.samplerate) == (int(row["samples"]), 48000)
        seconds += info.frames / 48000
    assert report["seconds"] == pytest.approx(seconds, abs=0.01)


def test_a_folder_of_another_kind_is_safe(tmp_path: Path) -> None:
    kinds.write_corpus("drums", tmp_path / "d", 0.01, sample_rate_hz=16000)
    before = contents(tmp_path / "d")
    for kind in ("techno", "notes"):
        with pytest.raises(ValueError, match="choose an empty folder"):
            kinds.write_corpus(kind, tmp_path / "d", 0.01, sample_rate_hz=16000)
    (tmp_path / "d" / "clap" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"mine\.wav"):
        kinds.write_corpus("drums", tmp_path / "d", 0.01, sample_rate_hz=16000)
    assert contents(tmp_path / "d") == {**before, "clap/mine.wav": b"mine"}


@pytest.mark.parametrize(("words", "message"), [
    (["drum"], "did you mean 'drums'"),
    (["drums", "--from", "x"], "--from is not for tudor corpus drums"),
    (["real"], "needs --from"),
    (["real", "--seed", "0", "--from", "x"], "--seed is not for tudor corpus real"),
    (["breaks", "--soundfont", "x.sf2"], "a soundfont plays notes"),
    (["notes", "--minutes", "-1"], "minutes must lie"),
])
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                               words: list[str], message: str) -> None:
    assert tudor("corpus", words[0], tmp_path / "out", *words[1:]) == 1
    out, told = capsys.readouterr()
    assert message in told
    assert len(told.strip().splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "out").exists()
