"""Where jobs and models run: one contract, one implementation for each kind of place."""
