"""Shapes of paths, in the prior's own measure."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from tests.export.small_models import small_model
from training.evaluation.paths import shapes
from training.evaluation.paths.hearing import Hearing
from training.evaluation.paths.prior import Prior
from training.evaluation.paths.shapes import Round

NORMAL = Prior(np.zeros(12), np.ones(12))
WIDE = Prior(np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.5, 1.0]))
CODE = Prior(np.zeros(6), np.full(6, 3**-0.5), bounded=True)


@pytest.mark.parametrize("prior", [NORMAL, WIDE, CODE])
def test_normal_coordinates_go_there_and_back(prior):
    z = prior.draw(3)
    assert np.allclose(prior.numbers(prior.normal(z)), z, atol=1e-5)
    assert np.array_equal(prior.draw(3), z)
    assert not np.array_equal(prior.draw(4), z)


def test_draws_are_spread_as_the_prior_is():
    for prior in (NORMAL, WIDE, CODE):
        w = np.stack([prior.normal(prior.draw(seed)) for seed in range(800)])
        assert abs(w.mean()) < 0.1
        assert 0.85 < w.std() < 1.1
    assert np.abs([CODE.draw(seed) for seed in range(100)]).max() <= 0.95


def test_a_traversal_moves_one_number():
    place = WIDE.draw(0)
    path = shapes.traversal(WIDE, place, 1, (-3, -1), 5)
    assert np.allclose(path[:, 1], [-3, -2.5, -2, -1.5, -1])
    assert np.allclose(path[:, [0, 2]], place[[0, 2]])
    with pytest.raises(ConfigError, match="there are 3 numbers"):
        shapes.traversal(WIDE, place, 3, (0, 1), 5)


def test_lines_join_places():
    places = [NORMAL.draw(seed) for seed in range(3)]
    path = shapes.line(places, 4)
    assert path.shape == (7, 12)
    assert np.allclose(path[[0, 3, 6]], places)
    assert np.allclose(np.diff(path[:4], n=2, axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("prior", [NORMAL, WIDE, CODE])
def test_a_sphere_keeps_between_the_radii_of_its_ends(prior):
    places = [prior.draw(1), prior.draw(2)]
    path = shapes.sphere(prior, places, 9)
    assert np.allclose(path[[0, -1]], places, atol=1e-5)
    radii = np.linalg.norm(prior.normal(path), axis=1)
    assert np.allclose(radii, np.linspace(radii[0], radii[-1], 9), atol=1e-3)
    line = np.linalg.norm(prior.normal(shapes.line(places, 9)), axis=1)
    assert line[4] < radii[4] - 0.01
    steps = np.linalg.norm(np.diff(prior.normal(path) / radii[:, None], axis=0), axis=1)
    assert np.allclose(steps, steps[0], rtol=1e-2)


def test_a_sphere_between_a_place_and_itself_or_its_opposite_is_a_line():
    a = NORMAL.draw(0)
    for b in (a, -a, np.zeros(12, np.float32)):
        path = shapes.sphere(NORMAL, [a, b], 5)
        assert np.isfinite(path).all()
        assert np.allclose(path, shapes.line([a, b], 5), atol=1e-5)


@pytest.mark.parametrize("step", [0.1, 0.5, 2**0.5])
def test_a_walk_is_as_spread_as_the_prior_at_its_end_as_at_its_beginning(step):
    starts = [NORMAL.draw(seed) for seed in range(200)]
    walks = np.stack([shapes.walk(NORMAL, start, 60, step, seed)
                      for seed, start in enumerate(starts)])
    assert np.array_equal(walks[:, 0], starts)
    for at in (0, 20, 59):
        assert walks[:, at].std() == pytest.approx(1, abs=0.06)
    sizes = np.diff(walks, axis=1)
    assert sizes.std() == pytest.approx(step, rel=0.05)


def test_a_walk_wants_a_step_that_there_can_be():
    for step in (0, 1.5, -1, float("nan")):
        with pytest.raises(ConfigError, match="--step"):
            shapes.walk(NORMAL, NORMAL.draw(0), 5, step, 0)


def test_a_circle_closes_at_its_radius():
    centre = WIDE.draw(0)
    plane = shapes.random_plane(WIDE, "x", np.random.default_rng(0))
    path = shapes.circle(WIDE, centre, plane, Round(1.5, 2), 33)
    w = WIDE.normal(path) - WIDE.normal(centre)
    assert np.allclose(np.linalg.norm(w, axis=1), 1.5, atol=1e-5)
    assert np.allclose(path[0], path[-1], atol=1e-5)
    assert np.allclose(path[0], path[16], atol=1e-5)  # after one of its two turns
    assert np.allclose(path[8] - centre, centre - path[0], atol=1e-5)
    assert np.allclose(w @ plane[2], 0, atol=1e-5)


def test_a_spiral_grows_and_climbs():
    centre = NORMAL.draw(0)
    plane = shapes.random_plane(NORMAL, "x", np.random.default_rng(0))
    path = shapes.spiral(NORMAL, centre, plane, Round(2, 3, 0.5), 97)
    w = NORMAL.normal(path) - NORMAL.normal(centre)
    across = np.linalg.norm(w @ plane[:2].T, axis=1)
    assert np.allclose(across, np.linspace(0, 2, 97), atol=1e-5)
    assert np.allclose(w @ plane[2], np.linspace(-0.75, 0.75, 97), atol=1e-5)
    flat = Prior(np.zeros(2), np.ones(2))
    with pytest.raises(ConfigError, match="--pitch"):
        shapes.spiral(flat, flat.draw(0), shapes.random_plane(flat, "x", np.random.default_rng(0)),
                      Round(1, 1, 1), 5)


@pytest.fixture(scope="module")
def hearing():
    return Hearing(small_model("spectrogram_gan", "drums"), "drums", {"a": 1.0})


@pytest.mark.parametrize("kind", shapes.PLANES)
def test_planes_are_orthonormal(hearing, kind):
    plane = shapes.plane_of(hearing, kind, hearing.prior.draw(0), 1)
    assert plane.shape == (3, 3)
    assert np.allclose(plane @ plane.T, np.eye(3), atol=1e-9)


def test_the_descriptors_plane_is_where_brightness_rises(hearing):
    centre = hearing.prior.draw(0)
    plane = shapes.plane_of(hearing, "descriptors", centre, 1)

    def middle(w):
        heard = hearing.heard(hearing.prior.numbers(w)[None])[0]
        bands = (heard * heard.shape[1] ** 0.5).reshape(hearing.bands, -1).mean(dim=1)
        return float(bands.softmax(0) @ np.arange(hearing.bands, dtype=np.float32))

    w = hearing.prior.normal(centre)
    rises = [middle(w + 0.05 * row) - middle(w - 0.05 * row) for row in plane]
    assert rises[0] > 0
    assert rises[0] > 5 * abs(rises[1])
    assert rises[0] > 5 * abs(rises[2])


def test_one_number_makes_no_plane():
    with pytest.raises(ConfigError, match="no circle"):
        shapes.random_plane(Prior(np.zeros(1), np.ones(1)), "x", np.random.default_rng(0))
