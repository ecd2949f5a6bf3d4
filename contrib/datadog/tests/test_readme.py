"""The example of the README sends what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_agent_gets_the_lines_of_the_example(agent: Any) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    program = found[1].replace("udp://127.0.0.1:8125", agent.address)
    assert agent.address in program

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    agent.read()
    (packet,) = agent.packets
    promised = re.search(r"The agent gets `(.+?)` and\n`(.+?)`, in one packet", README)
    assert promised is not None
    assert packet.decode().split("\n") == [promised[1], promised[2]]
