"""Work of clearcube: jobs, the runner and the command line."""
