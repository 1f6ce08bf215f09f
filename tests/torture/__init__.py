"""Campaigns against every reader and every long command: `make torture`. Not collected by `make test`, but for one sample."""
