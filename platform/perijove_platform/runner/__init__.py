"""The program that runs in a job's pod as its first process: inputs in, the trainer, reports and results out.

Standard library only, so that it runs in any image that has Python 3.11; it imports nothing else of the platform. What
both ends have to agree on is in `contract`.
"""
