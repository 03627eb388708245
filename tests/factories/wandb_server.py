"""Stand-in for the service of Weights & Biases on the loopback: it keeps what clients send, and has no pages.

It answers the part of W&B's HTTP API that wandb's own programs ask for: sign-in, runs with history, summary and files,
artifacts, saved views. Requests and answers follow the operations that wandb 0.31 sends.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STREAMS = {"log": "output.log", "history": "wandb-history.jsonl", "events": "wandb-events.jsonl"}

KEY = "0123456789" * 4  # wandb accepts keys of 40 characters

ENTITY = "someone"  # account that every key signs in


@dataclass
class StoredRun:
    """Everything that was sent for one run."""

    fields: dict[str, Any]  # variables of the latest `UpsertBucket`: groupName, jobType, tags, displayName, …
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)  # stream -> row by its offset
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        return [row for _, row in sorted(self.lines.get("wandb-history.jsonl", {}).items())]


@dataclass
class WandbServer:
    """Contents of the service, by the ids that clients gave."""

    url: str = ""
    runs: dict[str, StoredRun] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> input of `createArtifact` and `files`
    views: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> variables of `upsertView`, `spec` decoded
    blobs: dict[str, Callable[[bytes], None]] = field(default_factory=dict)  # path of an upload -> keeper of the body
    operations: list[str] = field(default_factory=list)  # names, in the order of the requests
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a client sign in here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def answer(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer one GraphQL operation.

        Raises:
            LookupError: no answer to this operation is known.
        """
        with self.lock:
            self.operations.append(name)
            return ANSWERS[name](self, variables)

    def upload_url(self, path: str, keep: Callable[[bytes], None]) -> str:
        self.blobs[f"/blobs/{path}"] = keep
        return f"{self.url}/blobs/{path}"

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """Keep what one request of a run's file stream holds: rows by their offset, a summary, an end."""
        with self.lock:
            stored = self.runs[run]
            for name, chunk in (sent.get("files") or {}).items():
                rows = {
                    chunk["offset"] + i: json.loads(line) if name.endswith((".jsonl", ".json")) else line
                    for i, line in enumerate(chunk["content"])
                }
                if name == "wandb-summary.json":
                    stored.summary = next(iter(rows.values()))
                else:
                    stored.lines.setdefault(name, {}).update(rows)
            if sent.get("complete"):
                stored.exit_code = sent["exitcode"]


def viewer(server: WandbServer, _: dict[str, Any]) -> dict[str, Any]:
    account = {"id": "1", "name": ENTITY, "username": ENTITY, "entity": ENTITY, "email": None, "admin": False}
    empty = {"edges": []}
    return {"viewer": account | {"flags": "{}", "deletedAt": None, "apiKeys": empty, "teams": empty}}


def upsert_bucket(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    known = sent["name"] in server.runs
    run = server.runs.setdefault(sent["name"], StoredRun({}))
    run.fields |= {key: value for key, value in sent.items() if value is not None}
    if sent.get("config"):
        run.config = {key: each["value"] for key, each in json.loads(sent["config"]).items()}
    entity = {"id": "e", "name": run.fields.get("entity") or ENTITY}
    bucket = {
        "id": f"bucket-{sent['name']}", "name": sent["name"], "displayName": run.fields.get("displayName"),
        "description": None, "config": sent.get("config"), "sweepName": None, "historyLineCount": len(run.history),
        "project": {"id": "p", "name": run.fields["project"], "entity": entity},
    }  # fmt: skip
    return {"upsertBucket": {"bucket": bucket, "inserted": not known}}


def resume_status(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    """Return how far a run has come, or no run."""
    project = {"id": "p", "name": sent["project"], "entity": {"id": "e", "name": sent["entity"] or ENTITY}}
    run = server.runs.get(sent["name"])
    if run is None:
        return {"model": project | {"bucket": None}}
    counts = {
        f"{stream}LineCount": len(run.lines.get(name, {}))
        for stream, name in {
            "log": "output.log",
            "history": "wandb-history.jsonl",
            "events": "wandb-events.jsonl",
        }.items()
    }
    tail = json.dumps([json.dumps(row) for row in run.history[-1:]])
    config = json.dumps({key: {"value": value} for key, value in run.config.items()})
    bucket = {
        "id": f"bucket-{sent['name']}", "name": sent["name"], "summaryMetrics": json.dumps(run.summary),
        "displayName": run.fields.get("displayName"), "historyTail": tail, "eventsTail": "[]", "config": config,
        "tags": run.fields.get("tags") or [], "notes": None,
        "wandbConfig": json.dumps({"t": run.config.get("_wandb", {}).get("t")}),  # null: the run never started
    }  # fmt: skip
    return {"model": project | {"bucket": bucket | counts}}


def create_run_files(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    run = server.runs[sent["run"]]
    files = [
        {"name": name, "uploadUrl": server.upload_url(f"{sent['run']}/{name}", keeper(run.files, name))}
        for name in sent["files"]
    ]
    return {"createRunFiles": {"runID": sent["run"], "uploadHeaders": [], "files": files}}


def create_artifact(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    given = sent["input"]
    artifact_id = f"artifact-{len(server.artifacts)}"
    server.artifacts[artifact_id] = given | {"files": {}, "state": "PENDING"}
    made = {
        "id": artifact_id,
        "state": "PENDING",
        "digest": given["digest"],
        "artifactSequence": {"id": "s", "latestArtifact": None},
    }
    return {"createArtifact": {"artifact": made | {"versionIndex": 0, "aliases": []}}}


def create_artifact_files(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    edges = []
    for each in sent["input"]["artifactFiles"]:
        kept = server.artifacts[each["artifactID"]]["files"]
        path = f"{each['artifactID']}/{each['name']}"
        node = {
            "storagePath": path, "uploadUrl": server.upload_url(path, keeper(kept, each["name"])), "uploadHeaders": [],
            "uploadMultipartUrls": None, "artifact": {"id": each["artifactID"]},
        }  # fmt: skip
        edges.append({"node": node})
    return {"createArtifactFiles": {"files": {"edges": edges}}}


def manifest(server: WandbServer, key: str, artifact_id: str) -> dict[str, Any]:
    """Return the place for an artifact's manifest."""
    keep = keeper(server.artifacts.get(artifact_id, {}), "manifest")
    url = server.upload_url(f"{artifact_id}/manifest.json", keep)
    file = {"id": f"file-{artifact_id}", "uploadUrl": url, "uploadHeaders": []}
    return {key: {"artifactManifest": {"id": f"manifest-{artifact_id}", "file": file}}}


def commit_artifact(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    artifact = server.artifacts[sent["artifactID"]]
    artifact["state"] = "COMMITTED"
    return {"commitArtifact": {"artifact": {"id": sent["artifactID"], "digest": artifact["digest"]}}}


def upsert_view(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    view_id = sent.get("id") or f"view-{len(server.views)}"
    inserted = view_id not in server.views
    server.views[view_id] = sent | {"spec": json.loads(sent["spec"])}
    project = {"id": "p", "name": sent["projectName"], "entityName": sent["entityName"]}
    view = {key: sent.get(key) for key in ("type", "name", "displayName", "description", "spec")}
    view |= {"id": view_id, "project": project, "updatedAt": "2026-01-01T00:00:00"}
    return {"upsertView": {"view": view, "inserted": inserted}}


def projects(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    return {"models": {"pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}, "edges": []}}


def create_project(server: WandbServer, sent: dict[str, Any]) -> dict[str, Any]:
    given = sent["input"]
    made = {"id": "p", "name": given["name"], "entityName": given["entityName"]}
    made |= {"description": None, "access": None, "views": "{}"}
    return {"result": {"project": made, "model": made, "inserted": True}}


def keeper(files: dict[str, Any], name: str) -> Callable[[bytes], None]:
    """Return a function that keeps the body of an upload under its name."""
    return lambda body: files.__setitem__(name, body)


Answer = Callable[[WandbServer, dict[str, Any]], dict[str, Any]]

ANSWERS: dict[str, Answer] = {  # by the name of the operation
    "Viewer": viewer,
    "GetViewer": viewer,
    "GetDefaultEntity": viewer,
    "ServerFeaturesQuery": lambda *_: {"serverInfo": {"features": []}},
    "OrganizationCoreWeaveOrganizationID": lambda *_: {"entity": {"organization": None}},
    "ArtifactType": lambda *_: {"project": None},
    "OrgFeatureFlags": lambda *_: {"organization": {"featureFlags": []}},
    "UpsertBucket": upsert_bucket,
    "RunResumeStatus": resume_status,
    "CreateRunFiles": create_run_files,
    "MarkRunFilesUploaded": lambda *_: {"markRunFilesUploaded": {"success": True}},
    "FetchArtifactDigestAlgorithm": lambda *_: {"project": None},
    "XXHashDigestsEnabled": lambda *_: {"entity": {"xxhashDigestsEnabled": False}},
    "CreateArtifact": create_artifact,
    "CreateArtifactFiles": create_artifact_files,
    "CreateArtifactManifest": lambda server, sent: manifest(server, "createArtifactManifest", sent["artifactID"]),
    "UpdateArtifactManifest": lambda server, sent: manifest(
        server, "updateArtifactManifest", sent["artifactManifestID"].removeprefix("manifest-")
    ),
    "CommitArtifact": commit_artifact,
    "ClientIDMapping": lambda *_: {"clientIDMapping": None},
    "upsertView": upsert_view,
    "UpsertView2": upsert_view,
    "GetProjects": projects,
    "CreateProject": create_project,
}


class Handler(BaseHTTPRequestHandler):
    """HTTP side of the stand-in: GraphQL, file streams and uploads."""

    protocol_version = "HTTP/1.1"
    server: "LoopbackServer"

    def do_POST(self) -> None:
        sent = json.loads(self.body() or b"{}")
        if self.path == "/graphql":
            name = sent.get("operationName") or operation_name(sent["query"])
            try:
                self.reply({"data": self.server.store.answer(name, sent.get("variables") or {})})
            except LookupError as error:
                self.server.store.operations.append(f"unanswered: {name}")
                self.reply({"errors": [{"message": f"{name}: no answer ({type(error).__name__}: {error})"}]})
        elif self.path.endswith("/file_stream"):
            self.server.store.stream(self.path.split("/")[-2], sent)
            self.reply({"exitcode": None, "limits": {}})
        else:
            self.reply({"error": f"no such place: {self.path}"}, 404)

    def do_PUT(self) -> None:
        self.server.store.blobs[self.path.replace("%20", " ")](self.body())
        self.reply({})

    def do_GET(self) -> None:
        self.reply({})

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, content: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Write no log."""


class LoopbackServer(ThreadingHTTPServer):
    """Server on a free port of the loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = WandbServer(url=f"http://127.0.0.1:{self.server_port}")

    def handle_error(self, *_: object) -> None:
        """Ignore that a client which ended has reset its connection; an unanswered request is in `operations`."""


def operation_name(query: str) -> str:
    """Return the name of a GraphQL document's operation."""
    return query.split("(")[0].split("{")[0].split()[1]


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Run a stand-in for as long as the block lasts."""
    server = LoopbackServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
