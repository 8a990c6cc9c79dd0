from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from particle_zoo import InputError
from particle_zoo.simulation.optical_tpc import Deposits, Digitiser, digitise, presets, primaries
from particle_zoo.simulation.optical_tpc.amplify import Clouds, light

SMALL = (256, 256)


def spots(digitiser: Digitiser, energy: float, z: float, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Integral and brightest pixel of n points."""
    rng = np.random.default_rng(seed)
    images = [digitiser.digitise(primaries.point(energy).shifted(z=z), rng) for _ in range(n)]
    return np.array([i.integral for i in images]), np.array([i.drawn.max(initial=0) for i in images])


def heap(energy: float, n: int, z: float) -> Deposits:
    """n hits in one place."""
    return Deposits(np.zeros(n), np.zeros(n), np.full(n, z), np.full(n, energy))


@pytest.mark.parametrize("z_cm", [5, 25, 50])
@pytest.mark.parametrize("preset", ["lime", "lemon_fe55", "quest"])
def test_spots_are_as_wide_as_the_formula_says(preset: str, z_cm: float) -> None:
    """RMS of the light along rows and columns, in mm; the constants are those of the programs' configurations."""
    digitiser = Digitiser(preset, shape=SMALL, vignetting=False, saturation=False)
    image = digitiser.digitise(heap(5.9, 20, 10 * z_cm), np.random.default_rng(2)).expected.astype(np.float64)
    zero, slope = (0.1225, 0.013225) if preset == "lemon_fe55" else (0.13475, 0.0143819)
    for axis in (0, 1):
        profile = image.sum(axis)
        place = np.arange(len(profile))
        mean = (profile * place).sum() / profile.sum()
        width = np.sqrt((profile * (place - mean) ** 2).sum() / profile.sum()) * 346 / 2304
        assert width == pytest.approx(np.sqrt(zero + slope * z_cm), rel=0.05)


def test_light_of_iron_55_in_lime() -> None:
    """5.9 keV: 6,000-10,500 counts, less near the GEMs, where the electrons are dense and the last one saturates."""
    digitiser = Digitiser("lime", shape=SMALL)
    means = {z: spots(digitiser, 5.9, z, 100)[0] for z in (50, 250, 450)}
    for integral in means.values():
        assert 6_000 - 3 * integral.std() / 10 < integral.mean() < 10_500
    assert means[250].mean() > 1.3 * means[50].mean()
    # A resolution of 10-20 % (arXiv:2305.06168), the better where saturation evens out the gain.
    assert 0.05 < means[50].std() / means[50].mean() < means[450].std() / means[450].mean() < 0.2


def test_light_of_one_kev_in_lime() -> None:
    """About 1,800-2,050 counts, brightest pixel 26-45, as a few events of another implementation of the chain gave.

    This one gives 1,960, 2,130 and 1,890 counts at 5, 25 and 45 cm (errors 15), and 47, 34 and 26 in the brightest pixel.
    """
    digitiser = Digitiser("lime", shape=SMALL)
    integral, brightest = zip(*(spots(digitiser, 1.0, z, 200) for z in (50, 250, 450)), strict=True)
    assert 1_800 < np.mean(integral) < 2_050
    assert 26 < np.mean(brightest) < 45
    np.testing.assert_allclose([i.mean() for i in integral], [1957, 2128, 1893], rtol=0.05)
    np.testing.assert_allclose([b.mean() for b in brightest], [46.8, 34.0, 25.9], rtol=0.05)


def electron_by_electron(digitiser: Digitiser, energy: float, z: float, rng: np.random.Generator) -> np.ndarray:
    """Counts of a point in the middle, every electron placed by itself, as CYGNO's programs do."""
    chain, pitch, side = digitiser.chain, digitiser.camera.pitch_mm, 64
    primary = rng.poisson(energy / chain.w_kev * np.exp(-z / chain.absorption_mm))
    gain = chain.gain * chain.extraction
    n = round(rng.exponential(gain, primary).sum() * gain)
    x, y = (np.floor(rng.normal(0, chain.sigma_t_mm(np.array(z)), n) / pitch).astype(int) + side // 2 for _ in range(2))
    depth = np.floor(rng.normal(0, chain.sigma_l_mm(np.array(z)), n) / 0.1).astype(int) + side // 2
    electrons = np.bincount((y * side + x) * side + depth, minlength=side**3)
    out = (electrons * chain.gain / (1 + chain.beta * chain.gain * electrons)).reshape(side, side, side).sum(2)
    solid_angle = 1 / (4 * (346 / 14.976 + 1) * 0.95) ** 2
    return np.floor(rng.poisson(out * 0.07 * solid_angle * 0.8) / 0.21)


def test_voxels_agree_with_electrons_placed_one_by_one() -> None:
    """Integral, brightest pixel and lit pixels of 1 keV at 15 cm, with saturation, from 80 events each way."""
    rng = np.random.default_rng(3)
    slow = [electron_by_electron(Digitiser("lime"), 1.0, 150.0, rng) for _ in range(80)]
    digitiser = Digitiser("lime", shape=SMALL, vignetting=False)
    fast = [digitiser.digitise(primaries.point(1.0).shifted(z=150), rng).drawn for _ in range(80)]
    for measure in (np.sum, np.max, np.count_nonzero):
        one, other = (np.array([measure(image) for image in images]) for images in (slow, fast))
        error = np.hypot(one.std(), other.std()) / np.sqrt(80)
        assert one.mean() == pytest.approx(other.mean(), abs=3.5 * error)
        assert one.std() == pytest.approx(other.std(), rel=0.3)


def test_light_is_proportional_to_energy_without_saturation() -> None:
    digitiser = Digitiser("lime", shape=SMALL, saturation=False)
    rng = np.random.default_rng(4)
    per_kev = [
        digitiser.digitise(heap(energy, round(6_000 / energy), 250), rng).expected.sum(dtype=np.float64)
        / (energy * round(6_000 / energy))
        for energy in (0.25, 1.0, 5.9, 20.0, 60.0)
    ]
    np.testing.assert_allclose(per_kev, np.mean(per_kev), rtol=0.02)
    # Gains, light and optics multiplied by hand.
    gem = 0.03 * np.exp(0.0209 * 440) * 0.87319885 * np.exp(-0.88)
    photons = 0.07 * 0.8 / 0.21 / (4 * (346 / 14.976 + 1) * 0.95) ** 2
    by_hand = 1 / 0.035 * np.exp(-250 / 1350) * gem**2 * 0.03 * np.exp(0.0209 * 440) * photons
    assert np.mean(per_kev) == pytest.approx(by_hand, rel=0.01)


@pytest.mark.parametrize("n", [7, 30, 169])
def test_fluctuations_of_the_first_gem(n: int) -> None:
    """Exponential gain of each electron: 1/sqrt(n); with Poisson electrons sqrt(2) of it."""
    digitiser, rng = Digitiser("lime", shape=SMALL), np.random.default_rng(5)
    alone = digitiser.first_gem(np.full(20_000, n), rng)
    assert alone.std() / alone.mean() == pytest.approx(1 / np.sqrt(n), rel=0.1)
    assert alone.mean() == pytest.approx(n * digitiser.chain.gain * digitiser.chain.extraction, rel=0.02)
    deposits = Deposits(*np.zeros((3, 20_000)), np.full(20_000, n * digitiser.chain.w_kev))
    both = digitiser.first_gem(digitiser.primary_electrons(deposits, rng), rng)
    assert both.std() / both.mean() == pytest.approx(np.sqrt(2 / n), rel=0.1)


@pytest.mark.parametrize(("preset", "length"), [("lime", 1350), ("lemon_fe55", 1400)])
def test_absorption_takes_electrons_and_leaves_the_poisson_law(preset: str, length: float) -> None:
    digitiser, rng = Digitiser(preset, shape=SMALL), np.random.default_rng(6)
    deposits = Deposits(np.zeros(20_000), np.zeros(20_000), np.full(20_000, 450.0), np.full(20_000, 1.0))
    electrons = digitiser.primary_electrons(deposits, rng)
    assert electrons.mean() == pytest.approx(np.exp(-450 / length) / digitiser.chain.w_kev, rel=0.01)
    assert electrons.var() == pytest.approx(electrons.mean(), rel=0.05)


def test_vignetting_is_that_of_the_map() -> None:
    """1.00 in the middle, 0.63 at the middle of an edge, 0.26 in a corner; the map's mean is 0.74."""
    profile = presets.camera("lime").vignetting()
    assert profile[1152, 1152] == pytest.approx(1.0, abs=0.001)
    for edge in (profile[0, 1152], profile[-1, 1152], profile[1152, 0], profile[1152, -1]):
        assert edge == pytest.approx(0.63, abs=0.005)
    assert profile[0, -1] == pytest.approx(0.26, abs=0.005)
    assert profile.mean() == pytest.approx(0.74, abs=0.02)
    np.testing.assert_array_equal(presets.camera("lime").vignetting((100, 60)), profile[1102:1202, 1122:1182])
    wide = presets.camera("quest").vignetting()
    assert wide.shape == (2304, 4096)
    assert wide.min() == pytest.approx(0.26, abs=0.005)


@pytest.mark.parametrize("preset", ["lime", "lemon_fe55"])
def test_light_at_the_edge_is_weaker(preset: str) -> None:
    """Vignetting before or after the draw of photons: the mean is the same, 0.63 at 172 mm."""
    rng = np.random.default_rng(7)
    full, flat = (Digitiser(preset, saturation=False, vignetting=on) for on in (True, False))
    seen = full.digitise(heap(5.9, 400, 50).shifted(y=165), rng)
    plain = flat.digitise(heap(5.9, 400, 50).shifted(y=165), rng)
    share = 1 - 0.37 * (165 / 173) ** 2
    assert seen.expected.sum() / plain.expected.sum() == pytest.approx(share, rel=0.02)
    assert seen.integral / plain.integral == pytest.approx(share, rel=0.02)


def test_counts_are_whole_photo_electrons_cut_to_whole_numbers() -> None:
    """LIME: k / 0.21 without its fraction; one photo-electron is 4 counts. The older program draws counts themselves."""
    lime = digitise(heap(5.9, 3, 200), "lime", seed=8, shape=SMALL).drawn
    allowed = np.floor(np.arange(200) / 0.21)
    assert np.isin(lime, allowed).all()
    assert lime[lime > 0].min() == 4
    older = digitise(heap(5.9, 3, 200), "lemon_fe55", seed=8, shape=SMALL).drawn
    assert older[older > 0].min() == 1


def test_saturation_dims_and_its_constant_belongs_to_the_voxel() -> None:
    rng = np.random.default_rng(9)
    events = [heap(5.9, 1, 50) for _ in range(150)]
    light_of = {
        name: np.mean([digitiser.digitise(e, rng).expected.sum() for e in events])
        for name, digitiser in {
            "usual": Digitiser("lime", shape=SMALL),
            "thick": Digitiser("lime", shape=SMALL, voxel_z_mm=0.2),
            "thin": Digitiser("lime", shape=SMALL, voxel_z_mm=0.05),
            "none": Digitiser("lime", shape=SMALL, saturation=False),
        }.items()
    }
    assert light_of["usual"] < 0.5 * light_of["none"]
    assert light_of["thick"] == pytest.approx(light_of["usual"], rel=0.03)
    assert light_of["thin"] == pytest.approx(light_of["usual"], rel=0.03)
    flash = Digitiser("lemon_fe55", camera="orca_flash")
    assert flash.beta == pytest.approx(1e-5 * (346 / 2304) ** 2 / 0.125**2)


def test_rows_are_y_and_columns_are_x() -> None:
    """A line along x is wide and low; it lies right of the middle where x > 0 and below it where y > 0."""
    line = Deposits(np.linspace(0, 12, 100), np.full(100, 4.0), np.full(100, 100.0), np.full(100, 0.3))
    image = digitise(line, "lime", seed=1, shape=(200, 300))
    expected, drawn = image.frame()
    assert expected.shape == drawn.shape == (200, 300)
    row, col = (np.average(np.arange(n), weights=expected.sum(1 - axis)) for axis, n in enumerate((200, 300)))
    assert row + 0.5 == pytest.approx(100 + 4 * 2304 / 346, abs=0.5)
    assert col + 0.5 == pytest.approx(150 + 6 * 2304 / 346, abs=2)
    lit_rows, lit_cols = (np.ptp(np.flatnonzero((expected > 1).any(1 - axis))) for axis in (0, 1))
    assert lit_cols > 2 * lit_rows
    np.testing.assert_array_equal(drawn[image.window], image.drawn)


def test_a_part_of_the_sensor_sees_what_the_whole_sees_there() -> None:
    deposits = heap(5.9, 2, 100).shifted(x=5, y=-3)
    part = digitise(deposits, "quest", seed=2, shape=(150, 220), vignetting=False)
    whole = digitise(deposits, "quest", seed=2, vignetting=False)
    assert whole.shape == (2304, 4096)
    assert np.subtract(whole.first, part.first).tolist() == [(2304 - 150) // 2, (4096 - 220) // 2]
    np.testing.assert_array_equal(part.drawn, whole.drawn)


def test_light_beside_the_frame_is_lost() -> None:
    """Half of a spot on the border, all of one outside."""
    rng = np.random.default_rng(3)
    digitiser = Digitiser("lime", shape=(64, 64), saturation=False, vignetting=False)
    inside, border, outside = (
        digitiser.digitise(heap(5.9, 500, 50).shifted(x=x), rng).expected.sum() for x in (0, 32 * 346 / 2304, 20)
    )
    assert border / inside == pytest.approx(0.5, rel=0.02)
    assert outside == 0


def test_electrons_are_kept_over_blocks_of_voxels() -> None:
    """A tilted line of clouds through many blocks: gain 1, hardly any saturation, nothing lost."""
    n = 400
    at = np.linspace(0, 1, n)
    clouds = Clouds(np.full(n, 500.0), 20 + 300 * at, 30 + 200 * at, 10 + 80 * at, np.full(n, 3.0), np.full(n, 0.3))
    for beta in (0.0, 1e-12):
        first, image = light(clouds, (400, 400), 0.1, 1.0, beta, np.random.default_rng(4))
        assert image.sum() == pytest.approx(500 * n, abs=4 * np.sqrt(500 * n))
        row = np.average(np.arange(image.shape[0]), weights=image.sum(1)) + first[0] + 0.5
        assert row == pytest.approx(170, abs=1.5)


@pytest.mark.parametrize("electrons", [40, 2e3, 4e4])
def test_voxels_saturate_by_the_electrons_they_hold(electrons: float) -> None:
    """From fewer than 0.05 electrons in every voxel to 40 in some: the mean of n G / (1 + beta G n) over Poisson's law."""
    sigma, voxel, gain, beta = 4.0, 0.1, 2.0, 0.2
    cloud = Clouds(*(np.array([value]) for value in (electrons, 40.3, 33.8, 5.03, sigma, 4 * voxel)))
    edges = [(np.arange(81) - c) / sigma for c in (40.3, 33.8)] + [(voxel * np.arange(101) - 5.03) / (4 * voxel)]
    expected = electrons * np.einsum("i,j,k->ijk", *(np.diff(stats.norm.cdf(e)) for e in edges))
    means, n = 0.0, np.arange(1, 120)
    for low, high in itertools.pairwise([0, *np.geomspace(1e-4, 40, 400)]):
        # Voxels of nearly the same expectation at once; the law is smooth in it.
        chosen = expected[(expected > low) & (expected <= high)]
        if chosen.size:
            means += chosen.size * (stats.poisson.pmf(n, chosen.mean()) * n * gain / (1 + beta * gain * n)).sum()
    rng = np.random.default_rng(5)
    drawn = [light(cloud, (80, 80), voxel, gain, beta, rng)[1].sum() for _ in range(30)]
    assert np.mean(drawn) == pytest.approx(means, rel=0.005, abs=4 * np.std(drawn) / np.sqrt(30))
    assert np.mean(drawn) < electrons * gain / (1 + beta * gain) * 1.02


def test_equal_seeds_give_equal_light() -> None:
    track = primaries.electron(20, np.random.default_rng(1)).centred(0, 0, 250)
    one, two, other = (digitise(track, "lime", seed=seed, shape=SMALL) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.drawn, two.drawn)
    np.testing.assert_array_equal(one.expected, two.expected)
    assert one.integral != other.integral


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Digitiser("lyme"), "preset must be one of .*lime.*received 'lyme'"),
        (lambda: Digitiser(camera="eye"), "camera must be one of .*received 'eye'"),
        (lambda: Digitiser(shape=(4, 100)), "whole numbers of 8 or more"),
        (lambda: Digitiser(shape=(3000, 100)), "fit into the 2304 x 2304 px"),
        (lambda: Digitiser(shape=(100.5, 100)), "whole numbers"),  # type: ignore[arg-type]
        (lambda: Digitiser(voxel_z_mm=0), "voxel_z_mm must be a number above 0"),
        (lambda: digitise(primaries.point(1), seed=-1), "seed"),
        (lambda: digitise(primaries.point(1).shifted(z=-1), seed=1), "within the drift of 0..500 mm; received -1"),
        (lambda: digitise(primaries.point(1).shifted(z=501), seed=1), "within the drift"),
    ],
)
def test_impossible_digitisations(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
