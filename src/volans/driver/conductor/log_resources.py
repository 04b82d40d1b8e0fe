"""Log-buffer files as jobs of the native-resource agent, and their deletion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from volans.driver.conductor.storage import check_storage_for_sparse
from volans.driver.raw_log import create_log_file, log_length
from volans.protocol.counter_types import SystemCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.conductor.context import ConductorContext
    from volans.driver.raw_log import LogParameters
    from volans.memory import MappedFile


def create_log(
    context: ConductorContext,
    path: Path,
    parameters: LogParameters,
    on_done: Callable[[MappedFile], None],
    on_error: Callable[[BaseException], None],
) -> None:
    """Make and map a log file on the native-resource agent.

    What `on_done` raises goes to `on_error`, and the file goes again.
    """
    config = context.config

    def job() -> MappedFile:
        if config.perform_storage_checks and parameters.sparse:
            check_storage_for_sparse(
                path, log_length(parameters.term_length, parameters.page_size), context.directory
            )
        return create_log_file(
            path,
            parameters,
            pre_touch=False,
            check_storage=config.perform_storage_checks,
        )

    def done(log_file: MappedFile) -> None:
        context.shared.add_to_system_counter(SystemCounter.BYTES_CURRENTLY_MAPPED, len(log_file))
        try:
            on_done(log_file)
        except BaseException:
            delete_log(context, log_file)
            raise

    context.resources.submit(job, done, on_error)


def delete_log(context: ConductorContext, log_file: MappedFile) -> None:
    """Unmap and delete a log file whose last user has let go."""
    length = len(log_file)
    path = Path(log_file.path)

    def job() -> None:
        log_file.close()
        path.unlink(missing_ok=True)

    def done(_: object) -> None:
        context.shared.add_to_system_counter(SystemCounter.BYTES_CURRENTLY_MAPPED, -length)

    def failed(error: BaseException) -> None:
        context.shared.add_to_system_counter(SystemCounter.FREE_FAILS)
        context.shared.log_error(f"cannot delete {path}: {error}", context.now_ms)

    context.resources.submit(job, done, failed)


__all__ = ["create_log", "delete_log", "log_length"]
