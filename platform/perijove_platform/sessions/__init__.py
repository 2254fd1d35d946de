"""Sessions: the platform's end of the tunnel, streams into clusters for others, kubectl's proxy and its audit log."""
