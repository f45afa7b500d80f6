"""`tudor run`'s work on sounds of every kind: what is played, what is said, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioError, ConfigError
from engine.players.base import load
from engine.players.play_file import play_file, stream
from tests.engine.players.backends import FILES, write_files

RATE = 16000


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_files(folder)
    return folder


def noise(channels: int, frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal((frames, channels)).astype(np.float32)


@pytest.fixture
def run(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Plays a sound [frames, channels] or a file; gives what came out and what was said."""
    def play(sound: np.ndarray | Path, rate: int = RATE, name: str = "m.tudor", out: str = "o.wav",
             method: str = "forward", block: int = 2048, **wishes: bool) -> tuple[np.ndarray, str]:
        source, target = tmp_path / "in.wav", tmp_path / out
        if isinstance(sound, Path):
            source = sound
        else:
            soundfile.write(source, sound, rate, subtype="FLOAT")
        capsys.readouterr()
        play_file(str(models / name), source, target, method, block, [],
                  wishes.get("align", False), wishes.get("stereo", False))
        said = capsys.readouterr().err
        return soundfile.read(target, dtype="float32", always_2d=True)[0], said

    return play


@pytest.mark.parametrize("frames", [1, 2, 3, 15, 16, 17])
@pytest.mark.parametrize("rate", [1000, 16000, 44100, 48000, 192000, 1_000_000])
def test_a_few_samples_at_any_rate_are_played(rate, frames, run):
    for align in (False, True):
        got, _ = run(noise(1, frames), rate, align=align)
        assert got.shape == (max(1, round(frames * RATE / rate)), 1), "as long as the input"


def test_a_few_samples_are_encoded(run):
    got, said = run(noise(1, 1), 192000, method="encode")
    assert got.shape == (1, 3), "one frame of latents"
    assert "holds a single sample" in said


@pytest.mark.parametrize("rate", [1, 100, 999, 1_000_001, 2_000_000_000])
def test_rates_that_no_sound_has_are_refused(rate, run, tmp_path):
    with pytest.raises(AudioError, match=f"in.wav: its header says {rate} Hz, sound has 1000 to"):
        run(noise(1, 1000), rate)
    assert not (tmp_path / "o.wav").exists()


@pytest.mark.parametrize("backend", FILES)
def test_stereo_through_a_mono_model_is_two_streams(backend, run):
    sound = noise(2, 4000)
    both, said = run(sound, RATE, FILES[backend], block=100, stereo=True)
    assert both.shape == (4000, 2)
    assert "note" not in said
    for channel in (0, 1):
        alone, _ = run(sound[:, channel : channel + 1], RATE, FILES[backend], block=100)
        assert np.abs(both[:, channel] - alone[:, 0]).max() <= 1e-5
    assert np.abs(both[:, 0] - both[:, 1]).max() > 1e-3


def test_six_channels_are_six_streams_and_one_is_one(run):
    assert run(noise(6, 400), RATE, stereo=True)[0].shape == (400, 6)
    mono, said = run(noise(1, 400), RATE, stereo=True)
    assert mono.shape == (400, 1)
    assert "note" not in said


def test_mixing_is_said(run):
    sound = noise(2, 4000)
    got, said = run(sound, RATE)
    assert said.count("note: ") == 1
    assert "in.wav: 2 channels mixed to one (--stereo plays each by itself)" in said
    assert np.array_equal(got, run(sound.mean(axis=1, keepdims=True), RATE)[0])
    opposite = np.concatenate((sound[:, :1], -sound[:, :1]), axis=1)
    assert "its 2 channels cancel out when they are mixed to one" in run(opposite, RATE)[1]
    opposite += 0.1 * sound[:, 1:]
    said = run(opposite, RATE)[1]
    assert "mixing its 2 channels to one loses 20 dB" in said
    assert "note" not in run(opposite, RATE, stereo=True)[1]


@pytest.mark.parametrize(("change", "says"), [
    (lambda x: x * 32768, "is at integer scale"),
    (lambda x: np.where(np.arange(len(x))[:, None] == 70, 1e30, x),
     r"holds 1 sample far beyond full scale (peak 1e+30"),
    (lambda x: np.where(np.arange(len(x))[:, None] == 70, np.inf, x),
     "holds 1 sample that is no number: silence instead"),
    (lambda x: 0 * x, "in.wav is silent"),
])
def test_unfit_sound_is_played_with_a_note(change, says, run):
    """Also where it is resampled, one broken sample does not ring on."""
    sound = noise(1, 20000)
    for rate in (RATE, 48000):
        got, said = run(change(sound).astype(np.float32), rate)
        assert says in said
        assert said.count("note: ") == 1 + (rate != RATE)
        assert np.isfinite(got).all()
    if "holds 1" in says:
        good = run(sound, 48000)[0]
        assert np.abs(got[1500:] - good[1500:]).max() < 1e-3


def test_flac_from_a_pipe_is_read_to_its_end(run, tmp_path):
    """Its header, written before the length was known, says 0 frames in all: unknown."""
    sound = (noise(2, 30000) * 32768).astype(np.int16)
    good, piped = tmp_path / "good.flac", tmp_path / "piped.flac"
    soundfile.write(good, sound, RATE)
    data = bytearray(good.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36 bits of length
    data[22:26] = bytes(4)
    piped.write_bytes(data)
    assert soundfile.info(piped).frames == 2**63 - 1
    wanted = run(good)[0]
    assert wanted.shape == (30000, 1)
    assert np.array_equal(run(piped)[0], wanted)
    assert run(piped, stereo=True)[0].shape == (30000, 2)


@pytest.mark.parametrize(("sound", "wishes", "says"), [
    (noise(1, 100), {"method": "encode", "align": True}, "--align is for methods from sound to so"),
    (noise(2, 100), {"method": "encode", "stereo": True}, "not encode: leave it out"),
    (noise(1, 100), {"method": "encode", "out": "z.flac"}, "FLAC cannot hold; write them to .wav"),
    (noise(9, 100), {"stereo": True, "out": "o.flac"}, "FLAC holds 8 channels, not 9"),
    (noise(1, 100), {"out": "o.mp3"}, ".wav, .flac, .aiff, .aif or .npy"),
])
def test_what_makes_no_sense_is_refused_before_the_work(sound, wishes, says, run, tmp_path):
    with pytest.raises((AudioError, ConfigError)) as error:
        run(sound, RATE, **wishes)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"in.wav"}


def test_channels_beyond_a_stereo_model_are_refused_with_the_remedy(tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    write_files(folder, channels=2)
    source, out = tmp_path / "in.wav", tmp_path / "o.wav"

    def play(channels: int, stereo: bool = False) -> tuple[int, ...]:
        soundfile.write(source, noise(channels, 100), RATE)
        play_file(str(folder / "m.tudor"), source, out, "forward", 64, [], False, stereo)
        return soundfile.read(out, always_2d=True)[0].shape

    assert play(1) == play(2) == (100, 2)
    with pytest.raises(AudioError, match=r"in.wav has 6 channels, the model takes 2: choose 2 of "
                                         r"them \(sox IN.wav OUT.wav remix 1 2\)"):
        play(6)
    with pytest.raises(ConfigError, match="has 2 in and 2 out: leave it out"):
        play(2, stereo=True)


@pytest.mark.parametrize(("save", "says"), [
    (lambda path: np.save(path, np.zeros((3, 4), np.int16)), "holds int16; decode takes floating"),
    (lambda path: np.savez(path.open("wb"), a=np.zeros(3)), "holds several arrays"),
    (lambda path: np.save(path, np.zeros((4, 3))), r"shape \[4, 3\]; decode takes \[3, frames\]"),
    (lambda path: path.write_text("x"), "is not a readable .npy"),
])
def test_arrays_that_are_no_latents_are_refused(save, says, run, tmp_path):
    save(tmp_path / "z.npy")
    with pytest.raises(AudioError, match=says):
        run(tmp_path / "z.npy", method="decode")


def test_a_block_beyond_the_file_costs_no_more_than_the_file(models):
    """Not even where it has a latency of its own: 100001 is no multiple of 16."""
    player = load(models / "m.tudor")
    heard: list[int] = []
    inside = player._run

    def counted(spec, x, state):
        heard.append(x.shape[2])
        return inside(spec, x, state)

    player._run = counted
    x = noise(1, 500).T
    for block in (10**9, 10**9 + 1):
        heard.clear()
        got, latency = stream(player, "forward", x, block, align=True)
        assert got.shape == (1, 500)
        assert 500 <= sum(heard) <= 500 + latency + 16
    small, _ = stream(player, "forward", x, 16, align=True)
    assert np.abs(got - small).max() <= 1e-6


def test_the_real_time_factor_is_of_what_was_played(run, monkeypatch):
    """A clock that says one second: 160 samples in, 16000 a second."""
    ticks = iter(range(100))
    monkeypatch.setattr("engine.players.play_file.time.perf_counter", lambda: next(ticks))
    said = run(noise(1, 150), RATE, block=10**6)[1]
    assert f"real-time factor {RATE / 160:.3f} " in said.replace("\n", " ")


@pytest.mark.parametrize("name", ["o.wav", "o.aif", "o.aiff", "o.flac", "o.WAV"])
def test_every_listed_format_is_written(name, run):
    sound = noise(1, 300)
    got, _ = run(sound, RATE, out=name)
    assert got.shape == (300, 1)
    assert np.abs(got - run(sound, RATE)[0]).max() <= 2**-23
