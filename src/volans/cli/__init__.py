"""The ``volans`` command: one file a command, loaded when it is asked for."""
