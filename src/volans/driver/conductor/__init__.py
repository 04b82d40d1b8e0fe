"""The control plane: the conductor's Python half. One file a concern; `conductor.py` puts them
together.
"""
