#!/usr/bin/env python3
"""Talks to the page of a running demo through its API, and fails if the captured bytes contradict what the page shows.

    docker/demo_client.py URL           URL as `live` printed it, with its token
    docker/demo_client.py URL say       only sends a message, and waits for no answer

docker/test.sh runs it. Only Python's standard library is used.
"""

import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# For every wait: sandboxes of the engine take a second on a busy machine, an experiment some.
PATIENCE_S = 60

page = urllib.parse.urlsplit(sys.argv[1])
base = f"{page.scheme}://{page.netloc}"
token = urllib.parse.parse_qs(page.query)["token"][0]
assert page.hostname == "127.0.0.1", f"the page is at {page.hostname}"


def request(path, data=None, given=token):
    headers = {"X-Plainsight-Token": given, "Content-Type": "application/json"} if given else {}
    body = None if data is None else json.dumps(data).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(base + path, body, headers), timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def get(path):
    status, body = request(path)
    assert status == 200, f"{path}: {status} {body!r}"
    return json.loads(body)


def until(what, path, is_so):
    began = time.monotonic()
    while not is_so(seen := get(path)):
        assert time.monotonic() - began < PATIENCE_S, f"{what}: {seen}"
        time.sleep(0.1)
    return seen


def complete(path, data):
    status, body = request(path, data)
    assert status == 202, f"{path}: {status} {body!r}"
    is_over = lambda one: one["wire"]["state"] not in ("waiting", "live") and one["state"] != "sending"
    ids = json.loads(body)["exchanges"]
    exchanges = [until("the frames are complete", f"/api/exchange/{one}", is_over) for one in ids]
    for one in exchanges:
        assert one["state"] == "answered", one
        assert one["wire"]["state"] == "complete" and one["wire"]["why"] is None, one["wire"]
    return exchanges


def captured():
    status, body = request("/api/wire/wire.pcap")
    assert status == 200, status
    return body


def main():
    # Beyond the container's loopback, the page itself needs the token.
    assert request("/", given=None)[0] == 403, "the page is served without its token"
    assert request("/?" + page.query, given=None)[0] == 200
    assert request("/api/state", given=None)[0] == 403

    state = get("/api/state")
    assert state["backend"]["name"] == "docker" and state["problems"] == [], state
    assert len(state["services"]) == 4 and all(of["state"] == "up" for of in state["services"]), state
    assert [of["state"] for of in state["captures"]] == ["up"], state

    # The page's search and the bytes of the capture agree: over HTTP the words are there, over HTTPS they are not.
    seen, unseen = (f"the launch code is {secrets.token_hex(16)}" for _ in range(2))
    [http] = complete("/api/say", {"user": "alice", "scheme": "http", "message": seen})
    [https] = complete("/api/say", {"user": "alice", "scheme": "https", "message": unseen})
    for one, words in (http, seen), (https, unseen):
        wire = one["wire"]
        assert words in one["answer"], one
        assert words in [string["text"] for string in wire["strings"]], wire["strings"]
        assert wire["with_keys"] == wire["total"] > 0, wire
    assert http["wire"]["readable"] == http["wire"]["total"], http["wire"]
    assert https["wire"]["readable"] == 0, https["wire"]
    assert seen.encode() in captured(), "the capture lacks what was sent over HTTP"
    assert unseen.encode() not in captured(), "the capture shows what was sent over HTTPS"

    calls = complete("/api/call", {"user": "alice", "scheme": "both"})
    assert [one["wire"]["readable"] > 0 for one in calls] == [True, False], calls

    # Each message ran in a container without network. Frames are not counted, and the page says why.
    is_listed = lambda seen: len(seen["boxes"]) == 2
    boxes = until("both sandboxes are listed", "/api/boxes?user=alice", is_listed)["boxes"]
    for box in boxes:
        assert box["network"] == "none" and box["exit"] == "code 0", box
        assert {"memory_bytes", "processes", "network"} <= {limit["name"] for limit in box["limits"]}, box
        assert box["frames_left"] is None and "not counted" in box["why"], box

    # The comparison runs in the page's container. The isolation experiment cannot, and the page says where it can.
    assert request("/api/experiment", {"experiments": ["http", "https"], "count": None})[0] == 202
    trial = until("the experiment ends", "/api/experiment", lambda trial: trial["state"] != "running")
    ended = {key: trial[key] for key in ("state", "conclusion", "reasons", "why", "log")}
    assert trial["state"] == "done" and trial["conclusion"] == "proven", ended
    for form in "html", "md":
        assert request(f"/api/experiment/report.{form}?lang=ko")[0] == 200, form
    status, refused = request("/api/experiment", {"experiments": ["isolation"], "count": None})
    assert status == 409 and "make isolation" in json.loads(refused)["error"]["remedy"], refused


if sys.argv[2:] == ["say"]:
    assert request("/api/say", {"user": "bob", "scheme": "both", "message": "the last words"})[0] == 202
else:
    main()
