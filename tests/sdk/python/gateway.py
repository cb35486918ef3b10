"""A running Tollgate in front of a scripted provider, and what its admin API tells."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from canned import PRICE, cost_nanos_usd

START_SECONDS = 20
RECORD_SECONDS = 20
# The script `late` answers after six seconds.
SETTINGS = "limits: {stream_keep_alive_after_ms: 4000, stream_keep_alive_every_ms: 200}\n"
KINDS = {
    "openai": "openai_compatible",
    "anthropic": "anthropic_compatible",
    "chat": "openai_chat_compatible",
    "responses": "openai_responses_compatible",
}


def http_json(method, url, body=None, token=None):
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {error.code} {error.read().decode()}") from None


def wait_for(what, seconds, probe):
    """Asks until there is an answer: other processes have no other way to tell."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {seconds} s")


@contextlib.contextmanager
def scripted_provider():
    process = subprocess.Popen(
        [os.environ["SCRIPTED_PROVIDER_BIN"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        hello = json.loads(process.stdout.readline())

        def requests():
            process.stdin.write("requests\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield hello["url"], requests
    finally:
        process.stdin.close()
        stop(process)


def stop(process):
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)


@contextlib.contextmanager
def running_tollgate():
    """Starts an empty Tollgate and yields what it tells at its first start."""
    with tempfile.TemporaryDirectory(prefix="tollgate-sdk-") as folder:
        bootstrap, log = Path(folder, "bootstrap.json"), Path(folder, "log")
        command = [os.environ["TOLLGATE_BIN"], "serve", "--listen", "127.0.0.1:0"]
        settings = Path(folder, "tollgate.yaml")
        settings.write_text(SETTINGS)
        command += ["--config", str(settings), "--data", str(Path(folder, "data")), "--bootstrap-file", str(bootstrap)]
        # Only the command line decides, not the machine.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
        with log.open("wb") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            process = subprocess.Popen(command, cwd=folder, env=environment, **streams)

        def facts():
            assert process.poll() is None, f"tollgate ended with {process.returncode}:\n{log.read_text()}"
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return json.loads(bootstrap.read_text())

        def ready(url):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
                return response.status == 200 or None

        try:
            found = wait_for("the bootstrap file", START_SECONDS, facts)
            wait_for("readiness", START_SECONDS, lambda: ready(found["url"]))
            yield found
        except BaseException:
            print(log.read_text())
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            stop(process)


class Gateway:
    """Objects for the tests, made through the admin API, and the records of their calls."""

    def __init__(self, bootstrap, provider_url, provider_requests):
        self.url = bootstrap["url"].rstrip("/")
        self._admin_url = (bootstrap.get("admin_url") or bootstrap["url"]).rstrip("/")
        self._admin_token = bootstrap["admin_token"]
        self._provider_requests = provider_requests
        self._numbers = itertools.count(1)
        if not self.admin("GET", "/organizations")["items"]:
            self.admin("POST", "/organizations", {"name": "sdk"})
        self._providers = {
            upstream: self.admin("POST", "/providers", {
                "name": f"scripted-{upstream}",
                "kind": kind,
                "base_url": f"{provider_url}/v1",
                "secret": f"upstream-secret-{upstream}",
                "internal": True,
            })["id"]
            for upstream, kind in KINDS.items()
        }
        team = self.admin("POST", "/teams", {"name": "sdk-team"})
        self._project = self.project(team)
        self._other_project = self.project(team)
        self.key = self.new_key()

    def admin(self, method, path, body=None):
        return http_json(method, f"{self._admin_url}/api/v1{path}", body, self._admin_token)

    def project(self, team):
        return self.admin("POST", "/projects", {"team_id": team["id"], "name": f"sdk-{next(self._numbers)}"})

    def new_key(self, allow=("*",), other_project=False):
        project = self._other_project if other_project else self._project
        key = {
            "name": f"sdk-{next(self._numbers)}",
            "owned_by": {"project": project["id"]},
            "grants": {"allow": list(allow)},
        }
        return self.admin("POST", "/keys", key)["secret"]

    def model(self, *deployments):
        """A model of its own for a test: each deployment is an upstream, or one with a script such as `openai:500`.

        The first has all the weight, so the others serve only when it fails.
        """
        name = f"sdk-{next(self._numbers)}"

        def deployment(position, spec):
            upstream, _, script = spec.partition(":")
            return {
                "provider_id": self._providers[upstream],
                "upstream_model": f"script:{script or 'ok'}@{name}.{position}",
                "weight": 1 if position == 0 else 0,
                "price": PRICE,
            }

        made = [deployment(position, spec) for position, spec in enumerate(deployments)]
        self.admin("POST", "/models", {"name": name, "deployments": made})
        return name

    def _received(self, model):
        for request in self._provider_requests():
            body = json.loads(request["body"] or "null")
            if body and f"@{model}." in body["model"]:
                yield request, body

    def received(self, model):
        """The bodies that the provider received for a model, in order."""
        return [body for _, body in self._received(model)]

    def credentials(self, model):
        """The credentials that the provider received for a model, in order, with the names of their headers."""
        headers = [header for request, _ in self._received(model) for header in request["headers"]]
        return [(name, value) for name, value in headers if name.lower() in ("authorization", "x-api-key", "api-key")]

    def records(self, model, count):
        """The request records of a model, the oldest first: exactly `count`."""

        def found():
            items = self.admin("GET", f"/requests?model={model}")["items"]
            return items if len(items) >= count else None

        items = wait_for(f"the records of {model}", RECORD_SECONDS, found)
        assert len(items) == count, items
        return sorted(items, key=lambda item: item["started_at"])

    def attempts(self, record):
        return self.admin("GET", f"/requests/{record['id']}")["attempts"]

    def check_records(self, model, *expected, **fields):
        """One completed record for each of the expected usages, with its exact cost."""
        records = self.records(model, len(expected))
        for record, used in zip(records, expected, strict=True):
            assert record["usage"] == used
            assert record["cost_nanos_usd"] == cost_nanos_usd(used)
            wanted = {"status": 200, "outcome": "completed", "usage_source": "reported", "fault": None, **fields}
            assert {name: record[name] for name in wanted} == wanted
        return records
