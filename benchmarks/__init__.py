"""Comparisons of Volans with the official Aeron client and driver, and with pyzmq."""
