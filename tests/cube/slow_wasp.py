"""``wasp`` by its intended formulas, pixel by pixel in double precision; slow on purpose.

Shares no code with the package: angles are interpolated here as unit vectors and put into the model
at each pixel, where the package interpolates factors between nodes.
"""

import math

import numpy as np

# f_iso, f_vol, f_geo
MODIS = {
    "blue": (0.0774, 0.0372, 0.0079),
    "red": (0.1690, 0.0574, 0.0227),
    "nir": (0.3093, 0.1535, 0.0330),
    "rededge1": (0.2085, 0.0845, 0.0256),
    "rededge2": (0.2316, 0.1003, 0.0273),
    "rededge3": (0.2599, 0.1197, 0.0294),
}


def kernels(sun, view, azimuth):
    """Degrees -> Ross-Thick and Li-Sparse-R, by the textbook's steps."""
    ts, tv, phi = (math.radians(v) for v in (sun, view, azimuth))
    cos_xi = math.cos(ts) * math.cos(tv) + math.sin(ts) * math.sin(tv) * math.cos(phi)
    xi = math.acos(min(1.0, max(-1.0, cos_xi)))
    volume = ((math.pi / 2 - xi) * math.cos(xi) + math.sin(xi)) / (math.cos(ts) + math.cos(tv))
    sec_s, sec_v = 1 / math.cos(ts), 1 / math.cos(tv)
    d2 = math.tan(ts) ** 2 + math.tan(tv) ** 2 - 2 * math.tan(ts) * math.tan(tv) * math.cos(phi)
    across = math.tan(ts) * math.tan(tv) * math.sin(phi)
    cos_t = min(1.0, 2 * math.sqrt(max(d2, 0.0) + across**2) / (sec_s + sec_v))
    t = math.acos(cos_t)
    overlap = (t - math.sin(t) * cos_t) * (sec_s + sec_v) / math.pi
    return volume - math.pi / 4, overlap - sec_s - sec_v + 0.5 * (1 + cos_xi) * sec_s * sec_v


def factor(band, sun, view, azimuth, to=None):
    """Degrees -> what reflectance is multiplied by."""
    if band not in MODIS or not all(map(math.isfinite, (sun, view, azimuth))):
        return 1.0
    iso, vol, geo = MODIS[band]
    sun = min(sun, 70.0)

    def model(*angles):
        volume, shadow = kernels(*angles)
        return iso + vol * volume + geo * shadow

    return model(sun if to is None else to, 0.0, 0.0) / model(sun, view, azimuth)


def direction(grid, x, y):
    """(2, row, column) degrees at a place in nodes -> zenith, azimuth, by vectors, and coverage."""
    rows, columns = grid.shape[1:]
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    i, j = min(int(x), columns - 2), min(int(y), rows - 2)
    vector, cover = np.zeros(3), 0.0
    for row, wy in ((j, 1 - (y - j)), (j + 1, y - j)):
        for column, wx in ((i, 1 - (x - i)), (i + 1, x - i)):
            zenith, azimuth = np.radians(grid[:, row, column])
            if math.isfinite(zenith):
                s = math.sin(zenith)
                unit = (s * math.sin(azimuth), s * math.cos(azimuth), math.cos(zenith))
                vector += wx * wy * np.array(unit)
                cover += wx * wy
    zenith = math.degrees(math.atan2(math.hypot(vector[0], vector[1]), vector[2]))
    return zenith, math.degrees(math.atan2(vector[0], vector[1])), cover


def grid_factor(band, sun, detectors, x, y, to=None):
    """Grids of sun and detectors at a place in nodes -> factor of the detector that covers it most."""
    found = [direction(grid, x, y) for grid in detectors]
    best = max(range(len(found)), key=lambda d: found[d][2])
    if found[best][2] == 0:
        return 1.0
    sun_zenith, sun_azimuth, _ = direction(sun, x, y)
    return factor(band, sun_zenith, found[best][0], sun_azimuth - found[best][1], to)


def outlier_parts(classes, blue, red, nir, p):
    """One pixel's weights, in plain Python and whole sorted lists."""
    out = [1.0] * len(classes)
    clear = [i for i, c in enumerate(classes) if c == 1 and blue[i] != -10000 and red[i] != -10000]
    floor = p.haze_floor * 10000
    if clear:
        haze = {i: blue[i] - red[i] / 2 for i in clear}
        ranked = sorted(haze.values())
        middle, usual = (s[(len(clear) - 1) // 3] for s in (ranked, sorted(blue[i] for i in clear)))
        limit = max(floor, p.haze_spread * (middle - ranked[0]))
        limit += p.haze_bright * max(usual - 500, 0)
        for i in clear:
            excess = min(haze[i] - middle, blue[i] - usual)
            if ranked[-1] - ranked[0] > floor and excess > limit:
                out[i] = max(0.0, 2 - excess / limit)
    lit_up = [i for i in clear if out[i] > 0 and nir[i] != -10000]
    if len(lit_up) >= 3:
        lit = sorted(nir[i] for i in lit_up)[len(lit_up) // 2]
        usual = sorted(blue[i] for i in lit_up)[len(lit_up) // 2]
        bright = [i for i in lit_up if nir[i] >= p.shadow_none * lit]
        for i in lit_up:
            between = bright and bright[0] < i < bright[-1]
            share = nir[i] / lit if lit > 0 else 1.0
            if between and share < p.shadow_none and blue[i] < usual:
                part = (share - p.shadow_full) / (p.shadow_none - p.shadow_full)
                out[i] *= max(0.0, part)
    return out


def pixel(bands, classes, days, cloud, blue, aot, platforms, centre, params, parts=None):
    """(time,) of one pixel, dn corrected already -> bands, weight, date, status; NaN for nodata.

    And by how much the class that is shown weighs more than the next.
    """
    observed = np.zeros(len(days), bool)
    for band in bands.values():
        observed |= np.asarray(band) != -10000
    codes = np.where(observed, classes, 0)
    weights = []
    for t, day in enumerate(days):
        w = 1 - abs(day - centre) / (params.half_window or 23) * (1 - params.date_weight_min)
        w *= cloud[t]
        if aot is not None:
            share = 1.0 if aot[t] < 0 else min(aot[t] / 1000 / params.aot_max, 1.0)
            w *= params.aot_weight_max + share * (params.aot_weight_min - params.aot_weight_max)
        w *= 1.0 if platforms[t].startswith("sentinel-2") else params.sensor_weight
        w *= 1 if parts is None else parts[t]
        weights.append(w)
    weights = np.array(weights)
    dates = {code: np.flatnonzero(codes == code) for code in (1, 6, 5)}
    margin = 1.0
    if params.ground == "heaviest":
        sums = {code: weights[at].sum() for code, at in dates.items()}
        if sum(sums.values()) == 0:
            sums = {code: len(at) for code, at in dates.items()}
        shown = max(dates, key=lambda code: sums[code])
        order = sorted(sums.values())
        if len([1 for at in dates.values() if len(at)]) > 1 and weights.sum() > 0:
            margin = order[2] - order[1]
    else:
        shown = 1
    at = dates[shown]
    if len(at):
        w = weights[at] if weights[at].sum() > 0 else np.ones(len(at))
        values = {}
        for name, band in bands.items():
            dn = np.asarray(band, float)[at]
            known = dn != -10000
            total = w[known].sum()
            values[name] = (w[known] * dn[known]).sum() / total if total > 0 else np.nan
        day = (w * np.asarray(days)[at]).sum() / w.sum()
        return values, weights[at].sum(), day, {1: 4, 6: 3, 5: 2}[shown], margin
    ground = [t for t, code in enumerate(codes) if code in (5, 6)]
    cloudy = [t for t, code in enumerate(codes) if code in (2, 3, 4)]
    if not ground and not cloudy:
        return dict.fromkeys(bands, np.nan), 0.0, np.nan, 0, margin
    if ground:
        t, status = ground[-1], 2 if codes[ground[-1]] == 5 else 3
    else:
        t = min(cloudy, key=lambda t: (40000 if blue[t] == -10000 else blue[t], t))
        status = 1
    values = {n: np.nan if band[t] == -10000 else float(band[t]) for n, band in bands.items()}
    return values, 0.0, days[t], status, margin
