"""`wandb login`: the key, the page that the client names, and the client's own words when a key is wrong."""

import netrc
import os
import pty
import re
import select
import subprocess
import time
from urllib.parse import urljoin, urlsplit

import requests

from conftest import CLIENT_FOLDER
from lanza_server import ADMIN_TOKEN, Process

KEY = re.compile(r"\b[A-Za-z0-9_]{40}\b")
WRONG_KEY = "0123456789abcdef0123456789abcdef01234567"


def without_key(environment: dict, home) -> dict:
    home.mkdir()
    changed = {**environment, "HOME": str(home), "WANDB_CONFIG_DIR": str(home), "NETRC": str(home / ".netrc")}
    del changed["WANDB_API_KEY"]
    return changed


def test_login_with_a_key_writes_it_down(account, environment, wandb_cli, tmp_path):
    env = without_key(environment, tmp_path / "home")
    done = wandb_cli("login", "--host", account.server.url, account.key, env=env)
    assert "logged in" in done.stdout.lower(), done.stdout
    kept = netrc.netrc(tmp_path / "home" / ".netrc").authenticators(urlsplit(account.server.url).netloc)
    assert kept is not None and kept[2] == account.key


def test_login_with_a_wrong_key_fails_with_the_message_of_the_client(environment, account, wandb_cli, tmp_path):
    answer = account.server.rest(WRONG_KEY).graphql("query Viewer { viewer { id } }", expect=401)
    assert answer["errors"][0]["message"]
    env = without_key(environment, tmp_path / "home")
    done = wandb_cli("login", "--host", account.server.url, WRONG_KEY, env=env, check=False)
    assert done.returncode != 0
    assert "AuthenticationError" in done.stdout or "authenticat" in done.stdout.lower(), done.stdout
    assert answer["errors"][0]["message"] in done.stdout, done.stdout


def test_a_run_with_a_wrong_key_does_not_start(environment, account, script, project):
    env = {**environment, "WANDB_API_KEY": WRONG_KEY}
    done = script(f"import wandb\nwandb.init(project={project!r})", env=env, check=False)
    assert done.returncode != 0
    assert "key is not known" in done.stdout, done.stdout
    account.rest.refused("GET", f"/entities/{account.name}/projects/{project}", 404)


def test_a_key_that_only_reads_reads_and_starts_no_run(account, environment, script, lanza_cli, project):
    script(f"import wandb\nwith wandb.init(project={project!r}, id='first') as run:\n    run.log({{'x': 1}})")
    key = account.rest.post("/me/keys", {"description": "a dashboard", "scope": "read"})["api_key"]
    env = {**environment, "WANDB_API_KEY": key}
    looked = script(
        f"""
        import wandb
        run = wandb.Api().run("{account.name}/{project}/first")
        print("it is", run.state, run.summary["x"], [row["x"] for row in run.scan_history()])
        """,
        name="look.py",
        env=env,
    )
    assert "it is finished 1 [1]" in looked.stdout, looked.stdout
    refused = script(f"import wandb\nwandb.init(project={project!r}, id='second')", env=env, check=False)
    assert refused.returncode != 0 and "only reads" in refused.stdout, refused.stdout
    account.rest.refused("GET", f"/entities/{account.name}/projects/{project}/runs/second", 404)
    # Our own command line says what to do about it.
    launched = lanza_cli("queue", "create", "never", "--target", "process", env=env, check=False)
    assert launched.returncode != 0 and "LZ0025" in launched.stderr and "full" in launched.stderr, launched.stderr
    assert "only reads" in lanza_cli("whoami", env=env).stdout


def test_the_page_that_login_names_shows_a_new_key(server, environment, tmp_path):
    """A person follows the printed link, signs in, copies the key and pastes it into the terminal."""
    server.admin.call(
        "POST", "/api/v1/admin/users", expect=201, json={"username": "grace", "password": "correct horse battery"}
    )
    env = {**without_key(environment, tmp_path / "home"), "TERM": "xterm"}
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [CLIENT_FOLDER / "wandb", "login"],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        env=env,
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(other_end)
    try:
        seen = read_until(terminal, r"hit enter", "")
        link = re.search(r"(http://localhost:\d+/authorize\S*)", seen).group(1)
        key = key_from_the_page(server, link)
        os.write(terminal, f"{key}\n".encode())
        seen = read_until(terminal, r"(?i)logged in|appended|\Z", seen, wait_for_end=process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(terminal)
    assert process.returncode == 0, seen
    kept = netrc.netrc(tmp_path / "home" / ".netrc").authenticators(f"localhost:{server.port}")
    assert kept[2] == key
    viewer = server.rest(key).graphql("query Viewer { viewer { username entity } }")["data"]["viewer"]
    assert viewer == {"username": "grace", "entity": "grace"}


def key_from_the_page(server, link: str) -> str:
    """Does in the pages what a person does: follows the link, fills in the forms and presses their buttons."""
    browser = requests.Session()
    browser.trust_env = False
    sign_in = browser.get(link, timeout=30)
    assert sign_in.ok, sign_in.text
    assert not KEY.search(sign_in.text), "the page must ask for a sign-in first"
    refused = submit(browser, sign_in, username="grace", password="not this")
    assert not KEY.search(refused.text) and "password" in refused.text.lower()
    welcome = submit(browser, refused, username="grace", password="correct horse battery")
    assert "grace" in welcome.text and not KEY.search(welcome.text)
    made = submit(browser, welcome)
    key = KEY.search(made.text)
    assert key, made.text
    assert key[0] not in browser.get(link, timeout=30).text, "a key is shown once"
    return key[0]


def submit(browser: requests.Session, page: requests.Response, **fields) -> requests.Response:
    """Sends the form of a page with its hidden fields and those given."""
    action = re.search(r"<form[^>]*action=[\"']?([^\s\"'>]+)", page.text)[1]
    hidden = dict(re.findall(r"<input type=hidden name=(\w+) value=\"([^\"]*)\"", page.text))
    answer = browser.post(
        urljoin(page.url, action), data={**hidden, **fields}, headers={"Origin": origin(page.url)}, timeout=30
    )
    assert answer.ok, (answer.status_code, answer.text)
    return answer


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def read_until(terminal: int, pattern: str, seen: str, timeout: float = 60, wait_for_end=None) -> str:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if wait_for_end is None and re.search(pattern, seen):
            return seen
        if wait_for_end is not None and wait_for_end.poll() is not None:
            return seen
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                seen += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                return seen
    raise AssertionError(f"waited for {pattern!r}; the terminal shows:\n{seen}")


def test_keys_of_both_forms_are_taken_and_short_ones_refused(server):
    own = "local-" + "k" * 40
    made = server.admin.call(
        "POST", "/api/v1/admin/users", expect=201, json={"username": "linus", "api_key": own}
    ).json()
    assert made == {"username": "linus", "api_key": own}
    assert server.rest(own).graphql("{ viewer { username } }")["data"]["viewer"] == {"username": "linus"}
    server.admin.refused("POST", "/admin/users", 422, json={"username": "ken", "api_key": "short"})
    server.admin.refused("POST", "/admin/users", 409, json={"username": "linus"})
    server.admin.refused("POST", "/admin/users", 409, json={"username": "ken", "api_key": own})
    server.rest("x" * 40).refused("GET", "/me", 401)
    server.rest(own).refused("POST", "/admin/users", 403, json={"username": "ken"})


def test_the_admin_token_is_never_in_the_log(server):
    assert isinstance(server.process, Process)
    assert ADMIN_TOKEN not in server.process.text()
