"""Damaged files, kills, full disks, lost workers and two writers: `make torture`; a sample of it runs in `make test`."""
