"""A proxy in front of the API server that makes faults: kubernetes_proxy.py PORT API_PORT CA_FILE REQUESTS_FILE

It listens on plain http on 127.0.0.1 and speaks TLS to the API server; the bearer token, which says whose request it
is, is passed on. Watches are passed on piece by piece, as they come. A request's action is its verb and its resource:
  list pods, page pods (a further page of a list), watch pods, get pods, create eips, patch eips/status, delete eips
Each request is recorded, before its answer, as one JSON line in REQUESTS_FILE; without an answer the status is null:
  {"time", "action", "name", "status", "fault"?}

Faults: PUT /_faults with a JSON list replaces them, GET shows them with their counters, DELETE clears them. A fault is
  {"action": "patch eips", "name": "web",   which requests it is about; without a name, those for every object
   "nth": 2 | "times": 3,             the second such request only, or the first three; neither means all of them
   "mode": "status",                  answer with a Status of this code and reason, without forwarding
           "garbage",                 answer 200 with what is not JSON; with "half" the first half of the real
                                      answer, or at most so many "bytes" of it
           "cut",                     forward, and break the connection in the answer: after its headers, with "half" in
                                      the middle of the body, or of the first line of a watch
           "expired",                 answer 410 Expired, without forwarding; with "event" as the ERROR event of a watch
           "hang",                    do not forward, and send no byte for so many seconds, or until the client gives up
           "mute",                    the same, but forward it first
           "drop_after",              forward it, and close the connection without an answer
           "delay",                   wait so long, then forward
           "pages",                   forward, with pages of so many objects at most as the limit
   "status": 409, "reason": "AlreadyExists", "seconds": 2.5, "limit": 1, "half": true, "bytes": 60, "event": true}
Of several faults that match a request the first one acts. Setting faults ends the watches that they are about, in good
order, so that the next ones meet them.
"""
import http.client
import json
import select
import socket
import ssl
import sys
import threading
import time
import urllib.parse

from proxy import Calls, Handler, Server

MODES = ("status", "garbage", "cut", "expired", "hang", "mute", "drop_after", "delay", "pages")
FIELDS = ("action", "name", "nth", "times", "mode", "status", "reason", "seconds", "limit", "half", "bytes", "event")
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
REASONS = {403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid", 429: "TooManyRequests",
           500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
JSON = [("Content-Type", "application/json")]


def identify(method, path, body):
    """Returns the action and the name of the object, which a list has not."""
    url = urllib.parse.urlsplit(path)
    query = dict(urllib.parse.parse_qsl(url.query))
    parts = url.path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else []
    if not parts:
        return f"{method} {url.path}", None
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    resource, name = parts[0], parts[1] if len(parts) > 1 else None
    verb = VERBS.get(method, method)
    if method == "GET" and query.get("watch") in ("1", "true"):
        verb = "watch"
    elif method == "GET" and name is None:
        verb = "page" if query.get("continue") else "list"
    elif method == "POST" and name is None:
        name = json.loads(body).get("metadata", {}).get("name")
    return "/".join([f"{verb} {resource}", *parts[2:]]), name


def failed(code, reason=None):
    reason = reason or REASONS.get(code, "Unknown")
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "made by the proxy",
            "reason": reason, "code": code}


def with_limit(path, limit):
    url = urllib.parse.urlsplit(path)
    query = [one for one in urllib.parse.parse_qsl(url.query) if one[0] != "limit"] + [("limit", limit)]
    return f"{url.path}?{urllib.parse.urlencode(query)}"


class Streams:
    """The watches under way."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sockets = {}

    def add(self, action, upstream):
        with self.lock:
            self.sockets[upstream] = action

    def remove(self, upstream):
        with self.lock:
            self.sockets.pop(upstream, None)

    def end(self, actions):
        with self.lock:
            for upstream, action in self.sockets.items():
                if action in actions:
                    try:
                        # The socket's own, for that of TLS would take away what another thread reads from.
                        socket.socket.shutdown(upstream, socket.SHUT_RDWR)
                    except OSError:
                        pass  # It has just ended.


class KubernetesHandler(Handler):
    fields, modes = FIELDS, MODES
    streams = Streams()

    def faults_set(self, faults):
        self.streams.end({fault["action"] for fault in faults})

    def handle_call(self, body):
        try:
            action, name = identify(self.command, self.path, body)
        except (ValueError, AttributeError):
            action, name = f"{self.command} {self.path}", None
        fault = self.faults.strike(action, name) or {}
        mode = fault.get("mode")
        if mode == "delay":
            time.sleep(fault.get("seconds", 1))
        if mode == "pages":
            self.path = with_limit(self.path, fault.get("limit", 1))
        if mode == "hang":
            return self.say_nothing(action, name, None, fault)
        made = self.make_up(fault)
        if not made and action.startswith("watch "):
            return self.watch(action, name, body, fault)
        status, headers, answer = made or self.forward(body)
        if mode == "mute":
            return self.say_nothing(action, name, status, fault)
        CALLS.record(fault, action=action, name=name, status=status)
        if mode == "drop_after":
            self.close_connection = True
            return None
        half = answer[:min(len(answer) // 2, fault.get("bytes", len(answer)))] if fault.get("half") else b""
        if mode == "cut":
            self.close_connection = True
            return self.answer(status, headers, half, len(answer))
        return self.answer(status, headers, half if mode == "garbage" and half else answer)

    def say_nothing(self, action, name, status, fault):
        """Without a byte, until the time is over or the client has gone."""
        CALLS.record(fault, action=action, name=name, status=status)
        select.select([self.connection], [], [], fault.get("seconds", 60))
        self.close_connection = True

    def make_up(self, fault):
        """The answer that the API server is not asked for, if there is one."""
        mode = fault.get("mode")
        if mode == "garbage" and not fault.get("half"):
            return 200, JSON, b"<html>this is no json\n"
        if mode == "expired" and fault.get("event"):
            return 200, JSON, json.dumps({"type": "ERROR", "object": failed(410)}).encode() + b"\n"
        if mode in ("status", "expired"):
            code = 410 if mode == "expired" else fault.get("status", 500)
            return code, JSON, json.dumps(failed(code, fault.get("reason"))).encode()
        return None

    def connect(self, body, timeout):
        # A fresh connection a request: a stale one could lose, or repeat, a request that must be sent once.
        connection = http.client.HTTPSConnection("127.0.0.1", API_PORT, timeout=timeout, context=TLS)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("connection", "host")}
        connection.request(self.command, self.path, body or None, {**headers, "Connection": "close"})
        return connection

    def forward(self, body):
        connection = None
        try:
            connection = self.connect(body, 120)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 502, [], f"the api server did not answer: {error}\n".encode()
        finally:
            if connection:
                connection.close()

    def watch(self, action, name, body, fault):
        """Passes a watch on as it comes, until one of the two ends it."""
        try:
            connection = self.connect(body, None)
        except OSError as error:
            return self.text(502, f"the api server did not answer: {error}")
        upstream = connection.sock
        self.streams.add(action, upstream)
        try:
            answer = connection.getresponse()
            CALLS.record(fault, action=action, name=name, status=answer.status)
            self.send_response_only(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            self.pass_on(answer, fault)
        finally:
            self.streams.remove(upstream)
            connection.close()

    def pass_on(self, answer, fault):
        mode = fault.get("mode")
        if mode in ("cut", "mute", "drop_after") and not fault.get("half"):
            self.close_connection = True
            return
        while piece := self.piece(answer):
            if mode == "cut":
                self.close_connection = True
                self.send_piece(piece[:len(piece.partition(b"\n")[0]) // 2])
                return
            self.send_piece(piece)
        self.send_piece(b"")

    @staticmethod
    def piece(answer):
        """What has come, nothing at the end."""
        try:
            return answer.read1(65536)
        except (OSError, ValueError, http.client.HTTPException):
            return b""

    def send_piece(self, piece):
        """A chunk; the empty one is the end."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()


if __name__ == "__main__":
    API_PORT = int(sys.argv[2])
    TLS, CALLS = ssl.create_default_context(cafile=sys.argv[3]), Calls(sys.argv[4])
    Server(("127.0.0.1", int(sys.argv[1])), KubernetesHandler).serve_forever()
