"""What a server of Weights & Biases says and keeps when runs are sent to it, on this machine."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Kept:
    """What the server was given: lines of the history by run, and settings by their name."""

    def __init__(self) -> None:
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.settings: dict[str, Any] = {}

    def add(self, run: str, offset: int, lines: list[str]) -> None:
        """Put lines of the history at their place, over what is there."""
        known = self.history.setdefault(run, [])
        known[offset : offset + len(lines)] = map(json.loads, lines)

    def answer(self, asked: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a query of GraphQL by its name; None to what it does not know."""
        project = {"id": "1", "name": "spos", "entity": {"id": "2", "name": "ada"}}
        if asked == "RunResumeStatus":
            return {"model": {**project, "bucket": self._run(given["name"])}}
        if asked == "UpsertBucket":
            settings = json.loads(given.get("config") or "{}")
            self.settings |= {name: one["value"] for name, one in settings.items()}
            run = {"id": "3", "name": given["name"], "displayName": given["name"]}
            return {"upsertBucket": {"bucket": {**run, "project": project}, "inserted": True}}
        return None

    def _run(self, name: str) -> dict[str, Any] | None:
        lines = self.history.get(name, [])
        counts = dict.fromkeys(("eventsLineCount", "logLineCount"), 0)
        last = {"historyTail": json.dumps([json.dumps(one) for one in lines[-1:]])}
        empty = {"eventsTail": "[]", "config": "{}", "summaryMetrics": "{}", "tags": []}
        known = {"name": name, "historyLineCount": len(lines), "wandbConfig": '{"t": 1}'}
        return {**counts, **last, **empty, **known} if lines else None


@contextmanager
def wandb_server() -> Iterator[tuple[str, Kept]]:
    """Serve on a free port of this machine; gives the address, and what is kept."""
    kept = Kept()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                content = gzip.decompress(content)
            answer: dict[str, Any] = {}
            if self.path == "/graphql":
                asked = json.loads(content)
                found = re.search(r"(?:query|mutation) (\w+)", asked["query"])
                given = asked.get("variables") or {}
                data = kept.answer(found[1] if found else "", given)
                unknown = {"errors": [{"message": "unknown"}]}
                answer = unknown if data is None else {"data": data}
            elif self.path.endswith("/file_stream"):
                files = json.loads(content).get("files", {})
                if lines := files.get("wandb-history.jsonl"):
                    kept.add(self.path.split("/")[-2], lines["offset"], lines["content"])
            told = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kept
        server.shutdown()
