from collections.abc import Callable, Sequence
from typing import Any, Literal, final

from typing_extensions import Buffer

from volans.client.base_publication import BasePublication
from volans.client.results import OfferResult

@final
class Publication(BasePublication):
    def offer(
        self,
        message: Buffer | Sequence[Buffer],
        reserved_value: int | Callable[[Any], int] | None = None,
    ) -> Literal[True] | OfferResult: ...
