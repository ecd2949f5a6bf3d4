"""The console of the gateway as a real browser makes a page of it."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
from tests.interop.gateway.beside import unused_port

from kratos.testing.app import running
from kratos_gateway.assembly import application
from kratos_gateway.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.outside("KRATOS_CHROMIUM", "a Chromium")]

CONFIG = """
name: <b>shop</b><script>document.title = 'run'</script>
endpoints:
  - {path: '/<img src=x onerror=alert(1)>', backends: [{target: '127.0.0.1:1'}]}
  - {path: '/{long}', backends: [{target: '127.0.0.1:1'}]}
""".replace("{long}", "x" * 2000)


async def seen(url: str, folder: Path, *flags: str) -> str:
    """Return the document that a browser has made, as HTML."""
    process = await asyncio.create_subprocess_exec(
        os.environ["KRATOS_CHROMIUM"],
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=500,900"),
        f"--user-data-dir={folder / 'profile'}",
        *flags,
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_what_others_write_is_text_in_a_browser_and_people_give_the_token(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    port = unused_port()
    settings = Settings(
        addresses=["127.0.0.1:0"],
        conf=str(config),
        debug=True,
        debug_address=f"127.0.0.1:{port}",
        console_token="sesame",
    )
    async with running(application(settings, environ={})):
        place = f"127.0.0.1:{port}/debug/console"
        page = await seen(f"http://anybody:sesame@{place}", tmp_path)
        refused = await seen(f"http://anybody:guess@{place}", tmp_path / "other")
    assert "&lt;b&gt;shop&lt;/b&gt;" in page
    assert not re.search(r"<(script|img|b)[ >]", page)
    assert "<title>run" not in page
    assert page.count("<table>") == 2
    assert "shop" not in refused
