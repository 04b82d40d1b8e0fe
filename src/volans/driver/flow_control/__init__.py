"""flow_control strategies, one a file."""
