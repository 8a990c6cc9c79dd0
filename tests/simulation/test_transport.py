from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo.evaluation.physics import tracks
from particle_zoo.simulation import photons
from particle_zoo.simulation.charge import collect
from particle_zoo.simulation.collisions import LOWEST_SPLIT_KEV, hard_mean, lose
from particle_zoo.simulation.generate import box_of
from particle_zoo.simulation.particles import ELECTRON, POSITRON, PROTON, Particle, particle
from particle_zoo.simulation.sensor import TIMEPIX_300UM
from particle_zoo.simulation.stopping import SILICON, beta2, max_transfer, table
from particle_zoo.simulation.tracks import Deposits, concat_deposits
from particle_zoo.simulation.transport import deposit_all, propagate, turn, turn_polar


def rng() -> np.random.Generator:
    return np.random.default_rng(9)


@pytest.mark.parametrize(
    ("kind", "energy"), [(ELECTRON, 1e3), (ELECTRON, 60.0), (POSITRON, 1e3), (PROTON, 5e4), (PROTON, 2e6)]
)
def test_drawn_losses_have_the_mean_of_the_tables(kind: Particle, energy: float) -> None:
    """Soft and hard collisions together restore the stopping power; the hard ones follow their cross section."""
    n, step = 400_000, 15.0
    e = np.full(n, energy)
    squared, high = beta2(e, kind.mass_kev), max_transfer(e, kind)
    xi = SILICON.xi_kev_per_um / squared * step
    mean = table(kind).dedx(e) * step
    soft, _, transfer = lose(rng(), kind, e, squared, xi, mean, high)
    assert (transfer >= np.maximum(2 * xi[0], LOWEST_SPLIT_KEV) - 1e-9).all()
    assert (transfer <= high[0] + 1e-9).all()
    low = np.maximum(2 * xi, LOWEST_SPLIT_KEV)
    expected = hard_mean(kind, e, squared, xi, low, high)[0]
    # Far in the tail single collisions carry much of the mean; cut there.
    cut = min(high[0], 100 * low[0])
    hard = transfer[transfer < cut].sum() / n
    assert hard == pytest.approx(
        hard_mean(kind, e, squared, xi, low, np.full(n, high[0]))[0] - _above(kind, e, squared, xi, cut, high), rel=0.02
    )
    assert soft.mean() + expected == pytest.approx(mean[0], rel=0.01)
    assert soft.min() >= 0


def _above(kind: Particle, e: np.ndarray, squared: np.ndarray, xi: np.ndarray, cut: float, high: np.ndarray) -> float:
    if cut >= high[0]:
        return 0.0
    return float(hard_mean(kind, e, squared, xi, np.full(len(e), cut), high)[0])


@given(st.integers(0, 2**32 - 1))
def test_turning_keeps_unit_length_and_the_angle(seed: int) -> None:
    random = np.random.default_rng(seed)
    way = random.normal(size=(3, 20))
    way /= np.linalg.norm(way, axis=0)
    first, second = random.normal(0, 0.5, (2, 20))
    after = turn(way, first, second)
    np.testing.assert_allclose(np.linalg.norm(after, axis=0), 1, atol=1e-9)
    np.testing.assert_allclose((way * after).sum(0), np.cos(np.minimum(np.hypot(first, second), np.pi)), atol=1e-9)
    cosine = random.uniform(-1, 1, 20)
    np.testing.assert_allclose((way * turn_polar(way, cosine, first)).sum(0), cosine, atol=1e-7)


def test_energy_is_conserved_by_contained_particles() -> None:
    """What a proton deposits and gives to electrons is what it had; electrons lose some to bremsstrahlung."""
    deposits, knocked, ends = propagate(rng(), PROTON, tracks.inside(2e4, 50), tracks.block(20.0, cut_kev=20.0))
    total = np.bincount(deposits.event, deposits.energy) + np.bincount(knocked.event, knocked.energy, 50)
    np.testing.assert_allclose(total, 2e4, rtol=1e-6)
    assert (ends.energy == 0).all()
    deposits, knocked, _ = propagate(rng(), ELECTRON, tracks.inside(1e3, 500), tracks.block(18.0, cut_kev=50.0))
    total = np.bincount(deposits.event, deposits.energy) + np.bincount(knocked.event, knocked.energy, 500)
    assert (total <= 1e3 + 1e-6).all()
    assert 0.98 < total.mean() / 1e3 < 0.999


def test_electrons_curl_and_protons_do_not() -> None:
    def straightness(kind: Particle, energy: float) -> float:
        deposits, _, ends = propagate(rng(), kind, tracks.inside(energy, 200), tracks.block(18.0))
        far = np.full(200, 0.0)
        distance = np.linalg.norm(deposits.position - 0.5 * tracks.BLOCK_UM, axis=0)
        np.maximum.at(far, deposits.event, distance)
        return float(np.median(far) / ends.path.mean())

    assert straightness(ELECTRON, 1e3) < 0.8
    assert straightness(PROTON, 2e4) > 0.95


def test_fast_and_stepped_muons_agree() -> None:
    """The straight path is a shortcut, not another physics."""
    muon, box = particle("muon"), box_of(TIMEPIX_300UM)
    start = tracks.entering(rng(), muon, TIMEPIX_300UM, np.full(20_000, 4e6), 45.0)
    fast = deposit_all(rng(), muon, start, box)
    slow, knocked, _ = propagate(rng(), muon, start, box)
    slow = concat_deposits([slow, deposit_all(rng(), ELECTRON, knocked, box)])
    medians = [np.median(np.bincount(d.event, d.energy, 20_000)) for d in (fast, slow)]
    assert medians[0] == pytest.approx(medians[1], rel=0.02)


def test_photons_interact_as_the_tables_say() -> None:
    """Klein and Nishina against the incoherent cross section of Elam et al. at 300 keV; mean energy at 662 keV."""
    import xraydb

    energy = np.array([300.0])
    published = xraydb.mu_elam("Si", 3e5, kind="incoh") * SILICON.density * 1e-4
    assert photons.compton_per_um(energy)[0] == pytest.approx(published, rel=0.03)
    kept = photons.klein_nishina(rng(), np.full(100_000, 661.7))
    assert kept.min() >= 1 / (1 + 2 * 661.7 / 511) - 1e-9
    # Mean energy transfer over the photon energy, Evans' tables: 0.39 at 0.66 MeV.
    assert 1 - kept.mean() == pytest.approx(0.386, abs=0.01)


def test_a_fluorescence_photon_is_absorbed_whole_and_a_gamma_scatters() -> None:
    for energy, low, high in ((17.5, 17.0, 17.6), (661.7, 0.0, 480.0)):
        start = tracks.beam(np.full(3000, energy), 300.0)
        spots, electrons = photons.interact(rng(), start, (tracks.BLOCK_UM, tracks.BLOCK_UM, 300.0))
        total = np.bincount(spots.event, spots.energy, 3000) + np.bincount(electrons.event, electrons.energy, 3000)
        assert low <= np.median(total) <= high
        assert (total <= energy + 1e-6).all()


def test_charge_is_shared_by_the_width_of_the_cloud() -> None:
    """On a border one half each; at a corner a quarter; a wide cloud over many pixels, nothing lost."""
    centre, border = 100.5 * 55, 100 * 55.0
    position = np.array([[centre, border, border], [centre, centre, border], [150.0] * 3])
    deposits = Deposits(np.arange(3), position, np.full(3, 60.0), np.zeros(3))
    charge = collect(deposits, TIMEPIX_300UM)
    shared = [charge.energy[charge.event == i] for i in range(3)]
    assert [len(s) for s in shared] == [1, 2, 4]
    np.testing.assert_allclose(shared[1], 30, rtol=1e-6)
    np.testing.assert_allclose(shared[2], 15, rtol=1e-6)
    wide = collect(deposits, TIMEPIX_300UM.with_(temperature_k=400.0, bias_v=36.0, pitch_um=5.0, shape=(1200, 1200)))
    assert wide.energy.sum() == pytest.approx(180, rel=1e-5)
    assert len(wide.energy) > 30


def test_charge_beyond_the_edge_is_lost() -> None:
    position = np.array([[0.0], [27.5], [150.0]])
    charge = collect(Deposits(np.zeros(1, int), position, np.array([60.0]), np.zeros(1)), TIMEPIX_300UM)
    np.testing.assert_allclose(charge.energy, 30, rtol=1e-6)
    assert charge.col.tolist() == [0]
