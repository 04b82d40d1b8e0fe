"""congestion strategies, one a file."""
