"""An Ollama that misbehaves by plan, as a process of its own: python fault_server.py PORT PLAN.

PLAN ``good`` answers every state with the rules' instruction. PLAN ``bad`` counts requests: every 7th hangs, every
11th answer is cut in the middle, every 13th is a 500 or a 503, every 17th is a well-formed instruction that breaks
an invariant. What a model itself spoils (a cut text, a broken invariant) it spoils only without a seed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from typing import Any

from drivecoach.domains.driving import DRIVING

UNSAFE = '{"动作": ["轻踩油门"], "级别": "提示", "话术": "走"}'
HANG = 4.0


class Server:
    """Answers ``/api/show`` and ``/api/generate``."""

    def __init__(self, bad: bool) -> None:
        self._bad = bad
        self._requests = itertools.count(1)
        self._counts: Counter[str] = Counter()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                body = json.loads(await reader.readexactly(length) or b"{}")
                status, value, cut = await self._reply(head.split(b" ")[1].decode(), body)
                content = json.dumps(value, ensure_ascii=False).encode()
                writer.write(
                    f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()  # noqa: E501
                )
                writer.write(content[: len(content) // 2] if cut else content)
                await writer.drain()
                if cut:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any], bool]:
        if path == "/counts":
            return 200, dict(self._counts), False
        if path == "/api/show":
            told = {"drivecoach.domain": "driving"}
            return 200, {"modelfile": "", "capabilities": ["completion"], "model_info": told}, False
        text = DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(body["prompt"])))
        number = next(self._requests) if self._bad else 1
        seeded = "seed" in (body.get("options") or {})
        cut = False
        if number % 7 == 0:
            self._counts["hangs past the timeout"] += 1
            await asyncio.sleep(HANG)
        elif number % 11 == 0:
            cut = seeded or number % 2 == 0
            self._counts["connection cut in the answer" if cut else "text cut in the answer"] += 1
            text = text if cut else text[: len(text) // 2]
        elif number % 13 == 0:
            self._counts["500" if number % 2 else "503 queue full"] += 1
            return (500, {"error": "out of memory"}, False) if number % 2 else (503, {"error": "server busy"}, False)
        elif number % 17 == 0 and not seeded:
            self._counts["valid by schema, breaks an invariant"] += 1
            text = UNSAFE
        else:
            self._counts["right answers"] += 1
        answer = {"model": body["model"], "response": text, "done": True, "done_reason": "stop", "eval_count": 15}
        return 200, answer, cut


async def _main(port: int, plan: str) -> None:
    server = await asyncio.start_server(Server(plan == "bad").talk, "127.0.0.1", port, backlog=256)
    async with server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
