"""A one-node Kubernetes on this machine: real programs, no virtual machine, no container daemon of the machine's.

``python -m testbed up`` starts it, ``down`` ends it and leaves the machine as it was; see
docs/developers/testbed.md. Standard library and PyYAML only.
"""
