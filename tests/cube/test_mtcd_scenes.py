"""mtcd on synthetic scenes with known clouds, shadows, snow and water, and on real TOA pictures."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pytest

from cube import masks
from cube.bands import BANDS as BANDS_OF_S2
from cube.mtcd.bits import flag, to_fine
from cube.mtcd.coarse import average_altitude, choose_grid
from cube.mtcd.evaluation import not_evaluated
from cube.mtcd.image import Meta, make_image, path_reflectance, wanted_bands
from cube.mtcd.modes import Acquisition, follow, plan_modes
from cube.mtcd.params import MtcdParams
from cube.mtcd.shadows import displacements
from cube.mtcd.step import backward, step
from cube.sky import sun_position

# The order is that of the spectra below.
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")
SIDE = 960
"""Pixels of 20 m: 80 cells of 240 m."""
DARK = {
    "soil": (0.07, 0.10, 0.12, 0.20, 0.27, 0.22),
    "green": (0.04, 0.07, 0.04, 0.35, 0.18, 0.09),
    "water": (0.05, 0.04, 0.02, 0.01, 0.005, 0.004),
}
CLOUD = (0.60, 0.58, 0.57, 0.60, 0.45, 0.35)
SNOW = (0.80, 0.78, 0.76, 0.70, 0.08, 0.06)


@dataclass
class Clouds:
    """Round clouds of one height."""

    places: list = field(default_factory=list)
    """(row, column) of the middle as seen, and radius, in pixels of 20 m."""
    height: float = 1500
    opacity: float = 1.0


@dataclass
class World:
    """Land that stays as it is, seen under skies that change."""

    level: str = "l2a"
    snow: tuple = (0, 0, 0)
    lake: tuple = (0, 0, 0)
    altitude: float | None = None

    def __post_init__(self):
        random = np.random.default_rng(31)
        fields = random.random((SIDE // 16, SIDE // 16)).repeat(16, 0).repeat(16, 1)
        shares = np.stack([fields, 1 - fields]) * random.uniform(0.95, 1.05, (2, SIDE, SIDE))
        spectra = np.array([DARK["soil"], DARK["green"]])
        self.ground = np.einsum("kb,kyx->byx", spectra, shares)
        self.ground[:, disc(self.lake)] = np.array(DARK["water"])[:, None]

    def meta(self, day):
        return Meta(18000 + day, self.level, 40.0, 150.0, 6.0, 285.0)

    def see(self, day, *layers, snow=False, absent=None, shade=0.25):
        """Day, clouds -> coarse image, its meta, and what is true."""
        meta, ground = self.meta(day), self.ground.copy()
        white = disc(self.snow) if snow else np.zeros((SIDE, SIDE), "bool")
        ground[:, white] = np.array(SNOW)[:, None]
        dark, clouds = np.zeros((SIDE, SIDE), "bool"), np.zeros((SIDE, SIDE), "bool")
        high = np.zeros((SIDE, SIDE))
        for layer in layers:
            for place in layer.places:
                seen = disc(place)
                view, sun = displacements(meta, 20)
                down, right = (view - sun) * layer.height
                dark |= disc((place[0] + down, place[1] + right, place[2]))
                clouds |= seen
                ground[:, seen] += layer.opacity * (np.array(CLOUD)[:, None] - ground[:, seen])
                high[seen] = 0.04 * (layer.height > 5000)
        dark &= ~clouds
        ground[:, dark] *= shade
        values = dict(zip(BANDS, ground, strict=True))
        if self.level == "l1c":
            height = None if self.altitude is None else np.float32([[self.altitude]])
            values = {k: v + path_reflectance(k, meta, height) for k, v in values.items()}
            values["cirrus"] = 0.002 + high
        dn = {name: np.rint(each * 10000).astype("int16") for name, each in values.items()}
        if absent is not None:
            for each in dn.values():
                each[absent] = -10000
        grid = choose_grid((SIDE, SIDE), MtcdParams())
        dem = None
        if self.altitude is not None:
            dem = np.full(grid.shape, self.altitude, "float32")
        image, observed = make_image(dn.items(), grid, meta, dem)
        truth = {"cloud": clouds, "shadow": dark, "snow": white & ~clouds, "observed": observed}
        return image, meta, truth


def disc(place):
    row, column, radius = place
    y, x = np.ogrid[:SIDE, :SIDE]
    return (y - row) ** 2 + (x - column) ** 2 < radius**2


def seen(result, image, truth, resolution=20):
    return to_fine(result.bits, result.ground, image.grid, truth["observed"], resolution)


def recall(classes, truth, *codes):
    return np.isin(classes, codes)[truth].mean()


BROKEN = Clouds([(300, 300, 90), (600, 200, 60), (500, 700, 110), (760, 620, 40)])
PARAMS = MtcdParams()


@pytest.fixture(scope="module")
def land():
    return World()


@pytest.fixture(scope="module")
def two_dates(land):
    """A clear date and a broken sky five days later."""
    first = land.see(0)
    start = step(None, *first[:2], PARAMS)
    second = land.see(5, BROKEN)
    return first, start, second, step(start.state, *second[:2], PARAMS)


def test_a_clear_date_is_clear(two_dates):
    (image, _, truth), start, _, _ = two_dates
    assert start.mode == "INIT"
    assert start.usable
    _, classes = seen(start, image, truth)
    assert masks.fractions(classes)["clear"] == 100.0


def test_clouds_and_their_shadows_are_found(two_dates):
    _, _, (image, _, truth), result = two_dates
    assert result.mode == "NOMINAL"
    bits, classes = seen(result, image, truth)
    assert recall(classes, truth["cloud"], 2) > 0.99
    assert recall(classes, truth["shadow"], 2, 3) > 0.97
    clear = ~truth["cloud"] & ~truth["shadow"]
    # Masks grow by a cell and a quarter, 300 m round discs of 0.8 to 2.2 km radius.
    assert recall(classes, clear, 1) > 0.80
    far = ~np.logical_or.reduce([disc((r, c, n + 60)) for r, c, n in BROKEN.places])
    # Nothing is found far from clouds and shadows; 12 pixels of 20 m are a cell.
    assert recall(classes, clear & far & ~near(truth["shadow"], 60), 1) == 1.0
    assert masks.contradictions("clm", {"clm": bits}) == 0
    # 10 m is the same masks, drawn finer.
    fine, _ = seen(result, image, truth, 10)
    assert (fine[::2, ::2] == bits).mean() > 0.99


def near(flags, pixels):
    found = flags.copy()
    for axis in (0, 1):
        grown = found.copy()
        for move in range(1, pixels + 1):
            for sign in (-1, 1):
                grown |= np.roll(found, sign * move, axis)
        found = grown
    return found


def test_init_has_no_shadows(land):
    image, meta, truth = land.see(5, BROKEN)
    result = step(None, image, meta, PARAMS)
    _, classes = seen(result, image, truth)
    assert recall(classes, truth["cloud"], 2) > 0.99
    assert not (classes == 3).any()
    assert set(not_evaluated(result.evaluated)) == {
        "high_cloud",
        "cloud_over_water",
        "cloud_many_dates",
        "correlation",
        "thinnest_clouds",
        "shadow",
        "shadow_from_outside",
    }
    assert result.evaluated["shadow"].text == (
        "not evaluated: no reference from another date (INIT)"
    )


def test_a_start_backward_finds_shadows_on_the_first_date(land):
    first, second = land.see(0, BROKEN), land.see(5, Clouds([(100, 800, 60)]))
    result = backward([second[:2], first[:2]], PARAMS)
    assert result.mode == "BACKWARD"
    _, classes = seen(result, first[0], first[2])
    assert recall(classes, first[2]["shadow"], 2, 3) > 0.97
    # The reference may be of days to come.
    assert result.state.days.max() == 18005


def test_haze_needs_the_reference(land):
    haze = Clouds([(480, 480, 150)], opacity=0.12)
    image, meta, truth = land.see(5, haze, shade=0.95)
    alone = step(None, image, meta, PARAMS)
    start = step(None, *land.see(0)[:2], PARAMS)
    compared = step(start.state, image, meta, PARAMS)
    assert not flag("clm", alone.bits, "all_clouds").any()
    _, classes = seen(compared, image, truth)
    # With opaque edges the ground inside is not recognised: its texture is drawn over.
    assert recall(classes, truth["cloud"], 2, 4) > 0.3


def test_shadows_stay_out_of_the_reference(land, two_dates):
    _, start, (image, meta, _), result = two_dates
    red, before = result.state.reference["red"], start.state.reference["red"]
    assert np.nanmin(red / before) > 0.9
    kept = step(start.state, image, meta, MtcdParams(shadows_in_reference=True))
    assert np.nanmin(kept.state.reference["red"] / before) < 0.4
    # The cells of clouds keep the day of the first date.
    assert sorted(np.unique(result.state.days)) == [18000, 18005]
    assert (result.state.days[flag("clm", result.bits, "clouds_or_shadows")] == 18000).all()


def test_a_too_cloudy_date_leaves_the_state(land, two_dates):
    _, start, _, _ = two_dates
    image, meta, _ = land.see(5, Clouds([(480, 480, 900)]))
    result = step(start.state, image, meta, PARAMS)
    assert result.cloudy == 100
    assert not result.usable
    assert result.state is start.state
    assert step(None, image, meta, PARAMS).state is None


def test_the_swath_edge(land, two_dates):
    _, start, _, _ = two_dates
    absent = np.zeros((SIDE, SIDE), "bool")
    absent[:, 500:] = True
    image, meta, truth = land.see(5, BROKEN, absent=absent)
    result = step(start.state, image, meta, PARAMS)
    bits, classes = seen(result, image, truth)
    assert (classes[absent] == 0).all()
    assert (bits[absent] == 0).all()
    assert recall(classes, truth["cloud"] & ~absent, 2) > 0.99
    # What was not observed keeps its reference.
    assert (result.state.days[:, 45:] == 18000).all()


def test_shadows_of_clouds_outside(land, two_dates):
    """The sun stands in the south-south-east, so clouds below the image darken its lower part."""
    _, start, _, _ = two_dates
    meta = land.meta(5)
    view, sun = displacements(meta, 20)
    down, right = (view - sun) * 6000
    outside = (SIDE + 45, 300, 40)
    inside = Clouds([(400, 500, 60)])
    image, meta, truth = land.see(5, inside, Clouds([outside], height=6000), shade=0.1)
    shadow = disc((outside[0] + down, outside[1] + right, 40))
    result = step(start.state, image, meta, PARAMS)
    bits, classes = seen(result, image, truth)
    found = flag("clm", bits, "shadow_from_outside")
    # Deep in a shadow the ground is recognised (MAJA's veto): its rim is what is found.
    assert found[shadow].mean() > 0.1
    assert not found[disc((400, 500, 200))].any()
    assert recall(classes, found & ~truth["cloud"], 3) > 0.9


def test_snow_and_water_are_ground(two_dates):
    world = World(snow=(300, 700, 100), lake=(600, 300, 150))
    clear = step(None, *world.see(0)[:2], PARAMS)
    image, meta, truth = world.see(5, Clouds([(680, 380, 50)]), snow=True)
    result = step(clear.state, image, meta, PARAMS)
    _, classes = seen(result, image, truth)
    inner = disc((300, 700, 80))
    assert recall(classes, inner, 5) == 1.0
    lake = disc((600, 300, 135)) & ~near(truth["cloud"] | truth["shadow"], 30)
    assert lake.sum() > 20000
    assert recall(classes, lake, 6) > 0.95
    assert recall(classes, truth["cloud"], 2) > 0.99
    # No snow in the reference: its cells are of the first date.
    assert (result.state.days[flag("mg2", result.ground, "snow")] == 18000).all()


def test_cirrus_needs_b10_and_an_altitude():
    cirrus = Clouds([(400, 400, 120)], height=9000, opacity=0.03)
    low = World(level="l1c", altitude=100.0)
    image, meta, truth = low.see(0, cirrus, shade=1.0)
    result = step(None, image, meta, PARAMS)
    bits, classes = seen(result, image, truth)
    assert flag("clm", bits, "high_cloud")[truth["cloud"]].mean() > 0.99
    assert recall(classes, truth["cloud"], 2) > 0.99
    assert result.evaluated["high_cloud"].text == "evaluated"
    # At 3000 m the threshold is 0.061, above this cloud's 0.042.
    high = World(level="l1c", altitude=3000.0)
    result = step(None, *high.see(0, cirrus, shade=1.0)[:2], PARAMS)
    assert not result.bits.any()
    blind = World(level="l1c")
    result = step(None, *blind.see(0, cirrus, shade=1.0)[:2], PARAMS)
    assert result.evaluated["high_cloud"].text == "not evaluated: no altitude; ingest a DEM"
    assert not result.bits.any()


def test_a_late_date_replays_only_what_follows_it(land):
    """Folding from the state before a late date gives the same bits as from scratch."""
    skies = [Clouds([(200 + 90 * n, 150 + 80 * n, 70)]) for n in range(5)]
    read = {f"d{n}": land.see(5 * n, sky)[:2] for n, sky in enumerate(skies)}
    dates = [
        Acquisition(name, datetime(2019, 4, 14) + timedelta(5 * n)) for n, name in enumerate(read)
    ]

    def run(chosen, states=None):
        plan = plan_modes(chosen, [d for d in chosen if d.name in (states or {})], PARAMS)
        return {
            each.name: result
            for each, result in follow(plan, (states or {}).get, read.__getitem__, PARAMS)
        }

    late = dates.pop(2)
    early = run(dates)
    kept = {name: early[name].state for name in ("d0", "d1")}
    again = run([*dates, late], kept)
    assert list(again) == ["d2", "d3", "d4"]
    scratch = run([*dates, late])
    for name, result in again.items():
        np.testing.assert_array_equal(result.bits, scratch[name].bits)
        np.testing.assert_array_equal(result.ground, scratch[name].ground)
    last, other = again["d4"].state, scratch["d4"].state
    for role, plane in last.reference.items():
        np.testing.assert_array_equal(plane, other.reference[role])
    np.testing.assert_array_equal(last.stack, other.stack)
    np.testing.assert_array_equal(last.days, other.days)
    # The late date matters: without it the reference is another.
    assert (last.days != early["d4"].state.days).any()


def test_a_start_that_is_too_cloudy_starts_anew(land):
    overcast = Clouds([(480, 480, 900)])
    read = {"d0": land.see(0, overcast)[:2], "d1": land.see(5)[:2], "d2": land.see(10)[:2]}
    dates = [
        Acquisition(name, datetime(2019, 4, 14) + timedelta(5 * n)) for n, name in enumerate(read)
    ]
    done = follow(plan_modes(dates, [], PARAMS), {}.get, read.__getitem__, PARAMS)
    modes = [(each.mode, result.mode, result.usable) for each, result in done]
    assert modes == [("INIT", "INIT", False), ("INIT", "INIT", True), ("NOMINAL", "NOMINAL", True)]
    two = MtcdParams(nbackward=2)
    done = follow(plan_modes(dates, [], two), {}.get, read.__getitem__, two)
    assert [each.mode for each, _ in done] == ["BACKWARD", "NOMINAL", "NOMINAL"]


def test_slovenia(shared):
    """Five dates of 2015, real L1C with B10: clear, fog, cloud, clear, clear."""
    folder = shared / "s2-l1c-slovenia-5dates"
    order = ("2015-08-20", "2015-07-31", "2015-09-09", "2015-08-30", "2015-07-11")
    scenes = np.load(folder / "REFERENCE_SCENES.npy")[:, :100, :100]
    times = json.loads((folder / "timestamps.json").read_text())
    fine = np.load(folder / "DEM.npy")[:100, :100, 0].reshape(50, 2, 50, 2).mean((1, 3))
    names = [each.name for each in BANDS_OF_S2]
    grid = choose_grid((50, 50), PARAMS)
    assert grid.cell == 20
    dem = average_altitude(fine, grid)
    state, cover, said = None, {}, set()
    for day in sorted(order):
        moment = datetime.fromisoformat(next(each for each in times if each.startswith(day)))
        sun = sun_position(moment, 14.96, 46.15)
        meta = Meta((moment - datetime(1970, 1, 1)).days, "l1c", *sun)
        scene = np.rint(scenes[order.index(day)] * 10000).astype("int16")
        dn = [(name, scene[..., names.index(name)]) for name in wanted_bands(names, "l1c")]
        image, observed = make_image(dn, grid, meta, dem)
        result = step(state, image, meta, PARAMS)
        state = result.state
        bits, classes = to_fine(result.bits, result.ground, grid, observed)
        assert masks.contradictions("clm", {"clm": bits}) == 0
        cover[day] = masks.fractions(classes)
        said |= set(not_evaluated(result.evaluated)) if result.mode == "NOMINAL" else set()
    assert said == set()
    for day in ("2015-07-11", "2015-08-30", "2015-09-09"):
        assert cover[day]["clear"] > 99
    assert cover["2015-07-31"]["cloud_cover"] > 90
    assert cover["2015-08-20"]["cloud_cover"] > 99
