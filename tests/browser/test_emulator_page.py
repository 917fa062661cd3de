"""The emulator's page in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By

from digitalocean_projects.testing import Emulator, faults

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = [pytest.mark.process, pytest.mark.slow]
RESET = """
fetch(arguments[0] + "/_emulator/reset", {method: "POST", mode: "no-cors"})
  .catch(() => null).then(() => arguments[1]());
"""


def test_page(driver: WebDriver) -> None:
    """The page is shown in its style and without errors, and uses up no fault.

    A page of another port can't control the emulator.
    """
    with Emulator() as emulator, Emulator() as other:
        emulator.seed(["do:droplet:1"], name="web")
        emulator.fail(faults.Status(503))
        driver.get(emulator.url)
        heading = driver.find_element(By.TAG_NAME, "h1")
        assert "Emulator of DigitalOcean's Projects API" == heading.text == driver.title
        shell = driver.find_element(By.TAG_NAME, "pre")
        assert f"export DIGITALOCEAN_API_URL={emulator.url}\n" in shell.text
        assert "6px" == shell.value_of_css_property("border-top-left-radius")
        assert 17 == len(driver.find_elements(By.TAG_NAME, "tr"))
        assert [] == emulator.requests
        log: list[dict[str, Any]] = driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's
        assert [] == [entry for entry in log if entry["level"] == "SEVERE"]

        # The document of an error has no policy that would forbid its scripts a request.
        driver.get(f"{other.url}/v2/nothing")
        driver.execute_async_script(RESET, emulator.url)
    assert 2 == len(emulator.projects())
