"""Differences between pairs of dates, in steps -> the step on which each date stands."""

from collections.abc import Callable, Iterator, Mapping, Sequence

Pair = tuple[int, int]
Cost = Callable[[int, int], float]
"""Date, level -> how little the date could stand there."""


def find_levels(dates: Sequence[int], steps: Mapping[Pair, float], cost: Cost) -> dict[int, int]:
    """Dates, unrounded steps from the second to the first of a pair, costs -> level of each date.

    ``steps`` holds each pair both ways, with opposite signs. Steps are rounded and added up along
    the pairs that are nearest to whole ones (a minimum spanning tree after Prim); then each date
    follows the majority of its pairs. What dates that are connected have in common, which no
    difference shows, is chosen such that their costs are least together. A date without pairs has
    the level that costs least.
    """
    found: dict[int, int] = {}
    for group in _connected(dates, steps):
        inner = {pair: step for pair, step in steps.items() if pair[0] in group}
        levels = _spanned(group, inner)
        for _ in group:
            if not _settle(levels, inner):
                break
        base = _base(levels, cost)
        found |= {date: level + base for date, level in levels.items()}
    return found


def _connected(dates: Sequence[int], steps: Mapping[Pair, float]) -> Iterator[list[int]]:
    """Dates -> those that pairs connect, each with every other, directly or not."""
    near: dict[int, set[int]] = {date: set() for date in dates}
    for one, other in steps:
        near[one].add(other)
    left = set(dates)
    while left:
        reached = {min(left)}
        edge = set(reached)
        while edge:
            edge = {other for one in edge for other in near[one]} - reached
            reached |= edge
        left -= reached
        yield sorted(reached)


def _spanned(group: Sequence[int], steps: Mapping[Pair, float]) -> dict[int, int]:
    """Levels from the first date on, along the pairs that are nearest to whole steps."""
    levels = {group[0]: 0}
    certain = sorted(steps, key=lambda pair: (abs(steps[pair] - round(steps[pair])), pair))
    while len(levels) < len(group):
        one, other = next(p for p in certain if p[0] in levels and p[1] not in levels)
        levels[other] = levels[one] - round(steps[one, other])
    return levels


def _settle(levels: dict[int, int], steps: Mapping[Pair, float]) -> bool:
    """Move dates to where most of their pairs want them; whether any moved."""
    wanted: dict[int, list[tuple[int, int]]] = {date: [] for date in levels}
    for (one, other), step in steps.items():
        wanted[one].append((other, round(step)))
    moved = False
    for date, pairs in wanted.items():
        votes = [levels[other] + step for other, step in pairs]
        best = max(sorted(set(votes)), key=votes.count, default=levels[date])
        if votes.count(best) > votes.count(levels[date]):
            levels[date], moved = best, True
    return moved


def _base(levels: Mapping[int, int], cost: Cost) -> int:
    """What to add to all levels: the least cost, the smallest of equal ones."""
    bases = range(-max(levels.values()) - 1, 2 - min(levels.values()))
    return min(
        bases,
        key=lambda base: (sum(cost(d, level + base) for d, level in levels.items()), abs(base)),
    )
