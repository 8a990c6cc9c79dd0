from __future__ import annotations

import types

import numpy as np
import pytest

from particle_zoo import InputError
from particle_zoo.simulation.optical_tpc import CameraNoise, EmpiricalNoise, pedestals, presets

SHAPE = (96, 160)
FRAMES = 300

LEVELS = {"mild": (0.2, 0.1), "nominal": (0.5, 0.3), "hard": (1.0, 0.5)}
"""RMS of rows and columns, and of the drift."""


@pytest.fixture(scope="module", params=list(LEVELS))
def run(request: pytest.FixtureRequest) -> tuple[str, CameraNoise, np.ndarray]:
    noise = CameraNoise("realistic", request.param, shape=SHAPE, seed=3)
    return request.param, noise, np.stack(list(noise.frames(FRAMES))).astype(np.float64)


def quiet(noise: CameraNoise) -> np.ndarray:
    """(rows, cols) pixels with nothing but Gaussian noise of the common width."""
    chosen = noise.sigma < 1.7 * noise.camera.read_noise_counts
    chosen.ravel()[np.concatenate([noise.telegraph, noise.hot])] = False
    return chosen


def lines(stack: np.ndarray, chosen: np.ndarray, axis: int) -> tuple[float, float]:
    """Variance of the means of rows (axis 2) or columns (1) about their frame, and what independent pixels would give."""
    off = np.where(chosen, stack - stack.mean(0), 0)
    off = np.where(chosen, off - (off.sum((1, 2)) / chosen.sum())[:, None, None], 0)
    number = chosen.sum(axis - 1)
    means = off.sum(axis) / number
    return float((means**2).mean()), float(off[:, chosen].var() * (1 / number).mean())


def test_rows_columns_and_drift_of_each_level(run: tuple[str, CameraNoise, np.ndarray]) -> None:
    level, noise, stack = run
    line, drift = LEVELS[level]
    for axis in (1, 2):
        found, independent = lines(stack, quiet(noise), axis)
        assert np.sqrt(found - independent) == pytest.approx(line, rel=0.1)
    mean = stack[:, quiet(noise)].mean(1)
    baseline = np.array([noise.baseline(k) for k in range(FRAMES)])
    # What rows, columns and pixels leave of their own in the mean of a frame.
    rest = np.sqrt(line**2 / SHAPE[0] + line**2 / SHAPE[1] + 3.4**2 / stack[0].size)
    assert (mean - mean.mean() - baseline + baseline.mean()).std() == pytest.approx(rest, rel=0.2)
    long = [noise.baseline(k) for k in range(20_000)]
    assert np.std(long) == pytest.approx(drift, rel=0.05)
    # Slow: frames beside each other have nearly the same.
    assert np.abs(np.diff(long)).max() < drift


def test_widths_of_pixels(run: tuple[str, CameraNoise, np.ndarray]) -> None:
    """The width of each pixel is found again; its most frequent value is 3.3; 3 % have 5-15 counts."""
    level, noise, stack = run
    line, drift = LEVELS[level]
    chosen = quiet(noise)
    expected = np.sqrt(noise.sigma**2 + 2 * line**2 + drift**2)
    assert np.median(stack.std(0, ddof=1)[chosen] / expected[chosen]) == pytest.approx(1, rel=0.02)
    many = CameraNoise("realistic", level, shape=(600, 600), seed=4)
    heights, edges = np.histogram(many.sigma, np.arange(2, 6, 0.1))
    smooth = np.convolve(heights, np.ones(5), "same")
    assert edges[smooth.argmax()] + 0.05 == pytest.approx(3.3, abs=0.15)
    assert (many.sigma > 5.5).mean() == pytest.approx(0.03 * 9.5 / 10, rel=0.1)
    assert many.sigma.max() <= 15
    assert many.mean.mean() == pytest.approx(100, abs=0.02)
    assert many.mean.std() == pytest.approx(1.0, rel=0.02)


def test_telegraph_noise(run: tuple[str, CameraNoise, np.ndarray]) -> None:
    """1 % of pixels, 20 counts up in 30 % of frames."""
    _, noise, stack = run
    pixels = SHAPE[0] * SHAPE[1]
    assert len(noise.telegraph) / pixels == pytest.approx(0.01, abs=4 * np.sqrt(0.01 / pixels))
    flat = stack.reshape(FRAMES, -1)
    mine = np.setdiff1d(noise.telegraph, noise.hot)
    above = flat[:, mine] - noise.mean.ravel()[mine]
    assert (above > 10).mean() == pytest.approx(0.3, abs=0.015)
    assert above[above > 10].mean() - above[above < 10].mean() == pytest.approx(20, abs=0.5)
    # It is found from the frames alone: no other quiet pixel is as wide.
    wide = flat.std(0) > 7
    assert wide[mine].mean() > 0.98
    assert not wide.reshape(SHAPE)[quiet(noise)].any()


def test_hot_pixels_come_and_go_and_belong_to_the_run() -> None:
    noise = CameraNoise("realistic", shape=(400, 500), seed=5)
    assert len(noise.hot) == 2
    hot = np.array([np.isin(noise.hot, noise.hot_in(k)) for k in range(400)])
    assert (hot.mean(0) > 0.2).all()
    assert (hot.mean(0) < 0.8).all()
    # They stay for several frames.
    assert (np.diff(hot, axis=0) != 0).mean() < 0.25
    k = int(hot.any(1).argmax())
    assert (noise.frame(k).ravel()[noise.hot_in(k)] > 100 + 100 - 60).all()
    other = CameraNoise("realistic", shape=(400, 500), seed=5, run=1)
    assert not np.array_equal(other.hot, noise.hot)
    np.testing.assert_array_equal(other.mean, noise.mean)
    np.testing.assert_array_equal(other.sigma, noise.sigma)
    np.testing.assert_array_equal(other.telegraph, noise.telegraph)
    assert other.baseline(0) != noise.baseline(0)
    assert not np.array_equal(CameraNoise(shape=(400, 500), seed=6).mean, noise.mean)


@pytest.mark.parametrize(
    ("camera", "mean", "sigma"), [("lime", 100, 3.3), ("quest", 200, 2.5), ("orca_flash", 100, 1.8)]
)
def test_white_noise_is_white(camera: str, mean: float, sigma: float) -> None:
    """The same Gaussian everywhere, no correlation of rows, columns or frames."""
    noise = CameraNoise("white", "hard", camera=camera, shape=SHAPE, seed=1)
    stack = np.stack(list(noise.frames(100))).astype(np.float64)
    # Whole numbers add a variance of 1/12.
    assert stack.mean() == pytest.approx(mean, abs=0.02)
    assert stack.std() == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=0.01)
    for axis in (1, 2):
        found, independent = lines(stack, np.ones(SHAPE, bool), axis)
        assert found == pytest.approx(independent, rel=0.06)
    assert stack.mean((1, 2)).std() == pytest.approx(sigma / np.sqrt(stack[0].size), rel=0.25)
    np.testing.assert_array_equal(
        noise.frame(3), CameraNoise("white", "mild", camera=camera, shape=SHAPE, seed=1).frame(3)
    )


def test_empirical_noise_keeps_the_pixels_and_loses_what_they_share() -> None:
    real = CameraNoise("realistic", "hard", shape=SHAPE, seed=2)
    source = list(real.frames(133))
    noise = CameraNoise("ecdf", "hard", shape=SHAPE, seed=2, source=iter(source))
    stack = np.stack(list(noise.frames(FRAMES))).astype(np.float64)
    measured = np.stack(source).astype(np.float64)
    # Means and widths pixel by pixel, and the two levels of the telegraph noise.
    np.testing.assert_allclose(stack.mean(0), noise.mean, atol=0.35 * noise.sigma.max())
    assert np.corrcoef(stack.std(0).ravel(), measured.std(0).ravel())[0, 1] > 0.95
    levels = stack.reshape(FRAMES, -1)[:, real.telegraph] - real.mean.ravel()[real.telegraph]
    assert (levels > 10).mean() == pytest.approx(0.3, abs=0.03)
    for axis in (1, 2):
        found, independent = lines(stack, quiet(real), axis)
        assert found == pytest.approx(independent, rel=0.06)
        found, independent = lines(measured, quiet(real), axis)
        assert found > 5 * independent
    assert {*np.unique(stack[:, 5, 7])} <= {*np.unique(measured[:, 5, 7])}


def test_empirical_noise_of_a_simulated_run_is_made_by_name() -> None:
    one, two = (CameraNoise("ecdf", "mild", shape=(40, 50), seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.frame(7), two.frame(7))
    assert one.mean.mean() == pytest.approx(100, abs=0.5)
    assert one.baseline(3) == 0
    assert not len(one.hot_in(3))


def test_a_long_run_is_sampled_in_constant_memory() -> None:
    """Frame i is filled with i: after those skipped, all are kept with equal chance and none is kept twice."""
    kept = []
    for seed in range(60):
        noise = EmpiricalNoise((np.full((3, 4), i) for i in range(105)), depth=8, skip=5, seed=seed)
        assert noise.depth == 8
        values = np.unique([noise.draw(np.random.default_rng(k)) for k in range(40)])
        assert values.min() >= 5
        kept.extend(values)
    assert np.mean(kept) == pytest.approx(5 + 49.5, abs=5 * 29 / np.sqrt(len(kept)))
    assert np.std(kept) == pytest.approx(100 / np.sqrt(12), rel=0.1)


@pytest.mark.parametrize("kind", ["white", "ecdf", "realistic"])
def test_frames_can_be_made_one_by_one_and_are_reproducible(kind: str) -> None:
    noise = CameraNoise(kind, shape=(40, 60), seed=9)
    run = noise.frames(5)
    assert isinstance(run, types.GeneratorType)
    sequence = list(run)
    for k, frame in enumerate(sequence):
        assert frame.dtype == np.uint16
        np.testing.assert_array_equal(frame, CameraNoise(kind, shape=(40, 60), seed=9).frame(k))
    np.testing.assert_array_equal(next(noise.frames(1, start=3)), sequence[3])
    np.testing.assert_array_equal(list(pedestals("lime", kind, n=2, seed=9, shape=(40, 60), start=2)), sequence[2:4])
    for other in (noise.frame(1), noise.frame(0, seed=1), CameraNoise(kind, shape=(40, 60), seed=9, run=1).frame(0)):
        assert not np.array_equal(other, sequence[0])


def test_light_is_added_and_cut_at_the_end_of_the_scale() -> None:
    for kind in ("white", "ecdf"):
        noise = CameraNoise(kind, shape=(20, 30), seed=1)
        light = np.zeros((20, 30), np.int32)
        light[3, 4], light[5, 6] = 50, 70_000
        difference = noise.frame(2, signal=light).astype(int) - noise.frame(2)
        assert difference[3, 4] == 50
        assert noise.frame(2, signal=light)[5, 6] == 65535
        assert np.count_nonzero(difference) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "pink"}, "noise must be one of white, ecdf, realistic; received 'pink'"),
        ({"level": "soft"}, "level must be one of mild, nominal, hard; received 'soft'"),
        ({"camera": "eye"}, "camera must be one of"),
        ({"shape": (2, 2)}, "whole numbers of 8 or more"),
        ({"shape": (9000, 20)}, "fit into"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"run": -1}, "run must be a whole number"),
        ({"source": []}, "only ecdf"),
        ({"preset": "ecdf", "source": []}, "two dark frames"),
        ({"preset": "ecdf", "source": np.zeros((9, 10, 10), np.uint16)}, "must have the 20 x 30 px"),
        ({"preset": "ecdf", "source": np.zeros((9, 20, 30))}, "whole numbers of 0..65535"),
        ({"preset": "ecdf", "source": -np.ones((9, 20, 30), int)}, "whole numbers of 0..65535"),
        ({"preset": "ecdf", "source": [np.zeros((20, 30), int)] * 7 + [np.zeros((20, 31), int)]}, "one shape"),
    ],
)
def test_impossible_noise(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CameraNoise(**{"shape": (20, 30), **options})  # type: ignore[arg-type]


def test_impossible_frame_numbers() -> None:
    noise = CameraNoise("white", shape=(20, 30))
    for call in (
        lambda: noise.frame(-1),
        lambda: noise.frame(0.5),  # type: ignore[arg-type]
        lambda: noise.frame(0, seed=-1),
        lambda: noise.frames(0),
        lambda: noise.frames(1, start=-1),
        lambda: noise.frame(0, signal=np.zeros((3, 3))),
        lambda: EmpiricalNoise([], depth=1),
        lambda: EmpiricalNoise([], depth=257),
    ):
        with pytest.raises(InputError, match="received"):
            call()


def test_every_preset_names_its_sources() -> None:
    for section in ("cameras", "digitisation", "noise"):
        for name in presets.names(section):
            entry = presets._presets()[section][name]
            assert entry["description"]
            assert all(len(source) > 3 for source in entry["sources"])
