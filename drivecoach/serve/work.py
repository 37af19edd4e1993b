"""Where requests wait and are worked on: so many at once, so many in the queue, so long each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.responses import StreamingResponse

from drivecoach.serve.model import Emit, Reply
from drivecoach.serve.wire import WireError

Piece = tuple[str, str] | Reply
"""(reasoning, answer) as they grow, and at the end the whole."""

BUSY = "server busy, please try again.  maximum pending requests exceeded"


class WorkQueue:
    """Runs blocking answers in threads; ``seconds`` is how long one request may take, waiting included."""

    def __init__(self, slots: int, queue: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="answer")
        self._places = slots + queue
        self._seconds = seconds

    async def work(self, job: Callable[[], Reply]) -> Reply:
        """The whole answer of ``job``. Raises WireError 503 when the queue is full, 504 when time is up."""
        future = self._start(job)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._seconds)
        except TimeoutError:
            raise self._late() from None

    async def stream(self, job: Callable[[Emit], Reply]) -> AsyncGenerator[Piece, None]:
        """What ``job`` emits, as it comes, then its answer; a reader that leaves stops the generation."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        left = threading.Event()

        def emit(thinking: str, text: str) -> bool:
            loop.call_soon_threadsafe(pieces.put_nowait, (thinking, text))
            return left.is_set()

        future = self._start(lambda: job(emit))
        future.add_done_callback(lambda _: pieces.put_nowait(None))
        end = loop.time() + self._seconds
        try:
            while (piece := await asyncio.wait_for(pieces.get(), end - loop.time())) is not None:
                yield piece
            yield await future
        except TimeoutError:
            raise self._late() from None
        finally:
            left.set()

    def close(self) -> None:
        """Take no more work; what is under way ends by itself."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, job: Callable[[], Reply]) -> asyncio.Future[Reply]:
        if self._places <= 0:
            raise WireError(503, BUSY)
        self._places -= 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, job)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: asyncio.Future[Reply]) -> None:
        self._places += 1
        if not future.cancelled():
            future.exception()  # nobody may be left to fetch it

    def _late(self) -> WireError:
        return WireError(504, f"the answer took longer than {self._seconds:g} s")


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
