"""How many pixels a second of processor time the masks take; run as a script.

``python tests/benchmarks/bench_masks.py [--check]``. Compilation and start-up are left out, and
each figure is the best of several rounds on arrays of one chunk of dates (24 x 512 x 512), whose
memory is reused as in a worker. With ``--check`` the status is 1 where a figure misses its target.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from cube import masks

SHAPE = (24, 512, 512)
ROUNDS = 7
TARGETS = {"decode scl": 300.0, "decode clm alone": 300.0}
"""Million pixels per second of processor time that one-byte encodings are to reach."""


def main() -> int:
    """Measure, print a table, compare with the targets."""
    missed = False
    sys.stdout.write(f"{'':28}{'Mpx / cpu-s':>12}{'target':>9}\n")
    for name, work in cases().items():
        speed = measured(work)
        target = TARGETS.get(name)
        missed = missed or (target is not None and speed < target)
        sys.stdout.write(f"{name:28}{speed:12.0f}{'' if target is None else f'{target:9.0f}'}\n")
    return int(missed and "--check" in sys.argv)


def cases() -> dict[str, Callable[[], object]]:
    """Each name -> what is to be timed, over `SHAPE` pixels."""
    random = np.random.default_rng(20190515)
    scl = random.integers(0, 12, SHAPE, dtype="uint8")
    clm = random.choice(np.array([0, 0, 0, 7, 11, 19, 33, 65, 131, 143], "uint8"), SHAPE)
    mg2 = random.choice(np.array([0, 0, 0, 1, 4], "uint8"), SHAPE)
    edg = np.zeros(SHAPE, "uint8")
    three = {"clm": clm, "mg2": mg2, "edg": edg}
    qa = random.choice(np.array([21824, 21952, 22280, 23888], "uint16"), SHAPE)
    fields = masks.decode("scl", {"scl": _blobs(random)})
    return {
        "decode scl": lambda: masks.decode("scl", {"scl": scl}),
        "decode clm alone": lambda: masks.decode("clm", {"clm": clm}),
        "decode clm, mg2, edg": lambda: masks.decode("clm", three),
        "decode qa_pixel (two bytes)": lambda: masks.decode("qa_pixel", {"qa_pixel": qa}),
        "contradictions clm, edg": lambda: masks.contradictions("clm", three),
        "fractions": lambda: masks.fractions(fields),
        "dilate 60 m": lambda: masks.dilate(fields, 60, 20),
        "dilate 600 m": lambda: masks.dilate(fields, 600, 20),
    }


def measured(work: Callable[[], object]) -> float:
    """Million pixels per second of processor time, the best of all rounds but the first."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return float(np.prod(SHAPE)) / best / 1e6


def _blobs(random: np.random.Generator) -> np.ndarray:
    """SCL with patches of 32 x 32 pixels: a quarter cloud, an eighth shadow, the rest fields."""
    coarse = random.choice(np.array([9, 9, 3, 5, 5, 4, 4, 4], "uint8"), (SHAPE[0], 16, 16))
    return coarse.repeat(32, axis=1).repeat(32, axis=2)


if __name__ == "__main__":
    raise SystemExit(main())
