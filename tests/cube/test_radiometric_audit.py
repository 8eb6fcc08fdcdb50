from dataclasses import replace
from datetime import date

import numpy as np
import pystac
import pytest

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import CLEAR, WATER
from cube.landscape import SURFACE_BANDS, coarsen
from cube.masks import decode
from cube.radiometric_audit import Verdict, equal_dates, judge_dates
from cube.samples import Sample
from cube.spec import DateEntry
from jobs.simulate.season import Season, season_landscape, season_passes, season_scene

BANDS = tuple(name for name in SURFACE_BANDS if name not in ("coastal", "nir09"))
FAULTS = {Verdict.MISSING, Verdict.TWICE, Verdict.SCALE, Verdict.UNDECIDED}
WANTED = {1000: Verdict.MISSING, -1000: Verdict.TWICE}
DAY = 86_400_000


def sample_of(times, dn, clear):
    """Times, (time, band, pixel) dn, (time, pixel) bool -> Sample of those."""
    entries = tuple(DateEntry(time, str(i), (), BANDS, slot=i) for i, time in enumerate(times))
    observed = (dn != REFLECTANCE_NODATA).any(axis=1)
    return Sample(entries, BANDS, dn, clear & observed, observed, {})


@pytest.fixture(scope="module")
def simulated() -> Sample:
    """A season of 29 dates at 20 m, clear by Sen2Cor's simulated opinion."""
    season = Season(size=96, first=date(2020, 3, 20), last=date(2020, 8, 10))
    landscape = season_landscape(season)
    times, dn, clear = [], [], []
    for each in season_passes(season):
        scene = season_scene(season, landscape, each)
        unseen = coarsen(scene.observed.astype(np.float32), 2) < 1
        bands = []
        for name in BANDS:
            fine = scene.seen[name]
            coarse = coarsen(fine, 2) if fine.shape[0] == season.size else fine
            stored = (coarse / REFLECTANCE_SCALE).round().clip(-9999, 32767).astype(np.int16)
            stored[unseen] = REFLECTANCE_NODATA
            bands.append(stored.ravel())
        times.append(round(each.sensed.timestamp() * 1000))
        dn.append(bands)
        clear.append(np.isin(scene.scl, (4, 5, 6)).ravel())
    return sample_of(times, np.array(dn), np.array(clear))


@pytest.fixture(scope="module")
def real(shared) -> Sample:
    """The 72 dates of the reference series at 20 m, read from its files."""
    import rasterio

    catalog = pystac.Catalog.from_file(str(shared / "s2-l2a-31UES" / "catalog.json"))
    items = sorted(catalog.get_items(recursive=True), key=lambda item: item.datetime)
    times, dn, clear = [], [], []
    for item in items:
        arrays = {}
        for key in (*BANDS, "scl"):
            with rasterio.open(item.assets[key].get_absolute_href()) as source:
                pixels = source.read(1)
            arrays[key] = (pixels[::2, ::2] if pixels.shape[0] == 64 else pixels).ravel()
        stack = np.array([arrays[name] for name in BANDS]).astype(np.int32)
        dn.append(np.where(stack == 0, REFLECTANCE_NODATA, stack.clip(0, 32767)).astype(np.int16))
        times.append(round(item.datetime.timestamp() * 1000))
        classes = decode("scl", {"scl": arrays["scl"]})
        clear.append(np.isin(classes, (CLEAR, WATER)) & (stack != 0).all(axis=0))
    return sample_of(times, np.array(dn), np.array(clear))


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.shared)])
def sample(request) -> Sample:
    return request.getfixturevalue(request.param)


def changed(sample, by, factor=1.0):
    """Sample with ``by[position]`` added to the dn of some dates, after a factor."""
    dn = sample.dn.copy()
    for position, shift in by.items():
        seen = dn[position] != REFLECTANCE_NODATA
        moved = dn[position][seen] * float(factor) + shift
        dn[position][seen] = moved.round().clip(-9999, 32767)
    return replace(sample, dn=dn)


def judged(sample):
    """Positions of the dates that can be judged."""
    return [j.position for j in judge_dates(sample) if j.verdict != Verdict.NOT_JUDGED]


def faults(judgements, but=()):
    return [j for j in judgements if j.verdict in FAULTS and j.position not in but]


def test_dates_as_they_are_raise_no_alarm(sample):
    judgements = judge_dates(sample)
    assert faults(judgements) == []
    # What cannot be judged says why.
    assert all(j.why for j in judgements if j.verdict == Verdict.NOT_JUDGED)


def test_numbers_judged(real, simulated):
    assert (len(judged(real)), len(judged(simulated))) == (39, 24)


@pytest.mark.parametrize("by", [1000, -1000])
def test_each_date_in_turn_is_found_and_no_other(sample, by):
    for position in judged(sample):
        judgements = judge_dates(changed(sample, {position: by}))
        assert judgements[position].verdict == WANTED[by], judgements[position]
        assert faults(judgements, but=(position,)) == []
        assert judgements[position].shift == pytest.approx(by / 10000, abs=0.05)


@pytest.mark.parametrize("share", [0.25, 0.48])
@pytest.mark.parametrize("kind", ["missing", "twice", "mixed", "late"])
def test_up_to_under_half_of_the_dates_wrong(sample, share, kind):
    count = int(share * len(sample.entries))
    for seed in range(1 if kind == "late" else 2):
        rng = np.random.default_rng(seed)
        wrong = rng.choice(len(sample.entries), count, replace=False)
        if kind == "late":
            # As from a change of the source on: neighbours in time are wrong alike.
            wrong = np.arange(len(sample.entries) - count, len(sample.entries))
        shifts = {"mixed": rng.choice([1000, -1000], count), "twice": np.full(count, -1000)}
        by = dict(zip(wrong.tolist(), shifts.get(kind, np.full(count, 1000)).tolist(), strict=True))
        judgements = judge_dates(changed(sample, by))
        assert faults(judgements, but=by) == []
        for position in set(by).intersection(judged(sample)):
            assert judgements[position].verdict == WANTED[by[position]], judgements[position]


@pytest.mark.parametrize(("factor", "least"), [(10, 1), (0.1, 1), (2, 0.5), (0.5, 0.4)])
def test_factors(sample, factor, least):
    # Every third: all of them are as good, but take half a minute.
    positions = judged(sample)[::3]
    found = 0
    for position in positions:
        judgements = judge_dates(changed(sample, {position: 0}, factor))
        found += judgements[position].verdict == Verdict.SCALE
        assert faults(judgements, but=(position,)) == []
    assert found / len(positions) >= least


def test_haze_is_no_offset(simulated):
    # Brightens blue most and passes in the short-wave infrared (Rayleigh: fourth power of wavelength).
    haze = dict(zip(BANDS, (1500, 1200, 900, 800, 600, 500, 400, 400, 60, 20), strict=True))
    dn = simulated.dn.copy()
    for index, name in enumerate(BANDS):
        seen = dn[4, index] != REFLECTANCE_NODATA
        dn[4, index, seen] += haze[name]
    judgements = judge_dates(replace(simulated, dn=dn))
    assert faults(judgements) == []
    assert "haze" in judgements[4].why


def desert(shifts):
    """Bright land without vegetation, the same on every date, each date shifted by some dn."""
    rng = np.random.default_rng(3)
    land = rng.integers(1800, 3500, (1, len(BANDS), 900)) + np.arange(len(BANDS))[:, None] * 150
    dn = (
        land + np.array(shifts)[:, None, None] + rng.integers(-50, 50, (len(shifts), 1, 1))
    ).astype(np.int16)
    times = [DAY * 10 * index for index in range(len(shifts))]
    return sample_of(times, dn, np.ones((len(shifts), 900), bool))


def test_where_nothing_is_dark_the_majority_decides():
    verdicts = [j.verdict for j in judge_dates(desert([0, 1000, 0, 0, -1000, 0, 0]))]
    wanted = [Verdict.RIGHT] * 7
    wanted[1], wanted[4] = Verdict.MISSING, Verdict.TWICE
    assert verdicts == wanted


def test_too_few_dates_or_clear_pixels_are_not_judged(simulated):
    first = judged(simulated)[0]
    alone = sample_of([0], simulated.dn[first : first + 1], simulated.clear[first : first + 1])
    (judgement,) = judge_dates(alone)
    assert judgement.verdict == Verdict.NOT_JUDGED
    assert "no other date" in judgement.why
    hidden = replace(simulated, clear=np.zeros_like(simulated.clear))
    assert {j.verdict for j in judge_dates(hidden)} == {Verdict.NOT_JUDGED}
    # Negative in several bands is no surface, whatever the others are.
    (judgement,) = judge_dates(changed(alone, {0: -1000}))
    assert judgement.verdict == Verdict.TWICE


def test_equal_dates(simulated):
    dn = simulated.dn.copy()
    dn[5] = dn[3]
    empty = dn.copy()
    empty[[1, 2]] = REFLECTANCE_NODATA
    assert equal_dates(simulated) == []
    assert equal_dates(replace(simulated, dn=dn)) == [(3, 5)]
    observed = (empty != REFLECTANCE_NODATA).any(axis=1)
    assert equal_dates(replace(simulated, dn=empty, observed=observed)) == [(3, 5)]


def test_a_date_that_lacks_a_band_is_judged_by_the_others(simulated):
    position = judged(simulated)[3]
    dn = simulated.dn.copy()
    dn[position, BANDS.index("swir22")] = REFLECTANCE_NODATA
    lacking = replace(simulated, dn=dn)
    assert faults(judge_dates(lacking)) == []
    found = judge_dates(changed(lacking, {position: 1000}))[position]
    assert found.verdict == Verdict.MISSING
    assert "swir22" not in found.bands
