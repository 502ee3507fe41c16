#!/usr/bin/env python3
"""Records TLS connections between `openssl s_server` and `openssl s_client`, one for every cipher suite that they offer.

    record.py FOLDER    writes FOLDER/VERSION.txt: for each connection its name, the key log and the bytes of both sides

The client sends "a question from the client", and the server the same line backwards. Needs OpenSSL 3 and Python 3.11.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

QUESTION = "a question from the client"
ANSWER = QUESTION[::-1]
PSK = "0123456789abcdef0123456789abcdef"
SECONDS = 20


def run(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificates():
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-out", "rsa.pem", "-days", "36500",
        "-subj", "/CN=agent-b.example/O=RSA")
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ec.key", "-out",
        "ec.pem", "-days", "36500", "-subj", "/CN=agent-b.example/O=ECDSA")
    run("dsaparam", "-out", "dsa.param", "1024")
    run("req", "-x509", "-newkey", "dsa:dsa.param", "-nodes", "-keyout", "dsa.key", "-out", "dsa.pem", "-days", "36500",
        "-subj", "/CN=agent-b.example/O=DSA")


class Proxy:
    """Passes one connection on, and records it."""

    def __init__(self, port):
        self.target = port
        self.sent = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        for direction, source, sink in [("C", client, server), ("S", server, client)]:
            threading.Thread(target=self.copy, args=(direction, source, sink), daemon=True).start()

    def copy(self, direction, source, sink):
        try:
            while data := source.recv(65536):
                with self.lock:
                    self.sent.append((direction, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listening(port):
    """Whether the kernel has a listening socket at this port: a connection would use up the one that the server takes."""
    wanted = f"{port:04X}"
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path) as table:
            for line in table:
                fields = line.split()
                if fields[1].endswith(":" + wanted) and fields[3] == "0A":
                    return True
    return False


def wait_for(output, text):
    end = time.time() + SECONDS
    while time.time() < end:
        with open(output, "rb") as file:
            if text.encode() in file.read():
                return True
        time.sleep(0.03)
    return False


def connect(name, server, client, commands=(), connections=1, sessions=None, keep_all=False, question=QUESTION,
            answer=ANSWER):
    """Records `connections` connections; returns the last one, or all of them, as lines of text, or None."""
    port = free_port()
    serving = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", str(connections),
         *(["-rev"] if answer == ANSWER else []), *server],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.time() + SECONDS
    while not listening(port) and time.time() < end and serving.poll() is None:
        time.sleep(0.02)
    result = []
    try:
        for number in range(connections):
            proxy = Proxy(port)
            if os.path.exists("keys"):
                os.remove("keys")
            extra = list(sessions[number]) if sessions else []
            with open("out", "wb") as out:
                asking = subprocess.Popen(
                    ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-servername", "agent-b.example",
                     "-keylogfile", "keys", *client, *extra],
                    stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
            ok = True
            for count, command in enumerate([*commands, question]):
                asking.stdin.write(command.encode() + b"\n")
                asking.stdin.flush()
                if command == question:
                    ok = wait_for("out", answer)
                else:
                    time.sleep(0.5)
            try:
                asking.stdin.write(b"Q\n")
                asking.stdin.close()
                asking.wait(SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                asking.kill()
            time.sleep(0.1)
            if not ok or not os.path.exists("keys"):
                return None
            with open("keys") as keys:
                secrets = [line.strip() for line in keys if not line.startswith("#")]
            with proxy.lock:
                number_of = f", {number + 1}" if keep_all else ""
                lines = [f"name {name}{number_of}", *[f"key {line}" for line in secrets],
                         *[f"{direction} {data.hex()}" for direction, data in proxy.sent]]
            result = [*result, *lines] if keep_all else lines
    finally:
        serving.kill()
        serving.wait()
    return result or None


def suites():
    """The name of each suite that is not of TLS 1.3, its registered name, and its key exchange."""
    listed = subprocess.run(["openssl", "ciphers", "-v", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], check=True,
                            capture_output=True, text=True).stdout
    for line in listed.splitlines():
        fields = line.split()
        if fields[3] != "TLSv1.3":
            yield fields[2], fields[0], fields[3]


def server_options(registered):
    if "_DSS_" in registered:
        return ["-cert", "dsa.pem", "-key", "dsa.key"]
    return ["-cert", "rsa.pem", "-key", "rsa.key", "-dcert", "ec.pem", "-dkey", "ec.key"]


def record(folder):
    os.chdir(tempfile.mkdtemp())
    certificates()
    files = {}
    missing = []

    def add(version, name, *arguments, **named):
        lines = connect(name, *arguments, **named) or connect(name, *arguments, **named)
        if lines is None:
            missing.append(f"{version} {name}")
            print("missing", version, name, flush=True)
        else:
            files.setdefault(version, []).append(lines)

    for name, registered, since in suites():
        if "_SRP_" in registered:
            missing.append(f"{since} {registered}")
            continue
        for version, option in [("tls1.2", "-tls1_2"), ("tls1.1", "-tls1_1"), ("tls1.0", "-tls1")]:
            if since == "TLSv1.2" and version != "tls1.2":
                continue
            # Older versions have the same suites; one of each kind of protection shows what differs.
            if version != "tls1.2" and not re.fullmatch(
                    r"TLS_(RSA|ECDHE_ECDSA|PSK|DH_anon)_WITH_(AES_(128|256)_CBC_SHA|CAMELLIA_128_CBC_SHA|NULL_(MD5|SHA))",
                    registered):
                continue
            both = [option, "-cipher", f"{name}:@SECLEVEL=0", "-psk", PSK]
            add(version, registered, [*server_options(registered), *both], both)
    usual = ["-cert", "ec.pem", "-key", "ec.key"]
    for version, option in [("tls1.2", "-tls1_2"), ("tls1.1", "-tls1_1"), ("tls1.0", "-tls1")]:
        both = [option, "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"]
        add(version, "MAC-then-encrypt", [*usual, *both, "-no_etm"], both)
        resumed = [["-sess_out", "session"], ["-sess_in", "session"]]
        add(version, "resumed by ticket", [*usual, *both], both, connections=2, sessions=resumed)
        add(version, "resumed by id", [*usual, *both, "-no_ticket"], both, connections=2, sessions=resumed)
        if version == "tls1.2":
            add(version, "renegotiated", [*usual, *both, "-client_renegotiation"], both, commands=["R"])
        add(version, "client certificate", [*usual, *both, "-Verify", "1"], [*both, *usual])
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
                  "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]:
        both = ["-tls1_3", "-ciphersuites", suite, "-cipher", "ALL:@SECLEVEL=0"]
        add("tls1.3", suite, [*usual, *both], both)
        add("tls1.3", f"{suite}, key update", [*usual, *both], both, commands=["K"])
    both = ["-tls1_3"]
    add("tls1.3", "record padding", [*usual, *both, "-record_padding", "512"], [*both, "-record_padding", "512"])
    add("tls1.3", "client certificate", [*usual, *both, "-Verify", "1"], [*both, *usual])
    add("tls1.3", "pre-shared key", [*usual, *both, "-psk", PSK, "-nocert"], [*both, "-psk", PSK])
    for version, recorded in files.items():
        with open(os.path.join(folder, f"{version}.txt"), "w") as out:
            out.write("\n".join("\n".join(lines) for lines in recorded) + "\n")
        print(version, len(recorded))
    print("not recorded:", len(missing), *missing, sep="\n  ")


if __name__ == "__main__":
    record(os.path.abspath(sys.argv[1]))
