"""A proxy in front of the EC2 stand-in that counts calls and makes faults: ec2_proxy.py PORT STANDIN_PORT CALLS_FILE

Every call is forwarded untouched and recorded, before it is answered, as one JSON line in CALLS_FILE:
  {"time", "service", "action", "status", "params", "fault"?}

Faults: PUT /_faults with a JSON list replaces them, GET shows them with their counters, DELETE clears them. A fault is
  {"action": "AllocateAddress",       which calls it is about
   "where": "eipalloc-1",             only those with this value among their parameters
   "nth": 2 | "times": 3,             the second such call only, or the first three; neither means all of them
   "mode": "status" | "drop_after" | "delay" | "stale" | "garbage" | "cut" | "empty",
   "status": 503, "code": "RequestLimitExceeded",     status: answer so, without forwarding; an HTML page without a code
   "seconds": 2.5}                    delay: wait so long, then forward
drop_after forwards the call and closes the connection without an answer. stale repeats the answer that an equal call got
before the fault was set. garbage forwards and answers 200 with a body that is none; cut leaves off the second half of it,
empty the items of the list in it.
Of several faults that match a call the first one acts.
"""
import http.client
import json
import re
import sys
import threading
import time
import urllib.parse
from collections import OrderedDict

from proxy import Calls, Handler, Server

MODES = ("status", "drop_after", "delay", "stale", "garbage", "cut", "empty")
FIELDS = ("action", "where", "nth", "times", "mode", "status", "code", "seconds")
REMEMBERED_ANSWERS = 500


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


class Answers:
    """The latest answers to describing calls, which a stale fault repeats."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers = OrderedDict()

    def remember(self, body, answer):
        with self.lock:
            self.answers[body] = answer
            self.answers.move_to_end(body)
            if len(self.answers) > REMEMBERED_ANSWERS:
                self.answers.popitem(last=False)

    def recall(self, body):
        with self.lock:
            return self.answers.get(body)


class Ec2Handler(Handler):
    fields, modes = FIELDS, MODES

    def handle_call(self, body):
        try:
            service, action, params = identify(self.command, self.path, self.headers, body)
        except ValueError:
            service, action, params = "unknown", f"{self.command} {self.path}", {}
        fault = self.faults.strike(action, values=params.values())
        mode = fault and fault["mode"]
        if mode == "delay":
            time.sleep(fault.get("seconds", 1))
        if mode == "status":
            status, headers, answer = self.failure(fault)
        elif mode == "stale" and ANSWERS.recall(body):
            status, headers, answer = ANSWERS.recall(body)
        else:
            status, headers, answer = self.forward(body)
            if action.startswith("Describe") and status == 200 and mode != "stale":
                ANSWERS.remember(body, (status, headers, answer))
        CALLS.record(fault, service=service, action=action, status=status, params=params)
        if mode == "garbage":
            answer = b"\x00<<<it's no document\xff"
        if mode == "cut":
            answer = answer[:len(answer) // 2]
        if mode == "empty":
            answer = re.sub(rb"(?s)<(\w+Set)>.*</\1>", rb"<\1/>", answer)
        if mode == "drop_after":
            self.close_connection = True
            return None
        return self.answer(status, headers, answer)

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


if __name__ == "__main__":
    STANDIN_PORT = int(sys.argv[2])
    ANSWERS, CALLS = Answers(), Calls(sys.argv[3])
    Server(("127.0.0.1", int(sys.argv[1])), Ec2Handler).serve_forever()
