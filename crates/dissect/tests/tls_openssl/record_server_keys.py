#!/usr/bin/env python3
"""Records TLS connections before 1.3 that a server's RSA key opens, and some that it does not.

    record_server_keys.py FOLDER    writes FOLDER/server-keys.txt: the keys in DER, and for each connection its name, the key log
                                    and the bytes of both sides; and FOLDER/rsa-http.txt: the same of a request of HTTP

Two connections with the same name before a comma belong together: the second one resumes the first. Needs what `record.py` needs.
"""

import base64
import os
import sys
import tempfile

import record


def der(path):
    with open(path) as file:
        lines = [line.strip() for line in file]
    return base64.b64decode("".join(line for line in lines if not line.startswith("-"))).hex()


def without_extended_master_secret():
    """Clients read the options of this file instead of the system's."""
    with open("no-ems.cnf", "w") as out:
        out.write("openssl_conf = main\n[main]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n"
                  "[all]\nOptions = -ExtendedMasterSecret\n")
    return os.path.abspath("no-ems.cnf")


def http():
    """A request and its answer, with the key of their server."""
    with open("answer", "w") as out:
        out.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nonly for you")
    both = ["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"]
    served = ["-cert", "rsa.pem", "-key", "rsa.key", *both, "-HTTP"]
    question = "GET /answer HTTP/1.0\r\nAuthorization: Bearer 0123456789abcdef\r\n\r"
    lines = record.connect("HTTP", served, both, question=question, answer="only for you")
    return [f"server-key http {der('rsa.key')}", *lines]


def write(folder, name, lines):
    with open(os.path.join(folder, name), "w") as out:
        out.write("\n".join(lines) + "\n")


def main(folder):
    os.chdir(tempfile.mkdtemp())
    record.certificates()
    write(folder, "rsa-http.txt", http())
    record.run("genrsa", "-traditional", "-out", "short.key", "1024")
    record.run("req", "-x509", "-new", "-key", "short.key", "-out", "short.pem", "-days", "36500", "-subj", "/CN=agent-b.example")
    config = without_extended_master_secret()
    recorded = [[f"server-key long {der('rsa.key')}", f"server-key short {der('short.key')}"]]

    def add(name, version, suite, server=(), client=(), key="rsa", extended=True, **named):
        both = [version, "-cipher", f"{suite}:@SECLEVEL=0"]
        if not extended:
            os.environ["OPENSSL_CONF"] = config
        served = ["-cert", f"{key}.pem", "-key", f"{key}.key", *both, *server]
        lines = record.connect(name, served, [*both, *client], **named)
        os.environ.pop("OPENSSL_CONF", None)
        print(name, "missing" if lines is None else "recorded", flush=True)
        recorded.append(lines or [])

    versions = [("TLS 1.0", "-tls1"), ("TLS 1.1", "-tls1_1"), ("TLS 1.2", "-tls1_2")]
    for name, registered, since in record.suites():
        if not registered.startswith("TLS_RSA_WITH_") or "ARIA" in registered:
            continue
        for version, option in versions:
            if since == "TLSv1.2" and version != "TLS 1.2":
                continue
            for extended in [True, False]:
                add(f"{version} {registered} {'extended' if extended else 'plain'}", option, name, extended=extended)
    for version, option in versions:
        for extended in [True, False]:
            how = "extended" if extended else "plain"
            add(f"{version} {how} short key", option, "AES256-SHA", key="short", extended=extended)
    add("client certificate", "-tls1_2", "AES128-SHA", ["-Verify", "1"], ["-cert", "ec.pem", "-key", "ec.key"])
    add("renegotiated", "-tls1_2", "AES128-SHA", ["-client_renegotiation"], commands=["R"])
    add("forward secret", "-tls1_2", "ECDHE-RSA-AES128-SHA")
    resumed = [["-sess_out", "session"], ["-sess_in", "session"]]
    for version, option in versions:
        for suite in ["AES128-SHA", "ECDHE-RSA-AES128-SHA"]:
            add(f"{version} {suite} by ticket", option, suite, connections=2, sessions=resumed, keep_all=True)
            add(f"{version} {suite} by id", option, suite, ["-no_ticket"], connections=2, sessions=resumed, keep_all=True)
    write(folder, "server-keys.txt", [line for lines in recorded for line in lines])


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
