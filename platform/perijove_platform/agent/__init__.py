"""The program in a cluster: dials the platform and opens, for it, streams to the kube-apiserver and to our own pods.

It imports `tunnel/`, the standard library, `websockets` and `h11`, and nothing else of the platform, so that its image
is small and its process stays below 100 MB.
"""
