"""From the names in channels to addresses."""
