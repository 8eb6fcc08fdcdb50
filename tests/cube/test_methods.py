from datetime import date

import pytest

from cube import methods as package
from cube.errors import BandError
from cube.periods import Period
from cube.synthesis import method, methods


def test_every_module_of_the_package_is_a_method():
    assert [m.name for m in methods()] == [
        *("bap", "geomedian", "lcf", "max-ndvi", "median", "medoid", "s2gm", "wasp")
    ]


@pytest.mark.parametrize("each", methods(), ids=lambda m: m.name)
def test_a_method_declares_itself(each):
    assert "_" not in each.name
    assert each.version
    assert each.title
    for name, field in each.params.model_fields.items():
        assert field.description, name
        assert {"unit", "source"} <= set(field.json_schema_extra), name
    each.params()


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(BandError, match=r"'best'.*median medoid s2gm wasp"):
        method("best")


def test_a_module_that_does_not_import_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    package.methods.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        package.methods()
    monkeypatch.undo()
    package.methods.cache_clear()
    assert len(package.methods()) == 8


def test_windows():
    may = Period.parse("2019-05")
    wasp, median = method("wasp"), method("median")
    assert wasp.window(may, wasp.params()) == (date(2019, 4, 22), date(2019, 6, 7))
    assert wasp.window(may, wasp.params(half_window=15))[1] == date(2019, 5, 30)
    assert median.window(may, median.params()) == (date(2019, 5, 1), date(2019, 5, 31))
    assert wasp.window(may, wasp.params(window="calendar"))[0] == date(2019, 5, 1)
    for each in methods():
        centred = each.params(window="centred", half_window=10)
        assert each.window(may, centred) == (date(2019, 5, 5), date(2019, 5, 25)), each.name
