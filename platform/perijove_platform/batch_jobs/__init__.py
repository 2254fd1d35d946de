"""Batch jobs: any command, run to its end."""
