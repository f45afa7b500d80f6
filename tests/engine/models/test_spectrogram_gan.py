"""The drum voice: streaming is offline, gates latch and restart, weights mix, silence is silent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.models.registry import FAMILIES, build, configure
from engine.models.spectrogram_gan import OPENINGS, SpectrogramGAN, age_tables, openings
from engine.models.spectrogram_gan_config import ATTRIBUTES, SpectrogramGANConfig
from engine.scores import strokes
from tests.engine.models.test_loop_models import streamed
from tests.export.small_models import small_model

FRAMES = 120


@pytest.fixture(scope="module")
def voice():
    return small_model("spectrogram_gan", "drums")


def rows(model, *gates, **asked):
    """Gates at these frames; conditions held throughout, by label."""
    labels = model.config.labels
    x = torch.zeros(1, len(labels), FRAMES)
    x[0, labels.index("velocity")] = 1
    for at in gates:
        x[0, 0, at : at + 2] = 1
    for label, value in asked.items():
        x[0, labels.index(label.replace("_", " "))] = value
    return x


def frames(model, x, **attributes):
    """Tone and noise [2 bins, frames]."""
    values = {name: torch.tensor([float(value)]) for name, value in attributes.items()}
    return model.offline("magnitudes", x, **values)[0, : -len(OPENINGS)]


def test_it_is_in_the_registry():
    row = FAMILIES["spectrogram_gan"]
    assert (row.objective, row.data) == ("frame_game", "hits")
    model = small_model("spectrogram_gan", "drums")
    assert list(model.methods) == ["generate", "magnitudes"]
    assert model.main.name == "generate"
    assert model.main.in_ratio == model.config.hop
    assert [a.name for a in ATTRIBUTES] == ["temperature", "grain", "decay", "seed",
                                            "hold"]
    assert model.methods["magnitudes"].out_channels == 2 * 65 + 3


def test_a_voice_for_a_daisy_keeps_to_its_budget():
    """The network: at most 60 million MACs a second, 400 kB of weights of a byte."""
    config = SpectrogramGANConfig(classes=tuple(f"c{i}" for i in range(12)),
                                  subclasses=tuple(f"s{i}" for i in range(8)), width=88)
    model = build("spectrogram_gan", config)
    rate = config.sample_rate_hz / config.hop
    network = [op for op in model.graph("magnitudes").ops if op.kind == "conv1d"]
    assert 30e6 < sum(op.macs_per_frame for op in network) * rate < 60e6
    assert model.parameter_count < 300e3


def test_streaming_is_offline_for_any_chunking(voice):
    x = torch.from_numpy(strokes.made_up(voice.config.labels, voice.config.groups, FRAMES, 3))[None]
    for name in voice.methods:
        with torch.no_grad():
            whole = voice.offline(name, x)
            for sizes in ((1,), (3, 1, 7), (40,)):
                parts = streamed(voice, name, x, sizes)
                assert parts.shape == whole.shape
                assert (parts - whole).abs().max() < 1e-4
        assert whole.std() > 1e-4


def test_nothing_sounds_before_the_first_gate_nor_long_after_the_last(voice):
    silent = voice.offline("generate", rows(voice))
    assert silent.abs().max() == 0
    x = rows(voice, 30)
    y = voice.offline("generate", x)[0, 0].reshape(-1, voice.config.hop)
    overlap = voice.config.fft // voice.config.hop
    # From the gate's frame on a window begins; the onset is in the last hop of the first.
    assert y[: 30 + overlap].abs().max() == 0
    assert y[30 + overlap].abs().max() > 0.02 * y.abs().max()
    end = 30 + voice.config.frames + voice.config.fade + overlap + 1
    assert y[end:].abs().max() == 0


def test_what_was_asked_for_is_held_from_gate_to_gate(voice):
    x = rows(voice, 10, 60, a=1)
    other = x.clone()
    other[:, 1:, 11:60] = torch.randn(9, 49)  # knobs are turned while nothing is struck
    with torch.no_grad():
        assert torch.equal(frames(voice, x, temperature=0)[:, :60],
                           frames(voice, other, temperature=0)[:, :60])
    changed = x.clone()
    changed[0, voice.config.labels.index("b"), 60:] = 1
    one, two = (frames(voice, each, temperature=0) for each in (x, changed))
    assert torch.equal(one[:, :60], two[:, :60])
    assert (one[:, 60:] - two[:, 60:]).abs().max() > 0.01


def test_a_gate_begins_anew(voice):
    """Far from the stroke before, a second one is the first but for the noise of frames."""
    reach = 20
    x = rows(voice, 2, 80, a=1)
    found = frames(voice, x, temperature=0, grain=0)
    assert (found[:, 2 + reach : 30] - found[:, 80 + reach : 108]).abs().max() < 1e-4
    near = frames(voice, rows(voice, 2, 20, a=1), temperature=0, grain=0)
    assert (near[:, 20] - found[:, 80]).abs().max() > 1e-3  # it hears what rings on


def test_weights_of_classes_mix(voice):
    a, b, half = (frames(voice, rows(voice, 5, **each), temperature=0)
                  for each in ({"a": 1}, {"b": 1}, {"a": 0.5, "b": 0.5}))
    apart = (a - b).abs()[:, 5:].mean()
    assert 0 < (half - a).abs()[:, 5:].mean() < apart
    assert 0 < (half - b).abs()[:, 5:].mean() < apart


def test_z_is_given_drawn_or_both(voice):
    x = rows(voice, 5, 60)
    still = frames(voice, x, temperature=0, grain=0)
    assert (still[:, 30:40] - still[:, 85:95]).abs().max() < 1e-4
    drawn = frames(voice, x, temperature=1, grain=0)
    assert (drawn[:, 30:40] - drawn[:, 85:95]).abs().max() > 1e-3  # two strokes, two z
    assert (drawn - frames(voice, x, temperature=1, grain=0, seed=5)).abs().max() > 1e-3
    given = frames(voice, rows(voice, 5, 60, z_1=2.0), temperature=0, grain=0)
    assert (given - still)[:, 5:].abs().max() > 1e-3


def test_grain_is_what_differs_from_frame_to_frame(voice):
    x = rows(voice, 5)
    one, two = (frames(voice, x, temperature=0, grain=1, seed=seed) for seed in (0, 9))
    assert (one - two)[:, 5:].abs().max() > 1e-3
    one, two = (frames(voice, x, temperature=0, grain=0, seed=seed) for seed in (0, 9))
    assert torch.equal(one, two)


def test_decay_is_the_speed_of_age(voice):
    hop, length = voice.config.hop, voice.config.frames
    ends = []
    for decay in (1.0, 2.0):
        y = voice.offline("generate", rows(voice, 5), decay=torch.tensor([decay]))[0, 0]
        ends.append(int(torch.nonzero(y)[-1]) / hop - 5)
    assert ends[0] == pytest.approx(length + voice.config.fade, abs=5)
    assert ends[1] == pytest.approx((length + voice.config.fade) / 2, abs=5)


def test_tables_of_ages():
    config = SpectrogramGANConfig(frames=100, fade=20)
    known, fading = age_tables(config)
    assert known.shape == (120, 16)
    assert fading.shape == (120, 1)
    assert not fading[:100].any()
    assert fading[-1] == -20.0  # below what is played, from the loudest on
    steps = fading[99:].diff(dim=0)
    assert (steps < 0).all()
    assert (known[:100].diff(dim=0).abs().amax(dim=1) > 1e-4).all()  # ages are told apart
    assert torch.equal(known[100:], known[99:100].expand(20, -1))
    door = openings(config)
    assert door.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(("settings", "said"), [
    ({"fft": 1000}, "model.fft"), ({"fft": 1024, "hop": 300}, "4, 8 or 16 times hop"),
    ({"classes": ["a", "seed"]}, "'seed' is the name of two things"),
    ({"classes": ["a"], "subclasses": ["a"]}, "'a' is the name of two things"),
    ({"classes": ["z 1"]}, "'z 1' is the name"), ({"dilations": []}, "dilations"),
    ({"width": 0}, "model.width"), ({"clases": ["a"]}, "did you mean 'classes'"),
])
def test_mistakes_are_one_line(settings, said):
    with pytest.raises(ConfigError) as raised:
        configure("spectrogram_gan", settings)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_made_up_strokes_are_as_a_player_asks_for_them():
    config = small_model("spectrogram_gan", "drums").config
    x = strokes.made_up(config.labels, config.groups, 4000, 1)
    assert strokes.plays_strokes(config.labels)
    assert not strokes.plays_strokes(("pitch_oct", "gate", "loudness", "free"))
    assert set(np.unique(x[0])) == {0.0, 1.0}
    onsets = np.flatnonzero(np.diff(x[0]) > 0)
    assert len(onsets) > 30
    assert np.diff(onsets).min() >= strokes.SHORTEST
    weights = x[3:5, onsets + 1]
    assert weights.sum(axis=0).max() == pytest.approx(1)
    assert (weights.sum(axis=0) == 0).any()
    assert ((weights > 0) & (weights < 1)).any()
    assert not np.array_equal(x, strokes.made_up(config.labels, config.groups, 4000, 2))
    turns = strokes.in_turn(config.labels, config.classes, 100, 25)
    assert turns[3].reshape(4, 25).all(axis=1).tolist() == [True, False, True, False]
    assert turns[0].sum() == 8


def test_noise_begins_where_it_is_said_to():
    """What is low is a tone, whatever the network says; above nothing changes."""
    config = small_model("spectrogram_gan", "drums").config
    model = SpectrogramGAN(config.model_copy(update={"noise_from_hz": 260.0}))
    other = SpectrogramGAN(config)
    other.load_state_dict(model.state_dict())
    first = model.config.noise_from
    assert first == -(-260 * config.fft // config.sample_rate_hz) > 2
    rows = torch.zeros(1, len(config.labels), 20)  # nothing has faded yet
    rows[:, :2, 0] = 1
    told = model.told_of(rows, model.default_attributes())
    with torch.no_grad():
        (tone, noise), (same, all_noise) = (each.frames_of(told) for each in (model, other))
    assert torch.equal(tone, same)
    assert torch.equal(noise[:, first:], all_noise[:, first:])
    assert noise[:, :first].numpy() == pytest.approx(-14.5)
    assert float(all_noise[:, :first].min()) > -12
