"""Notes: silence until the first, a pitch that is exact and follows, held as long as their gate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.models.registry import configure
from engine.models.spectrogram_gan import OPENINGS, SpectrogramGAN
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from engine.scores.conditions import MIDDLE_C_HZ
from tests.engine.models.test_loop_models import streamed
from tests.export.small_models import small_model

RATE, HOP, FFT = 8000, 32, 128
FRAMES = 200


@pytest.fixture(scope="module")
def voice() -> SpectrogramGAN:
    """Says the same of every frame: -4 nepers of tone, and noise that is not heard."""
    model = small_model("spectrogram_gan", "notes")
    head = model.net.branches[0].branches[0].layers[2]
    with torch.no_grad():
        head.weight.zero_()
        head.bias[: model.config.bins] = 0.4
        head.bias[model.config.bins :] = -20.0
    return model


def rows(model: SpectrogramGAN, *notes: tuple[int, int], octaves: float = 0.0) -> torch.Tensor:
    """Notes (first frame, first frame after its gate), of class a."""
    labels = model.config.labels
    x = torch.zeros(1, len(labels), FRAMES)
    x[0, labels.index("velocity")] = x[0, labels.index("a")] = 1
    x[0, labels.index("pitch_oct")] = octaves
    for begin, end in notes:
        x[0, 0, begin:end] = 1
    return x


def sound(model: SpectrogramGAN, x: torch.Tensor) -> np.ndarray:
    return model.offline("generate", x)[0, 0].detach().numpy()[FFT:]


def levels(audio: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(audio.reshape(-1, HOP)).mean(axis=1))


def test_streaming_is_offline() -> None:
    model = small_model("spectrogram_gan", "notes")
    x = rows(model, (5, 60), (64, 66), (100, 190), octaves=0.3)
    x[0, 2, 110:150] += torch.linspace(0, 0.5, 40)
    whole = model.offline("magnitudes", x)
    for sizes in ([1], [7, 2]):
        assert torch.allclose(streamed(model, "magnitudes", x, sizes), whole, atol=1e-5)


def test_nothing_sounds_before_the_first_note_nor_long_after_one(voice: SpectrogramGAN) -> None:
    found = levels(sound(voice, rows(voice, (20, 60))))
    assert found[:20].max() == 0
    assert found[24:60].min() > 0.02
    assert found[60 + voice.config.release + FFT // HOP :].max() == 0


def test_a_note_is_held_and_then_falls_steadily(voice: SpectrogramGAN) -> None:
    found = levels(sound(voice, rows(voice, (0, 150))))
    assert found[60:145] == pytest.approx(found[100], rel=0.3)  # beyond `frames` too
    falling = np.log(found[155:160])
    assert np.diff(falling) == pytest.approx(-20 / voice.config.release, rel=0.2)


@pytest.mark.parametrize("octaves", [-1.0, 0.25, 1.5])
def test_the_pitch_is_what_was_asked_for(voice: SpectrogramGAN, octaves: float) -> None:
    audio = sound(voice, rows(voice, (0, 190), octaves=octaves))[1000:5600]
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 2**16))
    near = MIDDLE_C_HZ * 2**octaves * 2 ** (np.array([-0.5, 0.5]) / 12) / RATE * 2**16
    low, high = near.astype(int)
    hz = (low + spectrum[low:high].argmax()) / 2**16 * RATE
    assert np.log2(hz / MIDDLE_C_HZ) == pytest.approx(octaves, abs=2 / 1200)


def test_a_held_note_is_bent(voice: SpectrogramGAN) -> None:
    """Everything else is taken when its gate opens: the same net, another pitch."""
    x = rows(voice, (0, 190))
    x[0, 2, 90:] = 1.0
    x[0, 3] = torch.cat((torch.ones(90), torch.zeros(110)))
    audio = sound(voice, x)
    straight = sound(voice, rows(voice, (0, 190)))
    assert audio[: 85 * HOP].tolist() == straight[: 85 * HOP].tolist()
    spectrum = np.abs(np.fft.rfft(audio[95 * HOP : 185 * HOP] * np.hanning(90 * HOP)))
    hz = np.arange(len(spectrum)) * RATE / (90 * HOP)
    lowest = np.flatnonzero(spectrum > 0.3 * spectrum.max())[0]
    assert hz[lowest] == pytest.approx(2 * MIDDLE_C_HZ, abs=5)


def test_a_note_ends_when_another_begins(voice: SpectrogramGAN) -> None:
    found = levels(sound(voice, rows(voice, (0, 60), (61, 120))))
    assert found[58:61].max() == 0  # the door is shut
    assert found[66:115].min() > 0.02


def test_no_grain_and_one_voice() -> None:
    model = small_model("spectrogram_gan", "notes")
    assert "grain" not in model.attributes
    assert model.methods["magnitudes"].out_channels == 2 * 65 + len(OPENINGS) + 2
    with pytest.raises(ConfigError, match=r"a model of notes .* is played by one voice"):
        configure("spectrogram_gan", {"classes": ["a"], "harmonics": 8, "voices": ["a"]})
    assert SpectrogramGANConfig(classes=("a",)).fresh == 8
