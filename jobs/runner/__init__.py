"""The job runner: plan, submit, ledger, publication."""
