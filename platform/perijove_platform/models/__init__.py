"""Models: what there is, where it comes from, what it is called."""
