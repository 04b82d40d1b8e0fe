"""Log-buffer files as jobs of the native-resource agent, and their deletion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from volans.driver.conductor.storage import low_space_warning
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

    def job() -> tuple[MappedFile, str | None]:
        warning = None
        if config.perform_storage_checks:
            if parameters.sparse:
                context.promised_space.promise(
                    path,
                    log_length(parameters.term_length, parameters.page_size),
                    context.directory,
                )
            warning = low_space_warning(context.directory, config.low_file_store_warning_threshold)
        log_file = create_log_file(
            path,
            parameters,
            pre_touch=config.pre_touch_mapped_memory,
            check_storage=config.perform_storage_checks,
        )
        return log_file, warning

    def done(outcome: tuple[MappedFile, str | None]) -> None:
        log_file, warning = outcome
        # The text holds a changing number: told each time it would fill the distinct error log.
        if warning is not None and not context.is_low_space_told:
            context.shared.log_error(warning, context.now_ms)
        context.is_low_space_told = warning is not None
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
