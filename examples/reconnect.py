"""A subscriber that outlives its media driver: it connects anew whenever the driver has gone.

Run `python examples/reconnect.py --directory /dev/shm/example`, start and stop drivers there
(`volans driver --dir /dev/shm/example`), and publish to `aeron:ipc`, stream 10.

A client never comes back by itself: everything it held died with its driver. So the loop holds
nothing outside of one connection, and begins again with an empty hand.
"""

from __future__ import annotations

import argparse
import time

import volans

CHANNEL, STREAM = "aeron:ipc", 10
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0


def receive(client: volans.Client) -> None:
    """Print messages until the connection ends."""
    subscription = client.add_subscription(CHANNEL, STREAM)
    print("connected", flush=True)
    while not client.is_closed:
        for message in subscription.messages(timeout=0.1):
            print(bytes(message).decode(errors="replace"), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--directory", help="of the media driver")
    options = arguments.parse_args()
    wait_s = FIRST_WAIT_S
    while True:
        try:
            with volans.connect(
                options.directory, driver_timeout=1.0, error_handler=lambda _error: None
            ) as client:
                wait_s = FIRST_WAIT_S
                receive(client)
            print("the driver has gone", flush=True)
        except (volans.DriverNotRunningError, volans.CncFormatError):
            pass  # not there, or only half made
        except (
            volans.DriverTimeoutError,
            volans.ClientClosedError,
            volans.ClientTimeoutError,
            volans.SubscriptionClosedError,
        ) as error:
            print(f"lost: {error}", flush=True)
        # Not in step with all the others that lost the same driver.
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


if __name__ == "__main__":
    main()
