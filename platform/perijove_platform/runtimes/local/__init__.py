"""This machine as a cluster of one: engines and jobs are supervised child processes."""
