from os import PathLike
from types import TracebackType
from typing import Self, final

@final
class MappedFile:
    length: int
    path: str
    read_only: bool

    @staticmethod
    def create(
        path: str | bytes | PathLike[str],
        length: int,
        *,
        sparse: bool = True,
        pre_touch: bool = False,
        check_storage: bool = True,
    ) -> MappedFile: ...
    @staticmethod
    def open(
        path: str | bytes | PathLike[str], *, read_only: bool = False, minimum_length: int = 0
    ) -> MappedFile: ...
    @staticmethod
    def anonymous(length: int) -> MappedFile: ...
    def view(self, offset: int, length: int) -> memoryview: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def is_mapped(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...
