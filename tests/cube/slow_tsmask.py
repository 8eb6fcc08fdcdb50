"""The rules of ``tsmask`` once more, in plain Python with fractions: slow and easy to believe.

Rules as published by Geoscience Australia (TSmask 2021) and as corrected; independent of the
kernels in arithmetic (quotients of fractions), in order (each segment visited in its turn) and in
the search for references.
"""

from fractions import Fraction

NO_OBSERVATION, CLEAR, CLOUD, SHADOW, THIN = range(5)


def share(number):
    """0.42 -> 42/100, not the float nearest to it."""
    return Fraction(str(number))


def slow_series(spectra, published=False):
    """List of (blue, green, red, nir08, swir16, swir22) in dn, by time -> list of classes."""
    brightness = [Fraction(sum(spectrum), 60000) for spectrum in spectra]
    haze = [Fraction(2 * spectrum[0] - spectrum[2], 20000) for spectrum in spectra]
    labels = [CLEAR if _observed(spectrum, published) else NO_OBSERVATION for spectrum in spectra]
    dark, opaque, usual, hazy = share("0.055"), share("0.45"), None, None
    if any(labels) and not published:
        usual, common = _usual(brightness, labels), _usual(haze, labels)
        apart = [usual * share("1.42"), usual / share("1.42")]
        dark, opaque = min(dark, *apart), max(opaque, *apart)
        hazy = common + share("0.03") + _glare(common)
    for i, value in enumerate(brightness):
        if labels[i] == CLEAR and (value > opaque or (hazy is not None and haze[i] > hazy)):
            labels[i] = CLOUD
    watery = [_above(_mndwi(spectrum), 0, published) for spectrum in spectra]
    for length in (1, 1, 1, 2, 2, 3, 1):
        _slow_pass(brightness, labels, watery, dark, length, usual)
    clear = [t for t, label in enumerate(labels) if label == CLEAR]
    lake = published or 2 * sum(watery[t] for t in clear) > len(clear)
    if hazy is not None:
        for t, label in enumerate(labels):
            labels[t] = CLEAR if label == CLOUD and haze[t] <= hazy - share("0.015") else label
        for t in _veiled(haze, [Fraction(spectrum[0], 10000) for spectrum in spectra], clear):
            labels[t] = THIN
    return [
        _slow_final(*each, lake, published)
        for each in zip(labels, spectra, brightness, strict=True)
    ]


def _usual(values, labels):
    """A quarter of what was observed lies below."""
    seen = sorted(value for value, label in zip(values, labels, strict=True) if label)
    return seen[len(seen) // 4]


def _glare(index):
    """By how much the haze index of bright ground changes with light and view, in steps of dn / 2."""
    return Fraction(int(max(index - share("0.05"), 0) * 20000) // 4, 20000)


def _veiled(haze, blue, clear):
    """Clear dates with more than 0.015 above at least half of the four before and the four after."""
    for place, t in enumerate(clear):
        near = clear[max(place - 4, 0) : place] + clear[place + 1 : place + 5]
        more = 0
        for u in near:
            hazier = haze[t] > haze[u] + share("0.015") + _glare(haze[u])
            more += hazier and blue[t] > blue[u] + share("0.015")
        if more and 2 * more >= len(near):
            yield t


def _observed(spectrum, published):
    _, green, red, nir, swir, _ = spectrum
    if not published:
        return min(spectrum) > -10000
    n = Fraction(nir, 10000)
    radicand = (2 * n + 1) ** 2 - 8 * (n - Fraction(red, 10000))
    return min(spectrum) > -999 and 0 not in spectrum and green + swir != 0 and radicand > 0


def _mndwi(spectrum):
    return spectrum[1] - spectrum[4], spectrum[1] + spectrum[4]


def _above(quotient, limit, published):
    """Whether a quotient is above; corrected, with a denominator that is never taken negative."""
    top, bottom = quotient
    if published:
        return bottom != 0 and Fraction(top, bottom) > limit
    return top > limit * bottom


def _below(quotient, limit, published):
    top, bottom = quotient
    if published:
        return bottom != 0 and Fraction(top, bottom) < limit
    return top < limit * bottom


def _slow_pass(brightness, labels, watery, dark, length, usual):
    published = usual is None
    clear = [t for t, label in enumerate(labels) if label == CLEAR]
    if len(clear) < 3 * length:
        return
    value = [brightness[t] for t in clear]
    usable = [value[i] > dark or watery[t] for i, t in enumerate(clear)]
    found = [None] * len(clear)
    starts = range(len(clear) - length + 1)
    means = [sum(value[k : k + length]) / length for k in starts]
    for k in sorted(starts, key=lambda k: (means[k], k), reverse=True):
        members = range(k, k + length)
        if any(found[i] is not None for i in ([k] if published else members)):
            continue
        left = [i for i in range(k - 1, -1, -1) if usable[i] and found[i] is None]
        right = [i for i in range(k + length, len(clear)) if usable[i] and found[i] is None]
        if len(left) + len(right) < 2 * length:
            continue
        from_left = min(len(left), max(length, 2 * length - len(right)))
        chosen = left[:from_left] + right[: 2 * length - from_left]
        references = [sum(value[i] for i in chosen) / (2 * length)]
        if not published:
            sides = chosen[:from_left], chosen[from_left:]
            if from_left == length:
                references = [sum(value[i] for i in side) / length for side in sides]
            references.append(usual)
        verdicts = {_slow_verdict(means[k], each, published) for each in references}
        label = verdicts.pop() if len(verdicts) == 1 else None
        if label is not None:
            for i in members:
                found[i] = label
    for i, label in enumerate(found):
        if label is not None:
            labels[clear[i]] = label


def _slow_verdict(mean, reference, published):
    more = share("1.42")
    if mean > share("0.10") and mean > more * reference:
        return CLOUD if reference > 0 or not published else None
    # 0.055 in single precision is less than in double.
    if not published or mean <= share("0.055"):
        positive = mean > 0 or not published
        return SHADOW if positive and reference > max(mean, more * mean) else None
    return None


def _slow_final(label, spectrum, brightness, lake, published):
    blue, green, red, nir, _, _ = spectrum
    mndwi = _mndwi(spectrum)
    if label == SHADOW and lake:
        # MSAVI < 0.06 without its root, which the published program has where it says no more.
        n, r, v = Fraction(nir, 10000), Fraction(red, 10000), share("0.06")
        radicand = (2 * n + 1) ** 2 - 8 * (n - r)
        side = 2 * n + 1 - 2 * v
        low_msavi = radicand >= 0 and side * side < radicand
        water = _above(mndwi, share("-0.05"), published) and brightness < share("0.05")
        return CLEAR if water or (low_msavi and _above(mndwi, share("-0.2"), published)) else SHADOW
    if label == CLOUD:
        return CLEAR if _below(mndwi, share("-0.38"), published) else CLOUD
    if label == CLEAR:
        both = red + blue
        haze = _below((red - blue, blue), share("-0.02"), published)
        grey = 600 < both < 2900 and green < share("0.6") * both
        if haze and grey and _below(mndwi, share("-0.1"), published):
            return CLOUD if published else THIN
    return label


def slow_smooth(plane, reach, published=False):
    """(y, x) classes -> lone clouds and lone gaps away, pixel by pixel."""
    rows, columns = plane.shape
    least, among, itself = (2, 8, False) if reach == 1 else (8, 25, True)
    out = plane.copy()
    for y in range(rows):
        for x in range(columns):
            inside = reach <= y < rows - reach and reach <= x < columns - reach
            if plane[y, x] == NO_OBSERVATION or (published and not inside):
                continue
            window = [
                int(plane[j, i])
                for j in range(max(y - reach, 0), min(y + reach + 1, rows))
                for i in range(max(x - reach, 0), min(x + reach + 1, columns))
                if itself or (j, i) != (y, x)
            ]
            cloudy = sum(code in (CLOUD, SHADOW, THIN) for code in window)
            observed = sum(code != NO_OBSERVATION for code in window)
            if plane[y, x] == CLEAR:
                same, other = sum(code == CLEAR for code in window), CLOUD
                if published:
                    # The published program takes what is not observed for not clear.
                    same = len(window) - cloudy - (len(window) - observed)
            else:
                same, other = cloudy, CLEAR
            counted = among if published else observed
            if Fraction(same) < Fraction(least, among) * counted:
                out[y, x] = other
    return out
