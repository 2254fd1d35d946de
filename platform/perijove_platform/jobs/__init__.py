"""What jobs of every kind have in common: their table and events, their way through a cluster, their runs in pods."""
