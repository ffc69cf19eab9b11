import re

import httpx
import pytest

from supervisor.console.port import RestartAnswer
from tests.unit.console.browserlike import SAME_ORIGIN, URL, Site, with_site
from tests.unit.console.fake import story

FORM = "/workers/worker-0/restart"


def test_without_a_session_every_page_leads_to_the_login() -> None:
    async def visit(site: Site) -> None:
        answer = await site.client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        page = await site.client.get("/login")
        assert page.status_code == 200
        assert "glyphctl login-link" in page.text
        assert (await site.client.get("/live")).status_code == 401
        assert (await site.client.get("/livez")).text == "ok\n"

    with_site(visit)


def test_a_link_shows_a_form_and_only_posting_it_logs_in() -> None:
    async def visit(site: Site) -> None:
        once = site.sessions.login_link(URL).partition("once=")[2]
        for _ in range(2):
            page = await site.client.get(f"/login?once={once}")
            assert f'name="once" value="{once}"' in page.text
            assert "set-cookie" not in page.headers
        answer = await site.client.post("/login", data={"once": once}, headers=SAME_ORIGIN)
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("glyph-session-8900=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        again = await site.client.post("/login", data={"once": once}, headers=SAME_ORIGIN)
        assert again.status_code == 403
        assert "used before" in again.text

    with_site(visit)


def test_too_many_attempts_are_told_to_wait() -> None:
    async def visit(site: Site) -> None:
        for _ in range(10):
            wrong = await site.client.post("/login", data={"once": "x"}, headers=SAME_ORIGIN)
            assert wrong.status_code == 403
        slow = await site.client.post("/login", data={"once": "x"}, headers=SAME_ORIGIN)
        assert slow.status_code == 429
        assert int(slow.headers["retry-after"]) >= 1

    with_site(visit)


def test_a_restart_needs_its_token_and_a_reason() -> None:
    async def visit(site: Site) -> None:
        csrf = await site.login()

        async def order(**data: str) -> httpx.Response:
            return await site.client.post(FORM, data=data, headers=SAME_ORIGIN)

        assert (await order(reason="why")).status_code == 403
        assert (await order(reason="why", csrf="x" * 43)).status_code == 403
        assert (await order(reason="  \n ", csrf=csrf)).status_code == 422
        assert (await order(reason="x" * 501, csrf=csrf)).status_code == 422
        assert site.supervisor.calls == []
        answer = await order(reason=" new \r\n weights ", csrf=csrf)
        assert answer.headers["location"] == "/?accepted=worker-0"
        assert site.supervisor.calls == [("restart", "worker-0", "new weights", "console")]
        page = await site.client.get(answer.headers["location"])
        assert "The restart of worker-0 was ordered." in page.text

    with_site(visit)


def test_a_denied_restart_says_why() -> None:
    async def visit(site: Site) -> None:
        csrf = await site.login()
        site.supervisor.answer = RestartAnswer(False, "", "<one> is running")
        data = {"reason": "why", "csrf": csrf}
        answer = await site.client.post(FORM, data=data, headers=SAME_ORIGIN)
        assert answer.status_code == 409
        assert "worker-0 is not restarted now: &lt;one&gt; is running" in answer.text
        unknown = await site.client.post(
            "/workers/worker-9/restart", data=data, headers=SAME_ORIGIN
        )
        assert unknown.status_code == 404

    with_site(visit)


def test_without_a_session_nothing_can_be_ordered() -> None:
    async def visit(site: Site) -> None:
        csrf = await site.login()
        site.client.cookies.clear()
        data = {"reason": "why", "csrf": csrf}
        assert (await site.client.post(FORM, data=data, headers=SAME_ORIGIN)).status_code == 403
        assert site.supervisor.calls == []

    with_site(visit)


def test_logging_out_needs_the_token_and_ends_the_session() -> None:
    async def visit(site: Site) -> None:
        csrf = await site.login()
        wrong = await site.client.post("/logout", data={"csrf": "x"}, headers=SAME_ORIGIN)
        assert wrong.status_code == 403
        assert (await site.client.get("/")).status_code == 200
        answer = await site.client.post("/logout", data={"csrf": csrf}, headers=SAME_ORIGIN)
        assert answer.headers["location"] == "/login"
        assert (await site.client.get("/")).status_code == 303

    with_site(visit)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:8901",
        "localhost.evil.example:8900",
        "",
        "[::2]:8900",
    ],
)
def test_other_host_names_are_not_answered(host: str) -> None:
    async def visit(site: Site) -> None:
        await site.login()
        answer = await site.client.get("/", headers={"Host": host})
        assert answer.status_code == 421
        assert (await site.client.get("/livez", headers={"Host": host})).status_code == 421

    with_site(visit)


@pytest.mark.parametrize("host", ["localhost:8900", "LOCALHOST:8900", "[::1]:8900"])
def test_loopback_names_are_answered(host: str) -> None:
    async def visit(site: Site) -> None:
        assert (await site.client.get("/livez", headers={"Host": host})).status_code == 200

    with_site(visit)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8900"},
        {"Origin": "http://127.0.0.1:8901"},
        {"Origin": URL, "Sec-Fetch-Site": "same-site"},
        {"Origin": URL, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize("path", [FORM, "/login", "/logout", "/language"])
def test_forms_of_other_sites_are_refused(path: str, headers: dict[str, str]) -> None:
    async def visit(site: Site) -> None:
        csrf = await site.login()
        data = {"csrf": csrf, "reason": "why", "once": "x", "language": "en"}
        answer = await site.client.post(path, data=data, headers=headers)
        assert answer.status_code == 403
        assert "other sites" in answer.text
        assert site.supervisor.calls == []

    with_site(visit)


def test_getting_every_route_changes_nothing() -> None:
    async def visit(site: Site) -> None:
        await site.login()
        cookies = dict(site.client.cookies)
        paths = ["/", "/live", "/livez", "/login", "/login?once=x", "/logout", "/language", FORM]
        paths += ["/static/console.css", "/static/console.js", "/static/mark.svg", "/nowhere"]
        for path in paths:
            for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PUT"):
                headers = SAME_ORIGIN if method not in ("GET", "HEAD") else {}
                answer = await site.client.request(method, path, headers=headers)
                assert answer.status_code < 500
                assert "set-cookie" not in answer.headers
        assert site.supervisor.calls == []
        assert dict(site.client.cookies) == cookies
        assert (await site.client.get("/")).status_code == 200

    with_site(visit)


def test_every_answer_is_closed_to_other_sites() -> None:
    async def visit(site: Site) -> None:
        await site.login()
        for path in ("/", "/live", "/login?once=x", "/static/console.js", "/nowhere"):
            headers = (await site.client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "cache-control" in headers

    with_site(visit)


def test_pages_carry_no_inline_script_or_style_and_no_outside_address() -> None:
    async def visit(site: Site) -> None:
        site.supervisor.rows = story()
        await site.login()
        for path in ("/", "/login?once=x"):
            text = (await site.client.get(path)).text
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text)
            sources = re.findall(r'\b(?:src|href|action)="([^"]*)"', text)
            assert sources
            assert all(source.startswith(("/", "#")) for source in sources)

    with_site(visit)


def test_texts_of_others_are_escaped() -> None:
    async def visit(site: Site) -> None:
        site.supervisor.rows = story()
        await site.login()
        text = (await site.client.get("/")).text
        assert "new weights &lt;b&gt;&amp;&lt;/b&gt; 新的权重" in text
        login = await site.client.get('/login?once="><script>')
        assert "<script>" not in login.text

    with_site(visit)


def test_the_page_speaks_the_language_of_the_reader() -> None:
    async def visit(site: Site) -> None:
        await site.login()

        async def page(accept: str = "") -> str:
            return (await site.client.get("/", headers={"Accept-Language": accept})).text

        assert '<html lang="en"' in await page()
        assert '<html lang="en"' in await page("fr,en-GB;q=0.5,zh;q=0.4")
        chinese = await page("de,zh-CN;q=0.9,en;q=0.5")
        assert '<html lang="zh-CN"' in chinese
        assert "工作进程" in chinese
        await site.client.post("/language", data={"language": "zh-CN"}, headers=SAME_ORIGIN)
        assert '<html lang="zh-CN"' in await page("en")
        answer = await site.client.post("/language", data={"language": "xx"}, headers=SAME_ORIGIN)
        assert answer.status_code == 422

    with_site(visit)


def test_a_dark_reader_gets_a_dark_page_and_nothing_else_from_the_cookie() -> None:
    async def visit(site: Site) -> None:
        site.client.cookies.set("glyph-theme", "dark")
        assert 'data-theme="dark"' in (await site.client.get("/login")).text
        site.client.cookies.set("glyph-theme", "x")
        assert "data-theme" not in (await site.client.get("/login")).text

    with_site(visit)


def test_the_page_shows_what_happened_and_what_a_restart_costs() -> None:
    async def visit(site: Site) -> None:
        site.supervisor.rows = story()
        site.supervisor.states[1] = "loading"
        await site.login()
        text = (await site.client.get("/")).text
        assert "no engine step for 8.2 s in phase decode" in text
        assert "step_age_seconds" in text
        assert "3 requests run on this worker" in text
        assert "about 6.2 s (median of 2)" in text
        assert 'aria-current="step"' in text
        live = (await site.client.get("/live")).text
        assert live.strip() in text

    with_site(visit)


def test_large_bodies_are_refused() -> None:
    async def visit(site: Site) -> None:
        data = {"once": "x" * 20_000}
        assert (await site.client.post("/login", data=data, headers=SAME_ORIGIN)).status_code == 413

    with_site(visit)
