"""The commands of ``clearcube``: one file each, imported when it is called."""
