"""The example of the README does what it says, with a server and without."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def ran(address: str) -> subprocess.CompletedProcess[str]:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    program = found[1].replace("127.0.0.1:24224", address)
    assert address in program
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=15
    )


def test_server_gets_the_record(fluentd: Any) -> None:
    server = fluentd()
    done = ran(server.address)
    assert (done.returncode, done.stderr) == (0, "")
    server.wait_for(lambda: server.records)
    ((tag, _, record),) = server.records
    assert (tag, record) == ("shop.INFO", {"msg": "listening", "port": "8000"})


def test_loss_is_told_where_nobody_listens() -> None:
    done = ran("127.0.0.1:9")
    assert done.returncode == 0
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["msg"], last["records"]) == ("records for Fluentd were lost", 1)
