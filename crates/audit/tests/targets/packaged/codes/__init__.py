"""A package of Inspect tasks: code, run by scorers in a sandbox."""
