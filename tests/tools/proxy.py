"""What the proxies share: faults with their counters, the file of calls, a server that is told its faults over HTTP.

PUT /_faults with a JSON list replaces the faults, GET shows them with their counters, DELETE clears them.
"""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST_DELAY = 600


def check_faults(faults, fields, modes):
    """Returns what is wrong with a list of faults, or None."""
    if not isinstance(faults, list) or not all(isinstance(fault, dict) for fault in faults):
        return "faults must be a json list of objects"
    for fault in faults:
        for field in fault:
            if field not in fields:
                return f"unknown field \"{field}\" of a fault; accepted: {', '.join(fields)}"
        if not isinstance(fault.get("where", ""), str):
            return f"where of a fault is {fault['where']!r}; accepted: the value of a parameter"
        if not isinstance(fault.get("action"), str):
            return f"action of a fault is {fault.get('action')!r}; accepted: the name of an api action"
        if fault.get("mode") not in modes:
            return f"mode of a fault is {fault.get('mode')!r}; accepted: {', '.join(modes)}"
        for field, lowest, highest in (("nth", 1, 10**9), ("times", 1, 10**9), ("status", 400, 599), ("limit", 1, 500),
                                       ("bytes", 1, 10**9)):
            value = fault.get(field, lowest)
            if type(value) is not int or not lowest <= value <= highest:
                return f"{field} of a fault is {value!r}; accepted: an integer from {lowest} to {highest}"
        seconds = fault.get("seconds", 0)
        if type(seconds) not in (int, float) or not 0 <= seconds <= LONGEST_DELAY:
            return f"seconds of a fault is {seconds!r}; accepted: a number from 0 to {LONGEST_DELAY}"
    return None


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []

    def replace(self, faults):
        with self.lock:
            self.faults = [{**fault, "seen": 0} for fault in faults]

    def show(self):
        with self.lock:
            return [dict(fault) for fault in self.faults]

    def strike(self, action, name=None, values=()):
        """Counts a call and returns the fault that hits it, if any. A fault without a name is about every name, and one
        that does not say where about all parameters."""
        hit = None
        with self.lock:
            for fault in self.faults:
                if fault["action"] != action or fault.get("name", name) != name:
                    continue
                if "where" in fault and fault["where"] not in values:
                    continue
                fault["seen"] += 1
                due = fault["seen"] == fault["nth"] if "nth" in fault else fault["seen"] <= fault.get("times", 10**9)
                if due and hit is None:
                    hit = fault
        return hit


class Calls:
    """The file of calls: one JSON line each."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", buffering=1, encoding="utf-8")

    def record(self, fault, **call):
        line = {"time": round(time.time(), 3), **call}
        if fault:
            line["fault"] = fault["mode"]
        with self.lock:
            self.file.write(json.dumps(line) + "\n")


class Handler(BaseHTTPRequestHandler):
    """Answers /_faults itself; what else it is asked is for handle_call of a subclass, with the body."""
    protocol_version = "HTTP/1.1"
    # One packet an answer: a header and a body sent apart would wait for a delayed acknowledgement of 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 300  # seconds that a kept-alive connection may stay idle
    faults = Faults()
    fields, modes = (), ()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self.control(body) if self.path == "/_faults" else self.handle_call(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

    def control(self, body):
        if self.command == "PUT":
            try:
                faults = json.loads(body)
            except ValueError as error:
                return self.text(400, f"faults are not json: {error}")
            wrong = check_faults(faults, self.fields, self.modes)
            if wrong:
                return self.text(400, wrong)
            self.faults.replace(faults)
            self.faults_set(faults)
        elif self.command == "DELETE":
            self.faults.replace([])
        elif self.command != "GET":
            return self.text(405, f"method {self.command} of /_faults; accepted: GET, PUT, DELETE")
        return self.text(200, json.dumps(self.faults.show()))

    def faults_set(self, faults):
        """What else new faults mean, for a subclass."""

    def text(self, status, text):
        self.answer(status, [("Content-Type", "text/plain")], (text + "\n").encode())

    def answer(self, status, headers, body, length=None):
        self.send_response_only(status)
        for key, value in headers:
            if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """The file of calls is the log."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that gives up in the middle is part of the tests, not an error of the proxy."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
