from collections.abc import Callable, Sequence
from typing import Any, Literal, final

from typing_extensions import Buffer

from volans.client.base_publication import BasePublication
from volans.client.results import OfferResult

@final
class ExclusivePublication(BasePublication):
    def offer(
        self,
        message: Buffer | Sequence[Buffer],
        reserved_value: int | Callable[[Any], int] | None = None,
    ) -> Literal[True] | OfferResult: ...
    def append_padding(self, length: int) -> Literal[True] | OfferResult: ...
    def offer_block(self, block: Buffer) -> Literal[True] | OfferResult: ...
    revoke_on_close: bool
    def revoke(self) -> None: ...
    def close(self) -> None: ...
