"""Work on many files at once, with a progress bar and results in order."""

import gc
import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import cv2

from ..errors import InputError
from ..processes import follow_parent
from ..progress import progress_bar

# Chunks a worker that are handed over before the first one is done.
AHEAD = 16

Item = TypeVar('Item')
Result = TypeVar('Result')


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    what: str,
    chunk: int = 1,
) -> Iterator[Result]:
    """Apply a function to items, in processes, and yield results in the items' order.

    The results do not depend on the number of workers. An error of one item stops the
    others, and so does the end of this process, however it comes.

    Args:
        function (Callable): Of one item; a function of a module, or a `partial` of one.
        items (Sequence): The items.
        workers (int): Number of processes; 1 works in this one.
        what (str): What is being done, shown before the bar.
        chunk (int): Items handed to a process at once; more for very short work.

    Raises:
        InputError: If a process is killed, or there is to be none.
    """
    if workers < 1:
        raise InputError(f'--workers is at least 1, not {workers}.')
    bar = dict(desc=what, total=len(items), unit='file', delay=1)
    workers = min(workers, len(items))
    if workers <= 1:
        yield from progress_bar(map(function, items), **bar)
        return
    # A fork needs no second import of torch; elsewhere it is not safe.
    context = multiprocessing.get_context(
        'fork' if sys.platform == 'linux' else 'spawn'
    )
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        threads = cv2.getNumThreads()
        try:
            # A fork inherits the locks of OpenCV's threads, which nobody would release.
            cv2.setNumThreads(0)
            # Not `pool.map`: it cancels what is left after an error, and a pool whose
            # workers end fails to tell that to items that are cancelled. It also hands
            # over all items at once, and Ctrl-C in the middle of that can leave a lock
            # of the pool closed.
            chunks = (
                items[start : start + chunk] for start in range(0, len(items), chunk)
            )
            submitted = (pool.submit(_apply, function, chunk) for chunk in chunks)
            ahead = deque(islice(submitted, AHEAD * workers))
            cv2.setNumThreads(threads)
            yield from progress_bar(_in_order(ahead, submitted), **bar)
        except BaseException as error:
            # Left alone, the pool would wait for all items.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            if isinstance(error, BrokenProcessPool):
                raise InputError(
                    f'{what}: a process was killed, probably as memory ran out. Take '
                    f'fewer --workers, now {workers}.'
                ) from None
            raise


def _in_order(ahead: deque[Future], submitted: Iterator[Future]) -> Iterator:
    while ahead:
        results = ahead.popleft().result()
        ahead.extend(islice(submitted, 1))
        yield from results


def _apply(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def _start_worker() -> None:
    """Use one thread, leave Ctrl-C to the parent, and end when the parent is killed."""
    # What a fork has of its parent is no garbage: a scene makes thousands of objects,
    # and each collection would go through those of the frameworks.
    gc.freeze()
    cv2.setNumThreads(0)
    follow_parent()
