"""What can go wrong with work: one base and its children, each also the builtin it refines."""


class JobError(Exception):
    """Base of every error of this package; its message is one line: what, which, what to do."""


class RequestError(JobError, ValueError):
    """A request that cannot be carried out: unknown job, method, mask, tile, period or setting."""


class WorkspaceError(JobError, OSError):
    """A workspace or store that cannot be made, read or written."""


class SchedulerError(JobError, ConnectionError):
    """A dask scheduler that cannot be reached, or workers that run another version."""
