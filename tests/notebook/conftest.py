"""A real kernel, as a notebook has one."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager


class Kernel:
    """Runs code in a kernel and returns what it printed, or raises with what it raised."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, timeout: float = 60) -> str:
        printed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                printed.append(content["data"].get("text/plain", "") + "\n")

        reply = self.client.execute_interactive(code, output_hook=take, timeout=timeout)
        content = reply["content"]
        if content["status"] != "ok":
            # IPython prints its usage errors instead of sending a traceback.
            trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content.get("traceback", [])))
            raise AssertionError(
                f"{content.get('ename')}: {content.get('evalue')}\n{trace}\n{''.join(printed)}"
            )
        return "".join(printed)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
