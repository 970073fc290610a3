"""Work for the tests of ledgers: functions that other processes can import, and a job that is killed from outside."""

import os
import signal
import sys
from pathlib import Path

from omnitrain.errors import DataError
from omnitrain.runs import Ledger


class Odd(Exception):
    """An error that can be sent but not received, since it wants two arguments."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def square(number):
    """Return a value with what JSON changes: a tuple comes back as a list."""
    return {"square": number * number, "pair": (number, str(number))}


def faulty(number):
    """Fail at every third number."""
    if number % 3 == 0:
        raise DataError(f"number {number} is bad.")
    return number


def odd(number):
    """Fail in a way that can't be sent between processes."""
    raise Odd("very", "odd")


def deadly(number):
    """End the process that works on it."""
    if number == 3:
        os._exit(9)
    return number


def endless(folder):
    """Say that the work began, then go on until somebody ends this process."""
    (Path(folder) / f"begun-{os.getpid()}").touch()
    signal.pause()


def killed_after(count):
    """Return a function that kills its process, as a power cut would, at the item after `count` ones."""
    done = []

    def work(number):
        if len(done) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(number)
        return square(number)

    return work


def killed_from_worker(number):
    """Kill the process that handed out the work, at item 12."""
    if number == 12:
        os.kill(os.getppid(), signal.SIGKILL)
    return square(number)


def main(folder, workers, count):
    """Map over 20 numbers; killed on the way where count is not negative."""
    function = square
    if int(count) >= 0:
        function = killed_from_worker if int(workers) else killed_after(int(count))
    with Ledger(Path(folder)) as ledger:
        for _ in ledger.map(function, range(20), key=str, workers=int(workers)):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
