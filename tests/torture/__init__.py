"""Damaged files for every reader: `make torture`. Not collected by `make test`."""
