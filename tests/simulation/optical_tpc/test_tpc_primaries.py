from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.simulation.optical_tpc import Deposits, primaries, ranges


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=40)
@given(st.floats(0.1, 200), st.integers(0, 2**32 - 1))
def test_all_energy_is_deposited(energy: float, seed: int) -> None:
    for deposits in (
        primaries.point(energy),
        primaries.nuclear_recoil(energy, rng(seed)),
        primaries.electron(energy, rng(seed)),
    ):
        assert deposits.total_kev == pytest.approx(energy, rel=1e-6)
    assert primaries.alpha(rng(seed), 10 * energy).total_kev == pytest.approx(10 * energy, rel=1e-6)


@pytest.mark.parametrize("energy", [10.0, 20.0, 60.0, 100.0])
def test_electron_paths_have_the_range_of_the_relation(energy: float) -> None:
    """The steps between the middles add up to the path, less what the turns cut off."""
    paths = [
        np.linalg.norm(np.diff(primaries.electron(energy, rng(i)).position, axis=1), axis=0).sum() for i in range(30)
    ]
    expected = float(ranges.electron_range_mm(energy))
    assert 0.75 * expected < np.mean(paths) < expected
    if energy > 50:
        assert np.mean(paths) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("energy", [20.0, 60.0, 100.0])
def test_electrons_come_as_far_as_katz_and_penfold_measured(energy: float) -> None:
    """Practical range against the depth that one electron of twenty passes; independent of the stopping power used."""
    depth = [primaries.electron(energy, rng(i), (0, 0, 1)).z.max() for i in range(100)]
    assert np.percentile(depth, 95) == pytest.approx(float(ranges.practical_range_mm(energy)), rel=0.25)


def test_electron_sizes() -> None:
    """Millimetres at 10 keV, centimetres at tens of keV, and a minimum loss of 2.3-2.5 keV/cm."""
    assert 1 < float(ranges.electron_range_mm(10)) < 3
    assert 30 < float(ranges.electron_range_mm(60)) < 60
    loss = 10 * ranges.electron_dedx(np.geomspace(1, 2000, 500))
    assert (loss > 0).all()
    assert 2.3 < loss.min() < 2.5
    energy = np.geomspace(0.05, 1000, 50)
    np.testing.assert_allclose(ranges.electron_energy_kev(ranges.electron_range_mm(energy)), energy, rtol=1e-3)
    assert (np.diff(ranges.electron_range_mm(energy)) > 0).all()


def test_electrons_lose_most_at_the_end_and_curl() -> None:
    events = [primaries.electron(60, rng(i)) for i in range(40)]
    assert np.mean([e.energy[-20:].sum() / e.energy[:20].sum() for e in events]) > 3
    straight = [
        np.linalg.norm(e.position[:, -1] - e.position[:, 0]) / float(ranges.electron_range_mm(60)) for e in events
    ]
    assert np.median(straight) < 0.75
    # Of first and second half of the path the first is the straighter one.
    halves = [
        [
            np.linalg.norm(part[:, -1] - part[:, 0]) / np.linalg.norm(np.diff(part, axis=1), axis=0).sum()
            for part in np.array_split(e.position, 2, axis=1)
        ]
        for e in events
    ]
    assert np.mean(halves, axis=0)[0] > np.mean(halves, axis=0)[1] + 0.1


def test_recoils_are_shorter_than_a_millimetre() -> None:
    for energy in (1.0, 5.9, 20.0, 100.0):
        position = primaries.nuclear_recoil(energy, rng()).position
        length = np.linalg.norm(position[:, -1] - position[:, 0])
        assert 0 < length < 1
        assert length < float(ranges.recoil_range_mm(energy))
    recoil = primaries.nuclear_recoil(100, rng())
    assert (np.diff(recoil.energy) < 0).all()


def test_minimum_ionising_particles_fluctuate_as_landau() -> None:
    """2.3 keV/cm on average, the most probable loss below it, a tail above; straight."""
    loss = np.array([primaries.mip(50, rng(i)).total_kev for i in range(2000)])
    assert loss.mean() / 5 == pytest.approx(2.3, rel=0.03)
    assert np.median(loss) < 0.97 * loss.mean()
    assert ((loss - loss.mean()) ** 3).mean() / loss.std() ** 3 > 0.7
    track = primaries.mip(200, rng(), (3, 4, 0))
    np.testing.assert_allclose(4 * track.x, 3 * track.y, atol=1e-9)
    assert 150 < np.hypot(track.x, track.y).max() <= 200


def test_alphas_are_straight_and_end_in_a_bragg_peak() -> None:
    """35 mm at 5.5 MeV; Geiger's rule for air, 0.318 E^1.5 cm, scaled with density and sqrt(A), gives 32 mm."""
    track = primaries.alpha(rng(), direction=(1, 0, 0))
    assert track.x.max() == pytest.approx(32, rel=0.15)
    assert not track.y.any()
    assert 0.75 < track.energy.argmax() / len(track) < 0.97
    assert track.energy.max() > 2 * track.energy[0]
    np.testing.assert_allclose(ranges.alpha_energy_kev(ranges.alpha_range_mm(np.array([1.0, 100.0, 5500.0]))), [
        ranges.alpha_energy_kev(ranges.alpha_range_mm(1.0)), 100, 5500,
    ], rtol=1e-3)  # fmt: skip


def test_directions_are_isotropic() -> None:
    ends = np.stack([primaries.alpha(rng(i)).position[:, -1] for i in range(600)])
    unit = ends / np.linalg.norm(ends, axis=1)[:, None]
    np.testing.assert_allclose(unit.mean(0), 0, atol=5 / np.sqrt(3 * 600))
    np.testing.assert_allclose((unit**2).mean(0), 1 / 3, atol=0.06)


@given(st.integers(0, 2**32 - 1))
def test_shifts_and_rotations_keep_shape_and_energy(seed: int) -> None:
    from scipy.spatial.transform import Rotation

    track = primaries.electron(5.9, rng(seed))
    moved = track.rotated(Rotation.from_quat(rng(seed).standard_normal(4)).as_matrix()).centred(1, -2, 30)
    np.testing.assert_allclose(moved.centre, [1, -2, 30], atol=1e-9)
    for deposits in (moved, track.shifted(1, 2, 3)):
        np.testing.assert_array_equal(deposits.energy, track.energy)
        np.testing.assert_allclose(
            np.linalg.norm(np.diff(deposits.position, axis=1), axis=0),
            np.linalg.norm(np.diff(track.position, axis=1), axis=0),
            atol=1e-9,
        )
    np.testing.assert_allclose(track.shifted(1, 2, 3).centre - track.centre, [1, 2, 3], atol=1e-9)


def test_a_quarter_turn_takes_x_to_y() -> None:
    turned = Deposits(np.array([2.0]), np.array([1.0]), np.array([5.0]), np.array([1.0])).rotated(
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    )
    np.testing.assert_allclose(turned.position[:, 0], [-1, 2, 5])


def test_equal_seeds_give_equal_tracks() -> None:
    one, two, other = (primaries.electron(20, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.position, two.position)
    assert not np.array_equal(one.position[:, :5], other.position[:, :5])


@pytest.mark.parametrize("energy", [0, -1.0, float("nan"), float("inf"), True, "much", None])
def test_impossible_energies(energy: object) -> None:
    for make in (
        primaries.point,
        lambda e: primaries.nuclear_recoil(e, rng()),
        lambda e: primaries.electron(e, rng()),
        lambda e: primaries.alpha(rng(), e),
        lambda e: primaries.mip(e, rng()),
    ):
        with pytest.raises(InputError, match="above 0"):
            make(energy)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([], [], [], []), "received none"),
        (([0], [0], [0], [0]), "energy of a deposit must be above 0 keV; received 0.0"),
        (([0], [0], [0], [-1]), "above 0 keV"),
        (([0, 1], [0, 0], [np.nan, 0], [1, 1]), "z of a deposit must be a finite number"),
        (([0, 1], [0], [0], [1]), "one x, y, z and energy a hit"),
    ],
)
def test_impossible_deposits(columns: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Deposits(*(np.array(column, float) for column in columns))


def test_impossible_directions_and_rotations() -> None:
    with pytest.raises(InputError, match="three numbers"):
        primaries.alpha(rng(), direction=(0, 0, 0))
    with pytest.raises(InputError, match="use a point"):
        primaries.electron(0.01, rng())
    for matrix in (np.eye(2), 2 * np.eye(3), np.diag([1, 1, -1])):
        with pytest.raises(InputError, match="orthogonal 3 x 3"):
            primaries.point(1).rotated(matrix)
