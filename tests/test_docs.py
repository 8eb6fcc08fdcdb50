"""The pages say what is so: commands, options, Python, links, pictures, tables."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from catalog.api.settings import ServerSettings
from jobs.cli import COMMANDS, cli
from jobs.registry import job_names
from jobs.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MANUAL = "\n".join(
    (ROOT / name).read_text("utf-8")
    for name in ("README.md", "jobs/METHODS.md", "jobs/REFERENCE.md", "jobs/SERVICE.md")
)
"""README and the pages that it leads to, in the order in which their commands are to be run."""
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "deploy/README.md")),
    *(ROOT / "jobs" / f"{name}.md" for name in ("METHODS", "REFERENCE", "SERVICE")),
    *(ROOT / package / "DESIGN.md" for package in ("cube", "catalog", "jobs")),
    ROOT / "cube/ACCURACY.md",
    ROOT / "cube/SYNTHESES.md",
]
OTHERS = """--build --constraint --date --detach --file --memory-limit --nthreads --nworkers --rm
--strict --tag"""
"""Options of pip, docker, dask, date and mypy that the pages name."""
TEXT = re.sub(r"\s+", " ", "\n".join(page.read_text("utf-8") for page in PAGES))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)


def written_commands() -> list[list[str]]:
    """Words of every ``clearcube`` command in a shell block of the manual."""
    lines = "\n".join(blocks("sh")).splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words and words[0] == "clearcube"]


def command(words: list[str]) -> click.Command:
    """The command that words name; a ``LookupError`` where there is none."""
    found: click.Command = cli
    for word in words:
        if isinstance(found, click.Group) and not word.startswith("-"):
            inner = found.get_command(click.Context(found), word)
            if inner is None:
                raise LookupError(f"there is no command {' '.join(words)}")
            found = inner
    return found


def options(words: list[str]) -> set[str]:
    flags = {"--help", "--version", "--workspace", "--verbose"}
    return flags.union(*(parameter.opts for parameter in command(words).params))


# --- commands -------------------------------------------------------------------------------------


def test_commands_in_blocks_have_their_options() -> None:
    assert len(written_commands()) >= 8
    for words in written_commands():
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options(words), words


def test_the_table_names_every_command_and_their_options_only() -> None:
    rows = re.findall(
        r"^\| `clearcube ([a-z -]+?)(?: [A-Z.\[\]]+| )*` \|(.*)\|$", MANUAL, re.MULTILINE
    )
    top = set(COMMANDS) - {"run"}
    assert {name for name, _ in rows} == top | {f"run {job}" for job in (*job_names(), "stale")}
    for name, about in rows:
        assert set(re.findall(r"--[a-z-]+", about)) <= options(name.split()), name


def test_every_option_named_anywhere_exists() -> None:
    known = set(OTHERS.split())
    below = [f"run {job}" for job in (*job_names(), "stale")]
    for name in [
        *COMMANDS,
        *below,
        "validate masks",
        "validate synthesis",
        "export netcdf",
        "export envi",
        "export catalog",
    ]:
        known |= options(name.split())
    assert set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", TEXT)) - known == set()


def test_make_has_the_targets_that_are_named() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"\bmake (demo|test|check|bench|accuracy|[a-z]+)\b(?=[`\s]+#|`|\s{2,})", MANUAL)
    )
    assert named == {"demo", "test", "check", "bench", "accuracy"}
    assert named <= targets


def test_the_settings_are_all_there() -> None:
    named = set(re.findall(r"CLEARCUBE_((?!API_)[A-Z]+)", MANUAL))
    assert named == {name.upper() for name in Settings.model_fields}
    served = set(re.findall(r"CLEARCUBE_API_([A-Z_]+)", MANUAL))
    assert served == {"TOKEN", "MAX_BODY"}
    assert {name.lower() for name in served} <= set(ServerSettings.model_fields)
    keys = re.findall(r"^\| `CLEARCUBE_[A-Z]+` \| `([a-z]+)` \|", MANUAL, re.MULTILINE)
    assert set(keys) == set(Settings.model_fields) - {"workspace"}


# --- what is named --------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if target:
            assert not target.startswith("http"), target
            assert (page.parent / target).exists(), target


def headings(page: Path) -> set[str]:
    """Names by which the headings of a page are linked, as forges make them."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_into_pages_name_a_heading(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text("utf-8")):
        assert heading in headings(page.parent / target if target else page), (target, heading)


def test_readme_is_for_newcomers() -> None:
    assert len(README.splitlines()) <= 400  # what is looked up lies beside it


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((ROOT / "deploy/pictures").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size <= 100_000, picture
        assert f"deploy/pictures/{picture.name})" in MANUAL


def test_files_named_in_the_pages_exist() -> None:
    named = re.findall(r"`((?:cube|catalog|jobs|tests|deploy)/[\w./-]+?)`", TEXT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_tables_tell_the_classes_and_their_precedence() -> None:
    from cube.classes import CLASSES, NAMES, PRECEDENCE

    for each in CLASSES:
        assert re.search(rf"^\| {each.code} \| {each.name}\b", MANUAL, re.MULTILINE), each
    order = ", ".join(NAMES[code] for code in PRECEDENCE)
    assert order in re.sub(r"\s+", " ", MANUAL)


def test_what_explain_mask_prints_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    cli(["explain-mask", "clm", "33"], standalone_mode=False)
    assert capsys.readouterr().out in blocks("text")


# --- what runs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with ``demo/products``, four dates small, and a worker in this process."""
    from distributed import LocalCluster

    from jobs.simulate.season import SMALL_SEASON, write_season

    folder = tmp_path_factory.mktemp("home")
    write_season(folder / "demo", SMALL_SEASON)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CLEARCUBE_SCHEDULER", cluster.scheduler_address)
        patch.chdir(folder)
        yield folder


def test_the_commands_and_then_the_python_run_as_written(home: Path) -> None:
    for words in written_commands():
        assert cli(words, standalone_mode=False) in (0, None), words
    assert (home / "workspace" / "cubes" / "31TCJ.zarr").is_dir()
    names: dict[str, object] = {}
    for source in blocks("python"):
        exec(source, names)
    ndvi = names["ndvi"]
    assert dict(ndvi.sizes) == {"time": 1, "y": 96, "x": 96}  # type: ignore[attr-defined]
    assert 0.2 < float(ndvi.mean()) < 0.9  # type: ignore[attr-defined]
    assert set(names["classes"].ravel().tolist()) <= set(range(7))  # type: ignore[attr-defined]
    found = names["workspace"].search(ids=["31TCJ_2020-05_wasp_scl-wide_wide"])  # type: ignore[attr-defined]
    assert len(found) == 1


# --- what the code says of itself -----------------------------------------------------------------


def test_functions_of_arrays_say_first_what_they_turn_into_what() -> None:
    silent = []
    for module in sorted((ROOT / "cube").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            taken = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)]
            types = " ".join(ast.unparse(each) for each in taken if each is not None)
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            arrays = re.search(r"\b(NDArray|Array|Bytes|Classes)\b", types)
            if arrays and not re.match(r"(``)?\(|.* -> ", first):
                silent.append(f"{module.name}: {node.name}")
    assert silent == []


def test_the_image_keeps_libraries_to_one_thread_as_local_workers_do() -> None:
    from jobs.runner.cluster import WORKER_ENVIRONMENT

    text = (ROOT / "deploy" / "Dockerfile").read_text()
    missing = [f"{k}={v}" for k, v in WORKER_ENVIRONMENT.items() if f"{k}={v}" not in text]
    assert missing == []
