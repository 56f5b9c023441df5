"""A TCP proxy that can delay or block all data: ``python -m tests.faults.proxy PORT TARGET_PORT``.

Each line on standard input is the delay in seconds from now on (``inf``: no data pass any more); the proxy
confirms it with a line on standard output. It is a separate process, so that the tests do not slow it down.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]


class Link:
    """A running proxy process."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        command = [sys.executable, "-m", "tests.faults.proxy", str(port), str(target_port)]
        self._process = subprocess.Popen(
            command, cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._confirmed()

    def delay(self, seconds: float) -> None:
        """Delays all data by this time from now on."""
        assert self._process.stdin
        self._process.stdin.write(f"{seconds}\n")
        self._confirmed()

    def _confirmed(self) -> None:
        assert self._process.stdout
        assert self._process.stdout.readline().strip() == "done", "The proxy ended."

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


class _Proxy:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._delay = 0.0

    async def serve(self, port: int) -> None:
        await asyncio.start_server(self._connected, "127.0.0.1", port)
        print("done", flush=True)
        orders = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while order := await orders.readline():
            self._delay = float(order)
            print("done", flush=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self._delay:
                    await asyncio.sleep(min(self._delay, 3600))
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


if __name__ == "__main__":
    asyncio.run(_Proxy(int(sys.argv[2])).serve(int(sys.argv[1])))
