"""A package, so that the platform with its agent that all modules share ends with the last of them."""
