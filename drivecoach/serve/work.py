"""Where requests wait and are worked on: so many at once, so many in the queue, so long each; who leaves, stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Receive

from drivecoach.serve.model import Emit, Reply
from drivecoach.serve.wire import WireError

T = TypeVar("T")

Left = Callable[[], bool]
"""Whether whoever asked is gone, and the work is for nobody."""
Piece = tuple[str, str] | Reply
"""(reasoning, answer) as they grow, and at the end the whole."""

BUSY = "server busy, please try again.  maximum pending requests exceeded"
GONE = 499
"""The status code of what nobody reads any more, as nginx writes it to its log."""


class WorkQueue:
    """Runs blocking answers in threads; ``seconds`` is how long one request may take, waiting included."""

    def __init__(self, slots: int, queue: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="answer")
        self._slots = slots
        self._most = slots + queue
        self._seconds = seconds
        self._counting = threading.Lock()
        self._taken = 0

    @property
    def waiting(self) -> int:
        """How many requests nobody works on yet."""
        return max(0, self._taken - self._slots)

    @property
    def working(self) -> int:
        """How many are worked on."""
        return min(self._taken, self._slots)

    @property
    def has_room(self) -> bool:
        """Whether it takes one more."""
        return self._taken < self._most

    async def work(self, job: Callable[[Left], T], receive: Receive) -> T:
        """What ``job`` gives; ``receive`` tells when the client goes away, which ends the work.

        Raises WireError 503 when the queue is full, 504 when time is up, 499 when nobody is there to read.
        """
        left = threading.Event()
        future = self._start(lambda: job(left.is_set))
        gone = asyncio.ensure_future(client_left(receive))
        try:
            watched: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(watched, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            raise WireError(GONE, "the client is gone") if gone.done() else self._late()
        finally:
            left.set()
            future.cancel()  # takes it off the queue, if nobody has begun
            gone.cancel()

    async def stream(self, job: Callable[[Emit, Left], Reply], receive: Receive) -> AsyncGenerator[Piece, None]:
        """What ``job`` emits, as it comes, then its answer; a reader that leaves stops the generation."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        left = threading.Event()

        def emit(thinking: str, text: str) -> bool:
            loop.call_soon_threadsafe(pieces.put_nowait, (thinking, text))
            return left.is_set()

        future = self._start(lambda: job(emit, left.is_set))
        future.add_done_callback(lambda _: pieces.put_nowait(None))
        gone = asyncio.ensure_future(client_left(receive))
        gone.add_done_callback(lambda _: pieces.put_nowait(None))
        end = loop.time() + self._seconds
        try:
            while (piece := await asyncio.wait_for(pieces.get(), end - loop.time())) is not None:
                yield piece
            if not future.done():
                raise WireError(GONE, "the client is gone")
            yield future.result()
        except TimeoutError:
            raise self._late() from None
        finally:
            left.set()
            future.cancel()
            gone.cancel()

    def close(self, *, finish: bool) -> None:
        """Take no more work; ``finish`` what waits too, or only what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=not finish)

    def _start(self, job: Callable[[], T]) -> asyncio.Future[T]:
        with self._counting:
            if not self.has_room:
                raise WireError(503, BUSY)
            self._taken += 1
        future = self._pool.submit(job)
        future.add_done_callback(self._done)
        watched = asyncio.wrap_future(future)
        watched.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to fetch it
        return watched

    def _done(self, _: Future[T]) -> None:
        with self._counting:
            self._taken -= 1

    def _late(self) -> WireError:
        return WireError(504, f"the answer took longer than {self._seconds:g} s")


async def client_left(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def streamed(
    pieces: AsyncGenerator[Piece, None],
    line: Callable[[Piece], bytes],
    refusal: Callable[[WireError], bytes],
    media_type: str,
    end: bytes = b"",
) -> StreamingResponse:
    """A response of one ``line`` a piece; a refusal before the first one keeps its status code."""
    first = await anext(pieces)

    async def body() -> AsyncIterator[bytes]:
        try:
            yield line(first)
            async for piece in pieces:
                yield line(piece)
            yield end
        except WireError as error:
            yield refusal(error)
        finally:
            await pieces.aclose()

    return StreamingResponse(body(), media_type=media_type)
