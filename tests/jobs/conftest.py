"""What tests of jobs share: one cluster of real worker processes, reached as a scheduler."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def cluster_address() -> Iterator[str]:
    """Address of two dask worker processes, started once."""
    import dask
    from distributed import LocalCluster

    from jobs.runner.cluster import ONE_THREAD

    config = {
        "distributed.nanny.pre-spawn-environ": ONE_THREAD,
        "logging": {"distributed.worker": "critical", "distributed.nanny": "critical"},
    }
    with (
        dask.config.set(config),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def scheduler(cluster_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Commands of this test use the session's workers instead of starting their own."""
    monkeypatch.setenv("CLEARCUBE_SCHEDULER", cluster_address)
    return cluster_address
