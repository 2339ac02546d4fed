"""A stand-in for W&B's server: as much of its HTTP API as wandb-core needs to upload a run, and a tally of what came.

`python wandb_server.py [FAIL_EVERY]` prints its URL and serves until it is killed; `GET /tally` is what came.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HISTORY, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"


class Tally:
    """What a server has got, by run.

    Args:
        fail_every: Every N-th request is refused; each second of these only after it was done, as when an answer is
            lost on its way.
        refuse: Runs of which the file stream is refused for good, and projects in which no view may be saved.
        key: The API key of its users; any, if it is empty.
    """

    def __init__(self, fail_every: int = 0, refuse: tuple[str, ...] = (), key: str = "") -> None:
        self.fail_every, self.refuse, self.requests, self.failed = fail_every, refuse, 0, 0
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.allowed = key and "Basic " + b64encode(f"api:{key}".encode()).decode()
        self.lock = threading.Lock()

    def fails(self) -> str:
        """How this request fails: "" (it does not), "before" or "after" it was done."""
        self.requests += 1
        if not self.fail_every or self.requests % self.fail_every:
            return ""
        self.failed += 1
        return "before" if self.failed % 2 else "after"

    def run(self, name: str) -> dict[str, Any]:
        """What is known of a run."""
        new: dict[str, Any] = {"started": 0, "ended": 0, "history": {}, "changed": 0, "summary": {}, "files": []}
        return self.runs.setdefault(name, new)

    def graphql(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query."""
        if operation == "UpsertBucket":
            run = self.run(given["name"])
            if given["groupName"]:  # the first of a run; an update does not say it again
                run.update(started=run["started"] + 1, project=given["project"], group=given["groupName"])
            project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "me"}}
            bucket = {"id": given["name"], "name": given["name"], "displayName": given["displayName"]}
            return {"upsertBucket": {"bucket": {**bucket, "project": project, "historyLineCount": 0}, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/put/{given['run']}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifactFiles":  # without an URL to upload to: the server has the file
            files = given["input"]["artifactFiles"]
            edges = [{"node": {"storagePath": file["name"], "artifact": {"id": "QXJ0"}}} for file in files]
            return {"createArtifactFiles": {"files": {"edges": edges}}}
        if operation in ("CreateArtifactManifest", "UpdateArtifactManifest"):
            file = {"id": "f", "uploadUrl": f"{self.url}/put/artifacts/manifest", "uploadHeaders": []}
            answer = {"artifactManifest": {"id": "m", "file": file}}
            return {operation[0].lower() + operation[1:]: answer}
        if operation == "UpsertView2":
            return self.save_view(given)
        if operation == "View":
            found = [{"node": view} for view in self.views.values() if view["name"] == given["viewName"]]
            return {"project": {"allViews": {"edges": found}}}
        return ANSWERS.get(operation, {})

    def save_view(self, given: dict[str, Any]) -> dict[str, Any]:
        """A workspace: a new one, or one of this id."""
        if given["projectName"] in self.refuse:
            raise PermissionError("permission denied")
        view = {"id": given.get("id") or f"view{len(self.views)}", **given}
        inserted = self.views.setdefault(view["id"], view) is view
        self.views[view["id"]] = view
        return {"upsertView": {"view": {"id": view["id"], "name": view["name"]}, "inserted": inserted}}

    url = ""

    def stream(self, name: str, given: dict[str, Any]) -> None:
        """Some lines of a run; those that are there already are replaced."""
        run, files = self.run(name), given.get("files") or {}
        for at, line in enumerate(files.get(HISTORY, {}).get("content", []), files.get(HISTORY, {}).get("offset", 0)):
            before = run["history"].setdefault(str(at), json.loads(line))
            run["changed"] += before != json.loads(line)
        for line in files.get(SUMMARY, {}).get("content", []):
            run["summary"] = json.loads(line)
        run["ended"] += bool(given.get("complete"))


_ARTIFACT = {"id": "QXJ0", "state": "PENDING", "artifactSequence": {"id": "s", "latestArtifact": None}}
ANSWERS: dict[str, dict[str, Any]] = {
    "ServerFeaturesQuery": {"serverInfo": {"features": []}},
    "Viewer": {"viewer": {"id": "v", "entity": "me", "username": "me", "email": "", "flags": "{}"}},
    "ArtifactType": {"project": {"artifact": None}},
    "GetDefaultEntity": {"viewer": {"id": "v", "entity": "me"}},
    "CreateArtifact": {"createArtifact": {"artifact": _ARTIFACT}},
    "CommitArtifact": {"commitArtifact": {"artifact": {"id": "QXJ0", "digest": "d"}}},
}


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    tally: Tally

    def log_message(self, *_: Any) -> None:
        """Nothing: requests are counted instead."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/otel/" in self.path:  # wandb-core's telemetry, which is no upload
            return self.answer({})
        given = json.loads(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        with self.tally.lock:
            if self.tally.allowed not in ("", self.headers.get("Authorization")):
                return self.answer({"error": "who are you?"}, 401)
            if (failing := self.tally.fails()) == "before":
                return self.answer({"error": "try again"}, 503)
            if self.path.endswith("/graphql"):
                operation = re.search(r"(?:query|mutation)\s+(\w+)", given["query"])
                answer: dict[str, Any]
                try:
                    name, given = operation[1] if operation else "", given.get("variables") or {}
                    answer = {"data": self.tally.graphql(name, given)}
                except PermissionError as error:
                    answer = {"errors": [{"message": str(error)}]}
            else:
                name = self.path.split("/")[-2]
                if name in self.tally.refuse:
                    return self.answer({"error": "no such run"}, 404)
                self.tally.stream(name, given)
                answer = {}
        return self.answer({"error": "answer lost"}, 503) if failing else self.answer(answer)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.tally.lock:
            if self.tally.fails():
                return self.answer({}, 503)
            _, _, name, file = self.path.split("/", 3)
            if name != "artifacts":
                self.tally.run(name)["files"].append(file)
        return self.answer({})

    def do_GET(self) -> None:
        with self.tally.lock:
            self.answer({name: value for name, value in vars(self.tally).items() if name != "lock"})

    def answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Many runs come at once. When it goes, so do its connections."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, tally: Tally, port: int) -> None:
        self.accepted: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), type("Its", (Handler,), {"tally": tally}))

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.accepted.append(connection)
        return connection, address

    def server_close(self) -> None:
        super().server_close()
        for connection in self.accepted:
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Nothing: a client may go at any time."""


@contextmanager
def serving(fail_every: int = 0, refuse: tuple[str, ...] = (), key: str = "") -> Iterator[Tally]:
    """A server on a port of its own, `url`."""
    tally = Tally(fail_every, refuse, key)
    with listening(tally):
        yield tally


@contextmanager
def listening(tally: Tally) -> Iterator[None]:
    """A server that has got this: a new one, or one that was away and is back at its `url`."""
    server = Server(tally, int(tally.url.rpartition(":")[2] or 0))
    tally.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with serving(int(sys.argv[1]) if sys.argv[1:] else 0) as told:
        print(told.url, flush=True)
        threading.Event().wait()
