"""Harmonics of the waveform autoencoder: what encode tells, what decode makes of it, that a model
without them is as it was, and that its weights do to begin with."""

from __future__ import annotations

from itertools import pairwise
from math import log2

import pytest
import torch

from engine.description import Latent
from engine.errors import ConfigError
from engine.layers.pitch import MIDDLE_C_HZ
from engine.models.raw_vae import RawVAE
from engine.models.registry import build

RATE = 16000
SMALL = {"latents": 3, "bands": 4, "compression": 64, "strides": (4, 4), "widths": (8, 8, 6),
         "dilations": (1,), "sample_rate_hz": RATE}


def make(**changes: object) -> RawVAE:
    torch.manual_seed(0)
    made = build("raw_vae", {**SMALL, **changes})
    assert isinstance(made, RawVAE)
    return made.eval()


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    """A sawtooth of twenty partials, [1, 1, samples]."""
    t = torch.arange(int(seconds * RATE), dtype=torch.float64) / RATE
    partials = [torch.sin(2 * torch.pi * k * hertz * t) / k for k in range(1, 21)
                if k * hertz < RATE / 2]
    return (0.2 * torch.stack(partials).sum(dim=0)).float()[None, None]


@pytest.mark.parametrize("hertz", [110.0, 261.63, 452.9])
def test_encode_tells_pitch_in_octaves_and_clarity(hertz: float) -> None:
    made = make(harmonics=8)
    assert made.controls == made.tracked == ("pitch", "clarity")
    assert made.methods["encode"].output_labels[-2:] == ("pitch_oct", "clarity")
    pitch, clarity = made.offline("encode", tone(hertz))[0, -2:, 60:]
    assert 1200 * (pitch - log2(hertz / MIDDLE_C_HZ)).abs().max() < 10
    assert clarity.min() > 0.9
    silent = made.offline("encode", torch.zeros(1, 1, RATE))[0, -1]
    assert silent.max() == 0


@torch.no_grad()
def heard(made: RawVAE, octaves: float, moved: float = 0.0) -> list[float]:
    """Frequencies of the peaks that harmonics make of a held pitch, the other heads muted; `moved`:
    by the attribute that a player has."""
    for branch in made.decoder.layers[-3].branches:
        for part in branch.layers[0].parameters():
            part.zero_()
    if made.config.noise:
        made.decoder.layers[-3].branches[1].layers[0].bias.fill_(-60)
    z = torch.zeros(1, made.coded, 300)
    z[0, -2:] = torch.tensor([[octaves], [1.0]])
    bias = torch.zeros(made.coded)
    bias[-2] = moved
    y = made.offline("decode", z, bias=bias)[0, 0, -16384:].double()
    spectrum = torch.fft.rfft(y * torch.hann_window(16384, dtype=torch.float64)).abs()
    inner = spectrum[1:-1]
    peaks = (inner > spectrum[:-2]) & (inner >= spectrum[2:]) & (inner > 0.1 * inner.max())
    found = []
    for at in (peaks.nonzero().flatten() + 1).tolist():
        a, b, c = spectrum[at - 1 : at + 2].log()
        found.append(float(at + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / 16384)
    return found


@pytest.mark.parametrize("moved", [-1.0, 0.0, 1.0])
def test_an_asked_transposition_is_exact(moved: float) -> None:
    wanted = MIDDLE_C_HZ * 2 ** (0.3 + moved)
    found = heard(make(harmonics=8), 0.3, moved)
    assert len(found) > 1, "several partials"
    for hertz in found:
        number = round(hertz / wanted)
        assert 1200 * abs(log2(hertz / wanted / number)) < 1, found
    for below, above in pairwise(found):
        assert abs(above - below - wanted) < 0.5, "no partial is missing in between"


def test_below_the_crossover_and_without_clarity_nothing_sounds() -> None:
    made = make(harmonics=8)
    assert min(heard(made, 0.0)) > 700
    assert min(heard(make(harmonics=8, crossover_hz=(100.0, 200.0)), 0.0)) < 300
    z = torch.zeros(1, made.coded, 100)
    assert made.offline("decode", z).abs().max() < 1e-6


def test_harmonics_may_ask_for_more_clarity() -> None:
    """A chord is half clear: what sounds there is a pitch that nobody plays."""
    half = torch.tensor([[0.0], [0.8]])
    levels = []
    for made in (make(harmonics=8), make(harmonics=8, clear=(0.9, 0.98))):
        assert made.tones is not None
        z = torch.cat((half, torch.zeros(made.tones.harmonics.bands, 1))).expand(-1, 20)
        levels.append(float(made.tones.harmonics.offline(z[None]).abs().max()))
    assert levels[0] > 0.1
    assert levels[1] == 0


def test_a_model_without_harmonics_is_as_it_was() -> None:
    made = make()
    said = set(made.config.model_dump(mode="json"))
    assert not {"harmonics", "crossover_hz", "clear", "octave_check"} & said
    assert not made.tracked
    assert not [name for name in made.state_dict() if name.startswith("tones")]
    kinds = {op.kind for method in made.methods for op in made.graph(method).ops}
    assert not kinds & {"pitch_track", "harmonics"}


def test_weights_without_harmonics_do_to_begin_with() -> None:
    """Where no pitch is clear both play the same; latents code the same sound."""
    plain, tonal = make(), make(harmonics=8)
    with torch.no_grad():
        for part in tonal.parameters():
            part.add_(1.0)
    tonal.begin_with(plain)
    z = torch.randn(2, 3, 50)
    z_tonal = torch.cat((z, torch.randn(2, 1, 50), torch.zeros(2, 1, 50)), dim=1)
    assert torch.allclose(plain.offline("decode", z), tonal.offline("decode", z_tonal), atol=1e-6)
    x = tone(300.0)
    assert torch.equal(plain.offline("encode", x), tonal.offline("encode", x)[:, :3])
    again = make(harmonics=8)
    again.begin_with(tonal)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), tonal.parameters(),
                                                 strict=True))


def test_weights_with_harmonics_do_for_a_model_without() -> None:
    """It plays on where no pitch is clear, and its latents code the same sound; what is about
    harmonics may differ only where there are none."""
    tonal, plain = make(harmonics=8, controls=("loudness",)), make(controls=("loudness",))
    tonal.begin_with(make(harmonics=8, controls=("loudness",)))
    plain.begin_with(tonal)
    z = torch.randn(2, 4, 50)
    unclear = torch.cat((z, torch.zeros(2, 2, 50)), dim=1)
    assert torch.allclose(plain.offline("decode", z), tonal.offline("decode", unclear), atol=1e-6)
    x = tone(300.0)
    assert torch.equal(plain.offline("encode", x), tonal.offline("encode", x)[:, :4])
    assert {"harmonics", "clear", "channels"} <= plain.config.may_differ(tonal.config)
    other = make(harmonics=8, clear=(0.9, 0.98)).config
    assert not {"harmonics", "clear"} & tonal.config.may_differ(other)


def test_what_was_measured_of_latents_is_known_with_harmonics_and_without() -> None:
    """So that training finds by how much their log_stds were raised, and takes that back."""
    tonal, plain = make(harmonics=8, controls=("loudness",)), make(controls=("loudness",))
    told = tuple(Latent(-1.0, 1.0, 0.0, 0.5, 2.0, True, 1.0, i, "", 0.25 * i) for i in range(6))
    assert plain.known(tonal) == ()
    tonal.set_latents(told)
    plain.set_latents(plain.known(tonal))
    assert plain.latents == told[:4]
    again = make(harmonics=8, controls=("loudness",))
    again.set_latents(again.known(plain))
    assert again.latents[:4] == told[:4]
    assert [latent.widened for latent in again.latents[4:]] == [0, 0]
    assert make(latents=2).known(plain) == ()


def test_training_hears_what_forward_and_encode_give() -> None:
    made, x = make(harmonics=8, controls=("loudness",)), tone(300.0)
    mean, log_std = made.distribution(x)
    assert torch.equal(mean, made.offline("encode", x))
    assert log_std[:, -2:].max() == -10, "what is tracked is never drawn"
    played = made.reconstruct(mean)
    assert torch.allclose(played, made.offline("decode", mean), atol=1e-6)
    first, second = made.draws(mean, 2)
    assert torch.allclose(first, played, atol=1e-6)
    assert (first - second).abs().max() > 1e-3, "two draws of the noise"


def test_latents_may_be_sorted_rescaled_and_silenced_beside_what_is_tracked() -> None:
    made, x = make(harmonics=8, controls=("loudness",)), tone(300.0)
    before, played = made.offline("encode", x), made.offline("forward", x)
    made.rescale_latents(torch.tensor([2.0, 0.5, 4.0]))
    made.permute_latents(torch.tensor([2, 0, 1]))
    after = made.offline("encode", x)
    assert torch.allclose(after[:, :3] * torch.tensor([4.0, 2.0, 0.5])[:, None],
                          before[:, [2, 0, 1]], atol=1e-5)
    assert torch.equal(after[:, 3:], before[:, 3:])
    assert torch.allclose(made.offline("forward", x), played, atol=1e-5)
    made.silence_latents(1, after[0].mean(dim=1))
    quiet = made.offline("encode", x)
    assert quiet[:, 1:3].abs().max() == 0
    assert torch.equal(quiet[:, 3:], before[:, 3:])


@pytest.mark.parametrize(("changes", "said"), [
    ({"channels": 2}, "harmonics need channels = 1"),
    ({"controls": ("pitch",)}, "pitch is tracked"),
    ({"sample_rate_hz": 4000}, "above 4000"),
    ({"harmonics": -1}, "harmonics"),
    ({"crossover_hz": (900.0, 700.0)}, "must rise"),
    ({"clear": (0.9, 1.2)}, "clear must rise between 0 and 1"),
])
def test_what_harmonics_cannot_go_with_is_said(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(**{"harmonics": 8, **changes})
