from collections.abc import Sequence
from typing import Literal, final

from typing_extensions import Buffer

from volans.client.base_publication import BasePublication
from volans.client.results import OfferResult

@final
class ExclusivePublication(BasePublication):
    def offer(
        self, message: Buffer | Sequence[Buffer], reserved_value: int = 0
    ) -> Literal[True] | OfferResult: ...
    def append_padding(self, length: int) -> Literal[True] | OfferResult: ...
    def offer_block(self, block: Buffer) -> Literal[True] | OfferResult: ...
    def revoke(self) -> None: ...
