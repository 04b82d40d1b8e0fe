from typing import final

@final
class MessageMemory: ...

@final
class Assembler:
    dropped_count: int
