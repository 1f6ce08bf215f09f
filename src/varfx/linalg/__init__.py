"""Iterative linear algebra on tensors; knows no genetics and opens no file."""
