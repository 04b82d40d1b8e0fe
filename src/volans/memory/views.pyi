"""Compiled, C level only: nothing here can be called from Python."""
