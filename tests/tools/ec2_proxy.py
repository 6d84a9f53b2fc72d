"""A proxy in front of the EC2 stand-in that counts calls and makes faults: ec2_proxy.py PORT STANDIN_PORT CALLS_FILE

Every call is forwarded untouched and recorded, before it is answered, as one JSON line in CALLS_FILE:
  {"time", "service", "action", "status", "params", "fault"?}

Faults: PUT /_faults with a JSON list replaces them, GET shows them with their counters, DELETE clears them. A fault is
  {"action": "AllocateAddress",       which calls it is about
   "where": "eipalloc-1",             only those with this value among their parameters
   "nth": 2 | "times": 3,             the second such call only, or the first three; neither means all of them
   "mode": "status" | "drop_after" | "delay" | "stale" | "garbage" | "cut",
   "status": 503, "code": "RequestLimitExceeded",     status: answer so, without forwarding; an HTML page without a code
   "seconds": 2.5}                    delay: wait so long, then forward
drop_after forwards the call and closes the connection without an answer. stale repeats the answer that an equal call got
before the fault was set. garbage forwards and answers 200 with a body that is none; cut leaves off the second half of it.
Of several faults that match a call the first one acts.
"""
import http.client
import json
import sys
import threading
import time
import urllib.parse
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODES = ("status", "drop_after", "delay", "stale", "garbage", "cut")
FIELDS = ("action", "where", "nth", "times", "mode", "status", "code", "seconds")
REMEMBERED_ANSWERS = 500
LONGEST_DELAY = 600


def identify(method, path, headers, body):
    """Returns service, action and parameters of a call in the EC2 query protocol or with an X-Amz-Target."""
    scope = headers.get("Authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
    service = scope[3] if len(scope) > 4 else "ec2"
    target = headers.get("X-Amz-Target")
    if target:
        return service, target.rpartition(".")[2], json.loads(body or b"{}")
    text = body.decode() if method == "POST" else urllib.parse.urlsplit(path).query
    params = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    return service, params.pop("Action", f"{method} {path}"), params


def check_faults(faults):
    """Returns what is wrong with a list of faults, or None."""
    if not isinstance(faults, list) or not all(isinstance(fault, dict) for fault in faults):
        return "faults must be a json list of objects"
    for fault in faults:
        for field in fault:
            if field not in FIELDS:
                return f"unknown field \"{field}\" of a fault; accepted: {', '.join(FIELDS)}"
        if not isinstance(fault.get("where", ""), str):
            return f"where of a fault is {fault['where']!r}; accepted: the value of a parameter"
        if not isinstance(fault.get("action"), str):
            return f"action of a fault is {fault.get('action')!r}; accepted: the name of an api action"
        if fault.get("mode") not in MODES:
            return f"mode of a fault is {fault.get('mode')!r}; accepted: {', '.join(MODES)}"
        for field, lowest, highest in (("nth", 1, 10**9), ("times", 1, 10**9), ("status", 400, 599)):
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

    def strike(self, action, params):
        """Counts a call and returns the fault that hits it, if any."""
        hit = None
        with self.lock:
            for fault in self.faults:
                if fault["action"] != action or "where" in fault and fault["where"] not in params.values():
                    continue
                fault["seen"] += 1
                due = fault["seen"] == fault["nth"] if "nth" in fault else fault["seen"] <= fault.get("times", 10**9)
                if due and hit is None:
                    hit = fault
        return hit


class Calls:
    """The file of calls, and the latest answers to describing calls, which a stale fault repeats."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", buffering=1, encoding="utf-8")
        self.answers = OrderedDict()

    def record(self, service, action, params, status, fault):
        line = {"time": round(time.time(), 3), "service": service, "action": action, "status": status, "params": params}
        if fault:
            line["fault"] = fault["mode"]
        with self.lock:
            self.file.write(json.dumps(line) + "\n")

    def remember(self, body, answer):
        with self.lock:
            self.answers[body] = answer
            self.answers.move_to_end(body)
            if len(self.answers) > REMEMBERED_ANSWERS:
                self.answers.popitem(last=False)

    def recall(self, body):
        with self.lock:
            return self.answers.get(body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer: a header and a body sent apart would wait for a delayed acknowledgement of 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 300  # seconds that a kept-alive connection may stay idle

    def handle_call(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/_faults":
            return self.control(body)
        try:
            service, action, params = identify(self.command, self.path, self.headers, body)
        except ValueError:
            service, action, params = "unknown", f"{self.command} {self.path}", {}
        fault = FAULTS.strike(action, params)
        mode = fault and fault["mode"]
        if mode == "delay":
            time.sleep(fault.get("seconds", 1))
        if mode == "status":
            status, headers, answer = self.failure(fault)
        elif mode == "stale" and CALLS.recall(body):
            status, headers, answer = CALLS.recall(body)
        else:
            status, headers, answer = self.forward(body)
            if action.startswith("Describe") and status == 200 and mode != "stale":
                CALLS.remember(body, (status, headers, answer))
        CALLS.record(service, action, params, status, fault)
        if mode == "garbage":
            answer = b"\x00<<<it's no document\xff"
        if mode == "cut":
            answer = answer[:len(answer) // 2]
        if mode == "drop_after":
            self.close_connection = True
            return None
        return self.answer(status, headers, answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_call

    def forward(self, body):
        # A fresh connection a call: a stale one could lose, or repeat, a call that must be sent once.
        connection = http.client.HTTPConnection("127.0.0.1", STANDIN_PORT, timeout=120)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            connection.request(self.command, self.path, body, {**headers, "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError as error:
            return 502, [], f"the ec2 stand-in did not answer: {error}\n".encode()
        finally:
            connection.close()

    def failure(self, fault):
        status, code = fault.get("status", 503), fault.get("code")
        if code is None:
            page = f"<html><body><h1>{status}</h1></body></html>"
            return status, [("Content-Type", "text/html")], page.encode()
        if self.headers.get("X-Amz-Target"):
            answer = json.dumps({"__type": code, "message": "made by the proxy"})
            return status, [("Content-Type", "application/x-amz-json-1.1")], answer.encode()
        answer = ('<?xml version="1.0" encoding="UTF-8"?>\n'
                  f"<Response><Errors><Error><Code>{code}</Code><Message>made by the proxy</Message></Error></Errors>"
                  "<RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>")
        return status, [("Content-Type", "text/xml;charset=UTF-8")], answer.encode()

    def control(self, body):
        if self.command == "PUT":
            try:
                faults = json.loads(body)
            except ValueError as error:
                return self.text(400, f"faults are not json: {error}")
            wrong = check_faults(faults)
            if wrong:
                return self.text(400, wrong)
            FAULTS.replace(faults)
        elif self.command == "DELETE":
            FAULTS.replace([])
        elif self.command != "GET":
            return self.text(405, f"method {self.command} of /_faults; accepted: GET, PUT, DELETE")
        return self.text(200, json.dumps(FAULTS.show()))

    def text(self, status, text):
        self.answer(status, [("Content-Type", "text/plain")], (text + "\n").encode())

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for key, value in headers:
            if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
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


if __name__ == "__main__":
    STANDIN_PORT = int(sys.argv[2])
    FAULTS, CALLS = Faults(), Calls(sys.argv[3])
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
