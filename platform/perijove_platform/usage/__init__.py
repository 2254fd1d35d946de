"""Who used which model how much, by hour."""
