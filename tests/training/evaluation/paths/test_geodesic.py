"""Geodesics: noise is frozen, ends stay, energy falls, and is never above the lines'."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.export.small_models import small_model
from training.evaluation.paths import figures
from training.evaluation.paths.geodesic import FINER, Search, Way, bends, energy, evened, find, way
from training.evaluation.paths.hearing import Hearing
from training.evaluation.paths.prior import Prior

MODELS = [("spectrogram_gan", "drums"), ("raw_vae", "mono"), ("latent_flow", "loops"),
          ("latent_vae", "loops")]


def hearing_of(family, name, **more):
    return Hearing(small_model(family, name), name, bars=1 / 16, **more)


class Bent:
    """What is heard of two numbers lies on a parabola: its geodesics are known. `Hearing`'s part of
    the bargain."""

    prior = Prior(np.zeros(2), np.ones(2))

    def features(self, z):
        return torch.stack((z[:, 0], z[:, 1] - z[:, 0].square()), dim=1) * self.stretch(z)

    def measured(self, z):
        return self.features(z), z[:, :0]

    def stretch(self, z):
        return 1.0

    def heard(self, z):
        with torch.no_grad():
            return self.features(torch.from_numpy(np.asarray(z, np.float32))), None


A, B = np.array([-1, 0], np.float32), np.array([1, 0], np.float32)


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_a_known_geodesic_is_found(optimiser):
    """In what is heard it is a straight line: z2 = z1^2 - 1 between these ends."""
    found = find(Bent(), A, B, Search(optimiser=optimiser))
    z = found.geodesic.z
    assert np.allclose(z[[0, -1]], [A, B], atol=1e-6)
    assert np.allclose(z[:, 1], np.square(z[:, 0]) - 1, atol=0.1)
    assert found.chord == pytest.approx(2)
    assert found.geodesic.energy == pytest.approx(2, rel=0.03)
    assert found.line.energy > 1.5 * found.geodesic.energy
    assert found.geodesic.speed_variation < 0.03
    assert not found.kept_line


def test_what_leaves_the_prior_costs():
    free = bends(Bent(), 2 * A, 2 * B, Search(leaving=0.0))
    held = bends(Bent(), 2 * A, 2 * B, Search(leaving=1000.0))

    def farthest(w):
        t = np.linspace(0, 1, 13)[:, None]
        z = 2 * A + t * 2 * (B - A) + np.sin(np.pi * t * np.arange(1, 5)) @ w
        return np.linalg.norm(z, axis=1).max()

    reach = Bent.prior.reach() ** 0.5
    assert farthest(free) > reach
    assert farthest(held) < reach + 0.05


def test_a_curve_is_laid_out_evenly():
    class Slow(Bent):
        def features(self, z):
            return z[:, :1].exp()

    def straight(t):
        return A + t[:, None] * (B - A)

    before = way(Slow(), straight(np.linspace(0, 1, 13)))
    after = evened(Slow(), straight, 13)
    assert before.speed_variation > 0.5
    assert after.speed_variation < 0.02
    assert after.energy == pytest.approx(before.length**2 / 2, rel=0.01)
    assert np.allclose(after.z[[0, -1]], [A, B])


def test_the_line_is_kept_where_nothing_is_shorter():
    class Flat(Bent):
        def features(self, z):
            return z

    found = find(Flat(), A, B, Search(steps=3))
    assert np.allclose(found.geodesic.z, found.even_line.z, atol=1e-4)
    assert found.geodesic.energy <= found.even_line.energy * (1 + 1e-6)


def test_what_lies_between_knots_counts():
    heard = torch.tensor([[0.0], [1], [0], [1], [1]])
    assert FINER == 4
    found = Way(np.zeros((2, 1), np.float32), heard)
    assert found.length == 3
    assert found.energy == float(energy(heard)) == 6


@pytest.mark.parametrize(("family", "name"), MODELS)
def test_noise_is_frozen(family, name):
    """A place sounds the same wherever it stands in a batch, and between two places that are the
    same nothing changes."""
    hearing = hearing_of(family, name)
    a, b = hearing.prior.draw(0), hearing.prior.draw(1)
    both, sounds = hearing.heard(np.stack([a, b, a]))
    assert torch.equal(both[0], both[2])
    assert np.array_equal(sounds[0], sounds[2])
    assert not torch.equal(both[0], both[1])
    alone = hearing.heard(b[None])[0][0]
    assert torch.allclose(alone, both[1], atol=1e-5)
    other = hearing_of(family, name, seed=5).heard(np.stack([a, b]))[0]
    assert not torch.equal(other[0], both[0])


@pytest.mark.parametrize(("family", "name"), MODELS)
def test_energies_fall(family, name):
    hearing = hearing_of(family, name)
    # What is not trained is nearly straight near the middle.
    wide = 1 if hearing.prior.bounded else 5
    a, b = (wide * hearing.prior.draw(seed) for seed in range(2))
    found = find(hearing, a, b, Search(points=4, steps=8))
    assert found.geodesic.energy < found.line.energy
    assert found.geodesic.energy <= found.even_line.energy
    assert found.geodesic.energy > 0.99 * found.chord
    pair = figures.pair_figures(hearing, found)
    assert pair["energy"]["line"] == 1
    assert pair["energy"]["geodesic"] == pytest.approx(found.geodesic.energy / found.line.energy)
    assert figures.summary([pair])["met"]["over_even_line"]


def test_held_values_are_heard():
    a = np.zeros((1, 3), np.float32)
    heard = [hearing_of("spectrogram_gan", "drums", held=held).heard(a)[0]
             for held in ({}, {"a": 1.0}, {"b": 1.0}, {"grain": 0.0})]
    assert not any(torch.equal(x, y) for i, x in enumerate(heard) for y in heard[:i])


def pair(energy, even, speed, rough):
    each = dict.fromkeys(figures.DESCRIPTORS, 1.0)
    return {"energy": {"line": 1.0, "even_line": even, "geodesic": energy}, "chord": 0.1,
            "length": 0.5, "speed_variation": {"line": 0.5, "even_line": 0.1, "geodesic": speed},
            "roughness": {"line": each, "even_line": each,
                          "geodesic": {**each, "centroid": rough}},
            "kept_line": False, "outside": 1.0}


def test_goals_are_met_or_missed():
    good = figures.summary([pair(0.5, 0.9, 0.05, 0.5), pair(0.9, 0.95, 0.2, 2.0),
                            pair(0.6, 0.9, 0.05, None)])
    assert good["energy"] == 0.6
    assert good["smooth_shares"]["centroid"] == 0.5
    assert good["smooth_share"] == pytest.approx(10 / 11)
    assert all(good["met"].values())
    bad = figures.summary([pair(0.85, 0.8, 0.2, 2.0)])
    assert not any(bad["met"].values())


def test_descriptors_of_known_sounds():
    t = np.arange(8000) / 8000
    sounds = np.stack([0.5 * np.sin(2 * np.pi * 1000 * t), 0.25 * np.sin(2 * np.pi * 2000 * t),
                       0 * t]).astype(np.float32)
    found = figures.described(sounds, 8000)
    assert found[0, :2] == pytest.approx(np.log2([1000, 2000]), abs=0.05)
    rms = found[figures.DESCRIPTORS.index("rms")]
    assert rms[0] - rms[1] == pytest.approx(6.02, abs=0.1)
    assert np.isnan(found[0, 2])
    assert figures.roughness(np.array([0, 1.0, 2, 3])) == 0
    assert figures.roughness(np.array([0, 1.0, 0])) == 2
