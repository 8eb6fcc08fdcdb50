# ruff: noqa: T201
"""How good the syntheses of every method and mask are: tables of the documentation, as markdown.

``python tests/benchmarks/quality_syntheses.py --series FOLDER`` makes the months of the real series
s2-l2a-31UES in a workspace (a temporary one, or ``--workspace DIR``, which is gone on with) and
judges them as ``clearcube validate synthesis`` does, inside the parcels. ``--method`` and ``--mask``
(repeatable) make fewer; all take a few minutes.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import markdown, title

from jobs.commands.tables import number, percent
from jobs.synthesis_validation import validate_synthesis
from jobs.workspace import Workspace, open_workspace

TILE, MONTHS = "31UES", "2018-08/2019-11"
METHODS = ("wasp", "median", "geomedian", "medoid", "s2gm", "bap", "max-ndvi", "lcf")
MASKS = ("combined", "tsmask", "mtcd", "scl", "scl:plain", "scl:wide")
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"options": {"unclassified": "clear"}},
    "wide": {"buffer": 60},
}
"""Of ``scl``: class 7 as clear; clouds and shadows 60 m wider."""

CENTRED = "centred"
"""Variant of methods with the window of ``wasp``: the same dates for all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", "--labels", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--workspace", type=Path, metavar="DIR")
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--mask", action="append", choices=MASKS)
    options = parser.parse_args()
    methods, masks = options.method or METHODS, options.mask or MASKS
    from distributed import LocalCluster

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        open_workspace(
            options.workspace or Path(folder) / "workspace", scheduler=cluster.scheduler_address
        ) as workspace,
    ):
        make(workspace, options.series, methods, masks)
        areas = options.series / "parcels.geojson"
        found = validate_synthesis(workspace, TILE, MONTHS, methods, masks, areas=areas)
        print(f"Reference: {found['reference']['mask']}")
        title("Every method and mask")
        overview(found)
        for mask in masks[:1]:
            named = [name if name == "wasp" else f"{name}:{CENTRED}" for name in methods]
            title(f"The same window for all, {mask}")
            overview(validate_synthesis(workspace, TILE, MONTHS, named, [mask], areas=areas))
        title("Months by mask")
        by_month({k: one for k, one in found["syntheses"].items() if one["method"] == "wasp"})


def make(workspace: Workspace, series: Path, methods: Sequence[str], masks: Sequence[str]) -> None:
    """All syntheses that are judged; what is there is not made again."""
    require(workspace.ingest(series / "catalog.json"))
    for mask in masks:
        variant = mask.partition(":")[2]
        if variant:
            made = VARIANTS[variant]
            require(workspace.run("decode-masks", tile=TILE, encoding="scl", name=variant, **made))
    for mask in masks:
        for name in methods:
            request = {"tile": TILE, "datetime": MONTHS, "method": name, "mask": mask}
            require(workspace.run("synthesis", **request))
            if mask == masks[0] and name != "wasp":
                centred = {"name": CENTRED, "options": {"window": "centred"}}
                require(workspace.run("synthesis", **request, **centred))


def require(outcome: Any) -> None:
    if outcome.failures:
        raise SystemExit("\n".join(map(str, outcome.failures)))


def overview(found: Mapping[str, Any]) -> None:
    heads = [
        "method and mask",
        "gaps %",
        "cloud %",
        "by clear %",
        "shadow %",
        "RMSE",
        "of common",
        "bias",
        "within %",
        "NDVI RMSE",
        "noise",
        "edges",
        "elsewhere",
        "date steps",
        "days",
        "differ %",
        "along time",
    ]
    rows = []
    for name, one in found["syntheses"].items():
        every = one["all"]
        mean, residual = every["mean_of_bands"], every["residual"]
        fidelity = mean["fidelity"]
        rows.append(
            [
                f"`{name}`",
                percent(every["gaps"]["share"], 2),
                percent(residual["cloud"], 2),
                percent(residual["cloud_by_darkest_clear"], 2),
                percent(residual["shadow"], 2),
                number(fidelity["rmse"], 4),
                number(mean["common"]["rmse"], 4),
                number(fidelity["bias"], 4),
                percent(fidelity["within"]),
                number(every["bands"]["ndvi"]["fidelity"]["rmse"], 3),
                number(mean["noise"]["ratio"], 2),
                *(number(mean[part]["index"], 2) for part in ("edges", "elsewhere", "changes")),
                number(every["date_distance"]["mean"], 1),
                percent(every["date_texture"]["different"]),
                number(mean["temporal"]["rms"], 4),
            ]
        )
    clear = found["reference"]["residual"]
    keys = ("cloud", "cloud_by_darkest_clear", "shadow")
    mistaken = [percent(clear[key], 2) for key in keys]
    rows.append(["clear dates themselves", "-", *mistaken, *["-"] * (len(heads) - 5)])
    markdown(heads, rows)


def by_month(syntheses: Mapping[str, Any]) -> None:
    labels = list(dict.fromkeys(k for one in syntheses.values() for k in one["per_period"]))
    rows = []
    for name, one in syntheses.items():
        cells = []
        for label in labels:
            part = one["per_period"].get(label)
            if part is None:
                cells.append("-")
                continue
            gaps, residual = part["gaps"]["share"], part["residual"]["cloud_by_darkest_clear"]
            cells.append(f"{percent(gaps)}; {percent(residual)}")
        rows.append([f"`{name}`", *cells])
    markdown(["mask", *labels], rows)


if __name__ == "__main__":
    main()
