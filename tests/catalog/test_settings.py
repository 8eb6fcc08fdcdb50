"""Where the catalogue is."""

from catalog.settings import CatalogSettings


def test_default(monkeypatch):
    monkeypatch.delenv("CLEARCUBE_CATALOG", raising=False)
    assert CatalogSettings().catalog == "sqlite:///workspace/catalog.db"


def test_environment(monkeypatch):
    monkeypatch.setenv("CLEARCUBE_CATALOG", "sqlite:////data/catalog.db")
    assert CatalogSettings().catalog == "sqlite:////data/catalog.db"
