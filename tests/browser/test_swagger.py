"""The documentation of a FastAPI application in a browser: Swagger UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi.openapi.docs import get_swagger_ui_html
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from starlette.staticfiles import StaticFiles

from tests.contrib.serving import example, serve

if TYPE_CHECKING:
    from fastapi import FastAPI
    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

    from digitalocean_projects.testing import Emulator

pytestmark = [pytest.mark.process, pytest.mark.slow]

DOCS = "/offline-docs"
OPERATIONS = ["GET", "GET", "GET", "POST", "PUT"]


def add_docs(app: FastAPI) -> None:
    """Add a page like FastAPI's own, but with a script that needs no network."""
    app.mount("/static", StaticFiles(packages=[("fastapi_offline", "static")]))
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=app.title,
        swagger_js_url="/static/swagger-ui-bundle.js",
        swagger_css_url="/static/swagger-ui.css",
        swagger_favicon_url="/static/favicon.png",
    )
    app.get(DOCS, include_in_schema=False)(lambda: page)


class Page:
    """A page with the application's documentation."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def find(self, selector: str) -> WebElement:
        """Wait for an element, and return it."""
        wait: Any = WebDriverWait(self.driver, 20)
        found: WebElement = wait.until(
            lambda driver: next(iter(driver.find_elements(By.CSS_SELECTOR, selector)), None)
        )
        return found

    def click(self, selector: str) -> None:
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView()", element)
        self.driver.execute_script("arguments[0].click()", element)

    def write(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        # Swagger UI takes the text over when the field loses the focus.
        field.send_keys(text, Keys.TAB)

    def texts(self, selector: str) -> list[str]:
        self.find(selector)
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]


def test_swagger(driver: WebDriver, account: Emulator) -> None:
    """The page shows all operations and types, accepts a tenant's token and assigns a resource."""
    account.seed(["do:droplet:1"], name="web")
    app = example()["app"]
    add_docs(app)

    with serve(app) as browser:
        page = Page(driver, f"http://{browser.base_url.netloc.decode()}{DOCS}")
        assert OPERATIONS == page.texts(".opblock-summary-method")
        assert {"Page", "Project", "Resource"} <= set(page.texts(".json-schema-2020-12__title"))

        page.click(".btn.authorize")
        page.write(".auth-container input", account.token)
        page.click(".auth-btn-wrapper .authorize")
        page.click(".auth-btn-wrapper .btn-done")

        put = ".opblock-put"
        page.click(f"{put} .opblock-summary-control")
        page.click(f"{put} .try-out__btn")
        page.write(f"{put} tr[data-param-name=project_id] input", "default")
        page.write(f"{put} tr[data-param-name=urn] input", "do:droplet:1")
        page.click(f"{put} .execute")
        answer = f"{put} .live-responses-table .response"
        assert ["200"] == page.texts(f"{answer} .response-col_status")[0].split()[:1]
        assert '"assigned"' in page.texts(f"{answer} .response-col_description")[0]
    assert ["do:droplet:1"] == account.resources()
    log: list[dict[str, Any]] = driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's
    assert [] == [entry for entry in log if entry["level"] == "SEVERE"]
