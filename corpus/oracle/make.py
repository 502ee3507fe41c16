#!/usr/bin/env python3
"""Records the captures of this folder again: other projects' clients and servers, each pair alone in a network namespace.

Needs root, and the packages that README.md lists. Each capture is one pcapng file, with the session secrets inside.

    corpus/oracle/make.py --python VENV/bin/python --node-modules FOLDER/node_modules [NAME ...]
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

FOLDER = pathlib.Path(__file__).resolve().parent
MAX_BYTES = 160 * 1024
EMPTY_BYTES = 24
IDENTITY = ("chain.pem", "leaf.pem", "leaf.key", "ca.pem")
RECIPES = {}


def recipe(function):
    """Registers a recipe under its name."""
    RECIPES[function.__name__.replace("_", "-")] = function
    return function


class Run:
    """The processes of one capture, in a namespace of their own."""

    def __init__(self, folder, python, node_modules, identities, interface="lo"):
        self.folder, self.python, self.identities, self.interface = folder, python, identities, interface
        self.keys = folder / "keys"
        self.processes = []
        self.env = dict(os.environ, SSLKEYLOGFILE=str(self.keys), NODE_PATH=node_modules, HOME=str(folder))
        (folder / "www").mkdir()
        www = folder / "www"
        (www / "index.html").write_text("<!doctype html><title>plain</title><p>Hello from the corpus.\n")
        (www / "data.json").write_text('{"tool":"lookup","arguments":{"city":"Seoul","depth":3}}\n')
        (www / "text.txt").write_text("A line that repeats itself and so compresses well.\n" * 60)
        (www / "noise.bin").write_bytes(bytes((i * i * 31 + 7 * i) % 251 for i in range(6000)))
        (www / "empty.txt").write_text("")

    def file(self, name, text):
        """Writes a file, and gives its path."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return str(path)

    def certificates(self, kind="rsa"):
        """An authority and a certificate of a server; gives chain, key and authority. Made once for all captures."""
        made = self.identities / kind
        if not made.is_dir():
            self.make_certificates(kind)
            made.mkdir()
            for name in IDENTITY:
                shutil.copy(self.folder / name, made / name)
        for name in IDENTITY:
            shutil.copy(made / name, self.folder / name)
        return str(self.folder / "chain.pem"), str(self.folder / "leaf.key"), str(self.folder / "ca.pem")

    def make_certificates(self, kind):
        """Makes keys and certificates in the run's folder."""
        if kind == "dsa":
            self.run("openssl", "dsaparam", "-out", "parameters", "2048")
        key = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
               "dsa": ["dsa:parameters"]}[kind]
        for name in ("ca", "leaf"):
            subject = {"ca": "/O=Corpus/CN=Corpus authority", "leaf": "/O=Corpus/CN=tools.example"}[name]
            request = ["openssl", "req", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-subj", subject]
            if name == "ca":
                request += ["-x509", "-days", "30", "-out", "ca.pem"]
            else:
                request += ["-out", "leaf.csr"]
            self.run(*request)
        names = self.file("names", "subjectAltName=DNS:tools.example,DNS:localhost,IP:127.0.0.1\n")
        self.run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
                 "-extfile", names, "-out", "leaf.pem", "-CAcreateserial")
        chain = self.folder / "chain.pem"
        chain.write_text((self.folder / "leaf.pem").read_text() + (self.folder / "ca.pem").read_text())

    def start(self, *command, port=None, udp=False, **options):
        """Starts a server, and waits until it listens."""
        log = open(self.folder / "servers.log", "ab")
        process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log,
                                   stdin=options.pop("stdin", subprocess.DEVNULL), start_new_session=True, **options)
        self.processes.append(process)
        if port:
            self.wait(lambda: listens(port, udp), f"{command[0]} on port {port}")
        return process

    def wait(self, condition, what):
        """Waits for a condition."""
        until = time.monotonic() + 30
        while not condition():
            if time.monotonic() > until:
                raise RuntimeError(f"{what} did not happen: {(self.folder / 'servers.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def capture(self, snaplen=None):
        """Begins to record."""
        command = ["tcpdump", "-i", self.interface, "-U", "--immediate-mode", "-Z", "root", "-w", "out.pcap"]
        command += ["-s", str(snaplen)] if snaplen else []
        process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, start_new_session=True)
        while b"listening on" not in process.stderr.readline():
            if process.poll() is not None:
                raise RuntimeError("tcpdump does not capture")
        self.processes.append(process)
        self.tcpdump = process

    def run(self, *command, check=True, text=None, seconds=60):
        """Runs a client to its end."""
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, timeout=seconds,
                              input=text.encode() if text is not None else b"")
        if check and done.returncode:
            raise RuntimeError(f"{command}: {done.returncode} {done.stderr.decode()[-2000:]}{done.stdout.decode()[-500:]}")
        return done

    def curl(self, *arguments, check=True):
        """Runs curl, which writes the bodies to nowhere."""
        return self.run("curl", "-sS", "--cacert", "ca.pem", "--resolve", "tools.example:443:127.0.0.1", "--resolve",
                        "tools.example:80:127.0.0.1", "--resolve", "tools.example:81:127.0.0.1", "-o", "/dev/null",
                        *each_to_nowhere(arguments), check=check)

    def end(self, target):
        """Stops everything, and writes the capture with its secrets."""
        size, quiet = -1, 0
        while quiet < 4 or size <= EMPTY_BYTES:
            now = (self.folder / "out.pcap").stat().st_size
            size, quiet = now, quiet + 1 if now == size else 0
            if quiet > 40:
                raise RuntimeError("no frame was captured")
            time.sleep(0.15)
        self.tcpdump.send_signal(signal.SIGINT)
        self.tcpdump.wait()
        command = ["editcap", "-F", "pcapng"]
        if self.keys.is_file() and self.keys.stat().st_size:
            command += ["--inject-secrets", f"tls,{self.keys}"]
        self.run(*command, "out.pcap", str(target))
        if target.stat().st_size > MAX_BYTES:
            raise RuntimeError(f"{target.name} has {target.stat().st_size} bytes")

    def stop(self):
        """Ends every process that was started."""
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                process.kill()


def each_to_nowhere(arguments):
    """curl wants one output for each address."""
    seen = 0
    for argument in arguments:
        if argument.startswith(("http://", "https://")):
            seen += 1
            if seen > 1:
                yield from ("-o", "/dev/null")
        if argument == "--next":
            yield argument
            yield from ("-sS", "--cacert", "ca.pem")
            continue
        yield argument


def listens(port, udp=False):
    """Whether a socket listens on a port, without connecting to it: that would be in the capture."""
    for name in ("udp", "udp6") if udp else ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[3] == ("07" if udp else "0A"):
                return True
    return False


# nginx, Apache

def nginx(run, kind="rsa", tls="ssl_protocols TLSv1.2 TLSv1.3;"):
    chain, key, _ = run.certificates(kind)
    conf = run.file("nginx.conf", f"""
        daemon off; pid {run.folder}/nginx.pid; error_log {run.folder}/error.log; worker_processes 1; user root;
        events {{}}
        http {{
            access_log off; types {{ text/html html; application/json json; text/plain txt; }}
            client_body_temp_path {run.folder}/b; proxy_temp_path {run.folder}/p; fastcgi_temp_path {run.folder}/f;
            uwsgi_temp_path {run.folder}/u; scgi_temp_path {run.folder}/s;
            gzip on; gzip_types *; gzip_min_length 100;
            server {{
                listen 80; listen [::]:80; listen 81 http2; listen 443 ssl http2; root {run.folder}/www;
                ssl_certificate {chain}; ssl_certificate_key {key}; {tls}
                location = /old {{ return 301 /index.html; }}
                location = /nothing {{ return 204; }}
                location = /echo {{ return 200 "$request_method $http_user_agent\\n"; }}
            }}
        }}
    """)
    run.start("nginx", "-c", conf, port=443)


def apache(run, kind="rsa", more=""):
    chain, key, _ = run.certificates(kind)
    modules = "/usr/lib/apache2/modules"
    load = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in
                     ["mpm_event", "authz_core", "dir", "mime", "autoindex", "ssl", "http2", "deflate", "filter",
                      "auth_basic", "authn_core", "authn_file", "authz_user", "headers", "alias", "env"])
    run.file("types", "text/html html\napplication/json json\ntext/plain txt\n")
    (run.folder / "users").write_text("agent:" + run.run("openssl", "passwd", "-apr1", "pencil").stdout.decode())
    conf = run.file("apache.conf", "ServerRoot " + str(run.folder) + "\n" + load + f"""
PidFile apache.pid
ErrorLog error.log
Listen 80
Listen 443
ServerName tools.example
User www-data
Group www-data
TypesConfig types
Protocols h2 h2c http/1.1
DocumentRoot {run.folder}/www
AddOutputFilterByType DEFLATE text/plain
<Directory {run.folder}/www>
  Options +Indexes
  Require all granted
</Directory>
<Directory {run.folder}/www/private>
  AuthType Basic
  AuthName corpus
  AuthUserFile {run.folder}/users
  Require valid-user
</Directory>
<VirtualHost *:443>
  SSLEngine on
  SSLCertificateFile {chain}
  SSLCertificateKeyFile {key}
  DocumentRoot {run.folder}/www
  {more}
</VirtualHost>
""")
    (run.folder / "www/private").mkdir()
    (run.folder / "www/private/key.txt").write_text("kept behind a password\n")
    os.chmod(run.folder, 0o755)
    run.start("apache2", "-f", conf, "-DFOREGROUND", port=443)


@recipe
def curl_http10_nginx(run):
    nginx(run)
    run.capture()
    run.curl("--http1.0", "http://tools.example/index.html", "http://tools.example/data.json")
    run.curl("--http1.0", "-d", "a=1&b=2", "http://tools.example/echo")


@recipe
def curl_http11_nginx(run):
    nginx(run)
    run.capture()
    run.curl("http://tools.example/index.html", "http://tools.example/data.json", "http://tools.example/missing",
             "http://tools.example/nothing", "http://tools.example/empty.txt")
    run.curl("-I", "http://tools.example/text.txt", "--next", "-o", "/dev/null", "-r", "100-299",
             "http://tools.example/noise.bin")
    run.curl("-L", "http://tools.example/old")
    run.curl("-X", "DELETE", "http://tools.example/index.html")


@recipe
def curl_http11_gzip_nginx(run):
    nginx(run)
    run.capture()
    run.curl("--compressed", "http://tools.example/text.txt", "http://tools.example/data.json",
             "http://tools.example/noise.bin")


@recipe
def curl_http11_ipv6_nginx(run):
    nginx(run)
    run.capture()
    run.run("curl", "-sS", "-g", "http://[::1]/data.json", "http://[::1]/index.html")


@recipe
def curl_http11_cooked(run):
    nginx(run)
    run.interface = "any"
    run.capture()
    run.curl("http://tools.example/data.json", "http://tools.example/index.html")


@recipe
def curl_http2_prior_knowledge_nginx(run):
    nginx(run)
    run.capture()
    # curl 7.88 sends a second preface when it uses such a connection again.
    for name in ("index.html", "data.json", "missing", "noise.bin"):
        run.curl("--http2-prior-knowledge", f"http://tools.example:81/{name}")
    run.curl("--http2-prior-knowledge", "-d", '{"depth":4}', "-H", "Content-Type: application/json",
             "http://tools.example:81/echo")


NAMES = ("index.html", "data.json", "text.txt", "noise.bin", "missing", "nothing")


@recipe
def curl_parallel_http2_nginx(run):
    nginx(run)
    run.capture()
    run.curl("--http2", "-Z", "--no-progress-meter", "--compressed",
             *[f"https://tools.example/{name}" for name in NAMES])


@recipe
def nghttp_nginx(run):
    nginx(run)
    run.capture()
    run.run("nghttp", "-n", "-m", "2", *[f"http://127.0.0.1:81/{name}" for name in NAMES])


@recipe
def curl_http11_tls13_nginx(run):
    nginx(run)
    run.capture()
    run.curl("--http1.1", "https://tools.example/index.html", "https://tools.example/data.json",
             "https://tools.example/missing")


@recipe
def curl_http2_tls13_nginx(run):
    nginx(run, "ec")
    run.capture()
    run.curl("--http2", "--compressed", "https://tools.example/index.html", "https://tools.example/data.json",
             "https://tools.example/text.txt", "https://tools.example/nothing")


@recipe
def curl_http11_tls12_nginx(run):
    nginx(run, tls="ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;")
    run.capture()
    run.curl("--http1.1", "https://tools.example/index.html", "https://tools.example/data.json")


@recipe
def curl_http2_tls12_nginx(run):
    nginx(run, "ec", "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;")
    run.capture()
    run.curl("--http2", "https://tools.example/index.html", "https://tools.example/noise.bin")


@recipe
def curl_hello_retry_nginx(run):
    nginx(run, "ec", "ssl_protocols TLSv1.3; ssl_ecdh_curve secp384r1;")
    run.capture()
    run.curl("--http1.1", "https://tools.example/data.json")


@recipe
def curl_http11_apache(run):
    apache(run)
    run.capture()
    run.curl("http://tools.example/", "http://tools.example/private/key.txt")
    run.curl("-u", "agent:pencil", "http://tools.example/private/key.txt", "--next", "-o", "/dev/null", "-z",
             "tomorrow", "http://tools.example/data.json")
    run.curl("--compressed", "http://tools.example/text.txt", "http://tools.example/missing")
    run.curl("-X", "OPTIONS", "http://tools.example/")


@recipe
def curl_http2_upgrade_apache(run):
    apache(run)
    run.capture()
    run.curl("--http2", "http://tools.example/data.json", "http://tools.example/index.html",
             "http://tools.example/missing")


@recipe
def curl_http2_tls13_apache(run):
    apache(run)
    run.capture()
    run.curl("--http2", "-u", "agent:pencil", "https://tools.example/private/key.txt", "https://tools.example/")


@recipe
def curl_http11_tls12_apache(run):
    apache(run, more="SSLProtocol TLSv1.2\n  SSLCipherSuite DHE-RSA-AES256-GCM-SHA384")
    run.capture()
    run.curl("--http1.1", "https://tools.example/data.json", "https://tools.example/text.txt")


@recipe
def curl_expect_continue_apache(run):
    apache(run)
    body = run.file("body.txt", "x" * 3000)
    run.capture()
    run.curl("-H", "Expect: 100-continue", "--data-binary", f"@{body}", "http://tools.example/missing")
    run.curl("-F", "note=of the form", "-F", f"file=@{run.folder}/www/data.json", "http://tools.example/missing")


# openssl

def s_server(run, *options, kind="rsa", client=(), requests=("/data.json",), ca=True):
    chain, key, authority = run.certificates(kind) if ca else (None, None, None)
    identity = ["-cert", "leaf.pem", "-cert_chain", "ca.pem", "-key", key] if ca else ["-nocert"]
    run.start("openssl", "s_server", "-accept", "443", "-HTTP", *identity, "-keylogfile", str(run.keys), *options,
              port=443, **{"stdin": subprocess.PIPE})
    for name, kind in (("data.json", "application/json"), ("text.txt", "text/plain")):
        body = (run.folder / "www" / name).read_bytes()
        head = f"HTTP/1.0 200 ok\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        (run.folder / name).write_bytes(head.encode() + body)
    run.capture()
    for path in requests:
        run.run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", "tools.example", "-ign_eof",
                *client, text=f"GET {path} HTTP/1.0\r\nHost: tools.example\r\n\r\n", check=False)


SUITES = {
    "tls13-aes128": (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], "rsa"),
    "tls13-aes256": (["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], "ec"),
    "tls13-chacha20": (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "ec"),
    "tls13-aes128-ccm": (["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], "rsa"),
    "tls12-ecdhe-rsa-aes256-gcm": (["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"], "rsa"),
    "tls12-ecdhe-ecdsa-chacha20": (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "ec"),
    "tls12-ecdhe-ecdsa-aes128-ccm8": (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"], "ec"),
    "tls12-ecdhe-rsa-aes128-cbc-sha256": (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], "rsa"),
    "tls12-rsa-aes128-gcm": (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "rsa"),
    "tls12-rsa-aes256-cbc-sha": (["-tls1_2", "-cipher", "AES256-SHA"], "rsa"),
    "tls12-dhe-rsa-aes256-cbc-sha256": (["-tls1_2", "-cipher", "DHE-RSA-AES256-SHA256"], "rsa"),
    "tls12-rsa-null-sha256": (["-tls1_2", "-cipher", "NULL-SHA256:@SECLEVEL=0"], "rsa"),
    "tls12-rsa-camellia256-cbc": (["-tls1_2", "-cipher", "CAMELLIA256-SHA256"], "rsa"),
    "tls11-ecdhe-rsa-aes128-cbc-sha": (["-tls1_1", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"], "rsa"),
    "tls10-rsa-aes128-cbc-sha": (["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"], "rsa"),
}


def suite(name, options, kind):
    def run_it(run):
        s_server(run, *options, kind=kind, client=options)
    RECIPES[f"openssl-{name}"] = run_it


for _name, (_options, _kind) in SUITES.items():
    suite(_name, _options, _kind)


def other_suites():
    """Every other suite of TLS 1.2 that this OpenSSL offers, with the kind of certificate that it needs."""
    kinds = {"Au=RSA": "rsa", "Au=ECDSA": "ec", "Au=DSS": "dsa", "Au=None": None}
    listed = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", "-v", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
                            capture_output=True, text=True, check=True).stdout
    known = {options[2].split(":")[0] for options, _ in SUITES.values() if options[0] == "-tls1_2"}
    for line in listed.splitlines():
        name, _, _, authentication = line.split()[:4]
        if name not in known:
            yield name, kinds[authentication]


def every_suite(name, kind):
    def run_it(run):
        options = ["-tls1_2", "-cipher", f"{name}:@SECLEVEL=0"]
        s_server(run, *options, kind=kind, client=options, ca=kind is not None)
    RECIPES[f"openssl-tls12-{name.lower()}"] = run_it


for _name, _kind in other_suites():
    every_suite(_name, _kind)


@recipe
def openssl_tls12_no_encrypt_then_mac(run):
    options = ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"]
    s_server(run, *options, client=[*options, "-no_etm"])


@recipe
def openssl_tls12_resumed(run):
    options = ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]
    ticket = str(run.folder / "session")
    s_server(run, *options, client=[*options, "-sess_out", ticket])
    run.run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", "tools.example", "-ign_eof", *options,
            "-sess_in", ticket, text="GET /text.txt HTTP/1.0\r\n\r\n", check=False)


@recipe
def openssl_tls13_resumed(run):
    ticket = str(run.folder / "session")
    s_server(run, "-tls1_3", client=["-tls1_3", "-sess_out", ticket])
    run.run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", "tools.example", "-ign_eof", "-tls1_3",
            "-sess_in", ticket, text="GET /text.txt HTTP/1.0\r\n\r\n", check=False)


@recipe
def openssl_tls13_client_certificate(run):
    s_server(run, "-tls1_3", "-Verify", "1", "-CAfile", "ca.pem",
             client=["-tls1_3", "-cert", "leaf.pem", "-key", "leaf.key"])


@recipe
def openssl_tls12_client_certificate(run):
    s_server(run, "-tls1_2", "-Verify", "1", "-CAfile", "ca.pem",
             client=["-tls1_2", "-cert", "leaf.pem", "-key", "leaf.key"])


@recipe
def openssl_tls12_psk(run):
    options = ["-tls1_2", "-psk", "0123456789abcdef0123456789abcdef", "-cipher", "PSK-AES128-GCM-SHA256"]
    s_server(run, *options, client=options, ca=False)


@recipe
def openssl_tls13_refused(run):
    s_server(run, "-tls1_3", client=["-tls1_2"])


# Python

def python_client(run, program, *arguments):
    run.run(run.python, run.file("client.py", program), *arguments)


@recipe
def python_http_server(run):
    run.start("python3", "-m", "http.server", "80", "-d", "www", port=80)
    run.capture()
    run.curl("http://tools.example/", "http://tools.example/data.json", "http://tools.example/missing")
    run.run("python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1/noise.bin').read()")


AIOHTTP = """
    import asyncio, json, ssl, sys
    from aiohttp import web
    async def echo(request):
        return web.json_response({"got": (await request.read()).decode(), "method": request.method})
    async def stream(request):
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        for at in range(5):
            await answer.write(json.dumps({"step": at, "text": "part %d" % at}).encode() + b"\\n")
            await asyncio.sleep(0.01)
        await answer.write_eof()
        return answer
    async def events(request):
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for at in range(4):
            await answer.write(b"event: delta\\ndata: " + json.dumps({"delta": "word %d " % at}).encode() + b"\\n\\n")
        return answer
    async def packed(request):
        answer = web.Response(text="again and again " * 100)
        answer.enable_compression()
        return answer
    async def socket(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str("echo " + message.data)
        return ws
    app = web.Application()
    app.add_routes([web.route("*", "/echo", echo), web.get("/stream", stream), web.get("/events", events),
                    web.get("/packed", packed), web.get("/socket", socket)])
    tls = None
    if len(sys.argv) > 2:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sys.argv[2], sys.argv[3])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), ssl_context=tls)
"""

AIOHTTP_CLIENT = """
    import asyncio, aiohttp, ssl, sys
    async def parts():
        for at in range(3):
            yield b'{"part":%d}' % at
    async def main(base):
        tls = ssl.create_default_context(cafile="ca.pem") if base.startswith("https") else None
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls) if tls else None) as session:
            for path in ("/stream", "/events", "/packed"):
                async with session.get(base + path) as answer:
                    await answer.read()
            async with session.post(base + "/echo", json={"tool": "lookup", "api_key": "sk-corpus-1"}) as answer:
                await answer.json()
            async with session.put(base + "/echo", data=parts()) as answer:
                await answer.json()
            async with session.ws_connect(base + "/socket") as ws:
                for text in ("first", "second", "third " * 50):
                    await ws.send_str(text)
                    await ws.receive_str()
    asyncio.run(main(sys.argv[1]))
"""


@recipe
def aiohttp(run):
    run.start(run.python, run.file("server.py", AIOHTTP), "80", port=80)
    run.capture()
    python_client(run, AIOHTTP_CLIENT, "http://127.0.0.1")


@recipe
def aiohttp_tls13(run):
    chain, key, _ = run.certificates("ec")
    run.start(run.python, run.file("server.py", AIOHTTP), "443", chain, key, port=443)
    run.capture()
    python_client(run, AIOHTTP_CLIENT, "https://localhost")


WEBSOCKETS = """
    import asyncio, json, ssl, sys, websockets
    async def echo(ws):
        async for message in ws:
            await ws.send(message if isinstance(message, bytes) else "echo " + message)
    async def main():
        compression = None if "plain" in sys.argv else "deflate"
        port, tls, ours, scheme = 80, None, None, "ws"
        if "tls" in sys.argv:
            port, scheme = 443, "wss"
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain("chain.pem", "leaf.key")
            ours = ssl.create_default_context(cafile="ca.pem")
        if "serve" in sys.argv:
            async with websockets.serve(echo, "127.0.0.1", port, compression=compression, ssl=tls):
                await asyncio.Future()
        async with websockets.connect(f"{scheme}://localhost:{port}/chat", compression=compression, ssl=ours) as ws:
            for at in range(6):
                await ws.send(json.dumps({"id": at, "text": "message that repeats " * (1 + at)}))
                await ws.recv()
            await ws.send(bytes(range(200)))
            await ws.recv()
            await ws.send(["in ", "three ", "pieces"])
            await ws.recv()
            await (await ws.ping("knock"))
    asyncio.run(main())
"""


def websockets(run, *words):
    if "tls" in words:
        run.certificates()
    path = run.file("chat.py", WEBSOCKETS)
    run.start(run.python, path, "serve", *words, port=443 if "tls" in words else 80)
    run.capture()
    run.run(run.python, path, *words)


@recipe
def websockets_deflate(run):
    websockets(run)


@recipe
def websockets_plain(run):
    websockets(run, "plain")


@recipe
def websockets_tls13(run):
    websockets(run, "tls")


# Node

NODE = """
    const http = require('http'), https = require('https'), http2 = require('http2'), fs = require('fs');
    const [kind, port] = process.argv.slice(2);
    const answer = (request, response) => {
        let body = '';
        request.on('data', part => body += part);
        request.on('end', () => {
            if (request.url === '/events') {
                response.writeHead(200, {'content-type': 'text/event-stream'});
                for (let at = 0; at < 3; at++) response.write(`id: ${at}\\ndata: {"choice":"token ${at}"}\\n\\n`);
                return response.end();
            }
            response.writeHead(200, {'content-type': 'application/json'});
            response.end(JSON.stringify({method: request.method, path: request.url, length: body.length}));
        });
    };
    const tls = () => ({cert: fs.readFileSync('chain.pem'), key: fs.readFileSync('leaf.key'), allowHTTP1: true});
    ({http: () => http.createServer(answer), https: () => https.createServer(tls(), answer),
      h2c: () => http2.createServer(answer), h2: () => http2.createSecureServer(tls(), answer)}[kind])().listen(+port);
"""


@recipe
def node_http(run):
    run.start("node", run.file("server.js", NODE), "http", "80", port=80)
    run.capture()
    run.run("node", run.file("client.js", """
        const http = require('http');
        const agent = new http.Agent({keepAlive: true, maxSockets: 1});
        const ask = (method, path, body) => new Promise((done, fail) => {
            const request = http.request({port: 80, host: '127.0.0.1', method, path, agent}, response => {
                response.resume(); response.on('end', done);
            });
            request.on('error', fail); request.end(body);
        });
        (async () => {
            await ask('GET', '/one'); await ask('POST', '/two', JSON.stringify({prompt: 'Name three rivers'}));
            await ask('GET', '/events'); await ask('PATCH', '/three?x=1', 'text');
            agent.destroy();
        })();
    """))


@recipe
def node_fetch_tls13(run):
    run.certificates("ec")
    run.start("node", run.file("server.js", NODE), "https", "443", port=443)
    run.capture()
    run.env["NODE_EXTRA_CA_CERTS"] = str(run.folder / "ca.pem")
    run.run("node", f"--tls-keylog={run.keys}", run.file("client.js", """
        (async () => {
            for (const path of ['/v1/models', '/events']) await (await fetch('https://localhost' + path)).text();
            await (await fetch('https://localhost/v1/messages', {method: 'POST', headers: {'x-api-key': 'sk-corpus-2'},
                body: JSON.stringify({messages: [{role: 'user', content: 'Name three rivers'}]})})).text();
            process.exit(0);
        })();
    """))


@recipe
def undici_pipelined(run):
    run.start("node", run.file("server.js", NODE), "http", "80", port=80)
    run.capture()
    run.run("node", run.file("client.js", """
        const {Client} = require('undici');
        const client = new Client('http://127.0.0.1', {pipelining: 5});
        (async () => {
            const ask = path => client.request({method: 'GET', path}).then(answer => answer.body.text());
            await Promise.all(['/a', '/b', '/c', '/d', '/e'].map(ask));
            await client.close();
        })();
    """))


NODE_HTTP2_CLIENT = """
    const http2 = require('http2'), fs = require('fs');
    const base = process.argv[2];
    const client = http2.connect(base, base.startsWith('https') ? {ca: fs.readFileSync('ca.pem')} : {});
    const ask = (method, path, body) => new Promise((done, fail) => {
        const stream = client.request({':method': method, ':path': path, 'authorization': 'Bearer corpus-3'});
        stream.on('error', fail); stream.on('end', done); stream.resume(); stream.end(body);
    });
    (async () => {
        await Promise.all([ask('GET', '/one'), ask('GET', '/events'), ask('POST', '/two', '{"a":1}'.repeat(300))]);
        await ask('DELETE', '/three');
        client.close();
    })();
"""


@recipe
def node_http2(run):
    run.start("node", run.file("server.js", NODE), "h2c", "80", port=80)
    run.capture()
    run.run("node", run.file("client.js", NODE_HTTP2_CLIENT), "http://127.0.0.1")


@recipe
def node_http2_tls13(run):
    run.certificates()
    run.start("node", run.file("server.js", NODE), "h2", "443", port=443)
    run.capture()
    run.run("node", f"--tls-keylog={run.keys}", run.file("client.js", NODE_HTTP2_CLIENT), "https://localhost")


@recipe
def node_ws(run):
    run.start("node", run.file("server.js", """
        const {WebSocketServer} = require('ws');
        new WebSocketServer({host: '127.0.0.1', port: 80, perMessageDeflate: true}).on('connection', socket =>
            socket.on('message', (data, binary) => socket.send(data, {binary})));
    """), port=80)
    run.capture()
    run.run("node", run.file("client.js", """
        const WebSocket = require('ws');
        const socket = new WebSocket('ws://127.0.0.1/agent');
        const texts = ['{"type":"hello"}', 'long '.repeat(400), 'short', '\\u00fcber'];
        let left = texts.length;
        socket.on('open', () => texts.forEach(text => socket.send(text)));
        socket.on('message', () => { if (--left === 0) socket.close(1000, 'done'); });
    """))


# nghttp2

@recipe
def h2load_nginx(run):
    nginx(run)
    run.capture()
    run.run("h2load", "-n", "24", "-c", "2", "-m", "6", "http://127.0.0.1:81/data.json",
            "http://127.0.0.1:81/index.html")


@recipe
def h2load_tls13_nginx(run):
    nginx(run, "ec")
    run.capture()
    run.run("h2load", "-n", "12", "-c", "2", "-m", "4", "https://localhost/data.json")


@recipe
def h2load_http11_nginx(run):
    nginx(run)
    run.capture()
    run.run("h2load", "--h1", "-n", "10", "-c", "2", "-m", "3", "http://127.0.0.1/data.json")


@recipe
def nghttp_push(run):
    run.start("nghttpd", "--no-tls", "-d", "www", "-p/index.html=/data.json", "80", port=80)
    run.capture()
    run.run("nghttp", "-n", "http://127.0.0.1/index.html", "http://127.0.0.1/text.txt")


@recipe
def nghttp_upgrade_nghttpx(run):
    run.start("python3", "-m", "http.server", "8000", "-d", "www", port=8000)
    run.start("nghttpx", "-f127.0.0.1,80;no-tls", "-b127.0.0.1,8000", "--workers=1", port=80)
    run.capture()
    run.run("nghttp", "-nu", "http://127.0.0.1/data.json")
    run.run("nghttp", "-n", "--continuation", "-H", "x-long: " + "word " * 1500, "http://127.0.0.1/index.html",
            check=False)


# Between client and server

@recipe
def stunnel(run):
    chain, key, _ = run.certificates()
    run.start("python3", "-m", "http.server", "8000", "-d", "www", port=8000)
    conf = run.file("stunnel.conf", f"""
        foreground = yes
        pid =
        [https]
        accept = 127.0.0.1:443
        connect = 127.0.0.1:8000
        cert = {chain}
        key = {key}
    """)
    run.start("stunnel4", conf, port=443)
    run.capture()
    run.curl("https://tools.example/data.json", "https://tools.example/index.html")


@recipe
def tinyproxy(run):
    nginx(run)
    conf = run.file("tiny.conf", "Port 8888\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\nAllow 127.0.0.1\nConnectPort 443\n")
    run.start("tinyproxy", "-d", "-c", conf, port=8888)
    run.capture()
    run.curl("-x", "http://127.0.0.1:8888", "http://127.0.0.1/data.json", "http://127.0.0.1/missing")
    run.curl("-x", "http://127.0.0.1:8888", "--http1.1", "https://localhost/data.json")


@recipe
def curl_forwarded_by_socat(run):
    nginx(run)
    run.start("socat", "TCP-LISTEN:8080,fork,reuseaddr", "TCP:127.0.0.1:80", port=8080)
    run.capture()
    run.curl("http://127.0.0.1:8080/data.json")


# Services that change to TLS, and SOCKS

def starttls(run, kind, port, *arguments, text):
    """openssl speaks the protocol of the service up to TLS, and then sends the text."""
    run.run("openssl", "s_client", "-starttls", kind, "-connect", f"127.0.0.1:{port}", "-CAfile", "ca.pem", "-quiet",
            "-servername", "tools.example", "-keylogfile", str(run.keys), *arguments, text=text, check=False)


def dovecot(run):
    chain, key, _ = run.certificates()
    os.chmod(run.folder, 0o755)
    base = run.folder / "dovecot"
    conf = run.file("dovecot.conf", f"""
        base_dir = {base}
        state_dir = {base}/state
        log_path = {run.folder}/dovecot.log
        protocols = imap pop3
        listen = 127.0.0.1
        ssl = yes
        ssl_cert = <{chain}
        ssl_key = <{key}
        mail_location = maildir:{run.folder}/mail/%u
        first_valid_uid = 0
        passdb {{
          driver = static
          args = password=pencil
        }}
        userdb {{
          driver = static
          args = uid=nobody gid=nogroup home={run.folder}/mail/%u
        }}
    """)
    (run.folder / "mail").mkdir(mode=0o777)
    os.chmod(run.folder / "mail", 0o777)
    run.start("dovecot", "-F", "-c", conf, port=143)
    run.capture()


@recipe
def starttls_imap_dovecot(run):
    dovecot(run)
    starttls(run, "imap", 143, "-crlf", text="a LOGIN agent pencil\nb LIST \"\" *\nc LOGOUT\n")


@recipe
def starttls_pop3_dovecot(run):
    dovecot(run)
    starttls(run, "pop3", 110, "-crlf", text="USER agent\nPASS pencil\nSTAT\nQUIT\n")


@recipe
def starttls_smtp_exim(run):
    chain, key, _ = run.certificates()
    spool = run.folder / "spool"
    spool.mkdir()
    conf = run.file("exim.conf", f"""
        primary_hostname = tools.example
        exim_user = root
        exim_group = root
        spool_directory = {spool}
        log_file_path = {run.folder}/exim-%slog
        tls_advertise_hosts = *
        tls_certificate = {chain}
        tls_privatekey = {key}
        acl_smtp_rcpt = accept_all
        host_lookup =
        rfc1413_query_timeout = 0s
        begin acl
        accept_all:
          accept
        begin routers
        drop:
          driver = redirect
          data = :blackhole:
        begin transports
    """)
    run.start("exim4", "-bdf", "-oX", "127.0.0.1.25", "-oP", str(run.folder / "exim.pid"), "-C", conf, port=25)
    run.capture()
    starttls(run, "smtp", 25, "-crlf", text="EHLO agent\nMAIL FROM:<agent@tools.example>\nQUIT\n")


@recipe
def starttls_postgresql(run):
    run.certificates()
    data = run.folder / "data"
    data.mkdir()
    os.chmod(run.folder, 0o755)
    for name in ("chain.pem", "leaf.key"):
        shutil.copy(run.folder / name, data / name)
    version = sorted(pathlib.Path("/usr/lib/postgresql").iterdir())[-1] / "bin"
    cluster = data / "cluster"
    run.run("chown", "-R", "postgres", str(data))
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    run.run(*as_postgres, version / "initdb", "-D", str(cluster), "-A", "trust")
    os.chmod(data / "leaf.key", 0o600)
    run.start(*as_postgres, version / "postgres", "-D", str(cluster), "-k", str(data), "-c", "ssl=on", "-c",
              f"ssl_cert_file={data}/chain.pem", "-c", f"ssl_key_file={data}/leaf.key", "-c",
              "listen_addresses=127.0.0.1", port=5432)
    run.capture()
    starttls(run, "postgres", 5432, "-no_ign_eof", text="")


@recipe
def starttls_mysql_mariadb(run):
    chain, key, authority = run.certificates()
    data = run.folder / "data"
    run.run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db")
    run.start("mariadbd", "--no-defaults", f"--datadir={data}", "--user=root", f"--socket={run.folder}/my.sock",
              f"--ssl-cert={chain}", f"--ssl-key={key}", f"--ssl-ca={authority}", "--bind-address=127.0.0.1", port=3306)
    run.capture()
    starttls(run, "mysql", 3306, "-no_ign_eof", text="")


@recipe
def starttls_ldap_slapd(run):
    chain, key, authority = run.certificates()
    (run.folder / "db").mkdir()
    conf = run.file("slapd.conf", f"""
        include /etc/ldap/schema/core.schema
        pidfile {run.folder}/slapd.pid
        modulepath /usr/lib/ldap
        moduleload back_mdb
        TLSCertificateFile {chain}
        TLSCertificateKeyFile {key}
        TLSCACertificateFile {authority}
        database mdb
        directory {run.folder}/db
        suffix "dc=example"
    """)
    run.start("slapd", "-d", "0", "-h", "ldap://127.0.0.1:389", "-f", conf, port=389)
    run.capture()
    starttls(run, "ldap", 389, "-no_ign_eof", text="")


@recipe
def starttls_xmpp_prosody(run):
    chain, key, _ = run.certificates()
    conf = run.file("prosody.lua", f"""
        run_as_root = true
        pidfile = "{run.folder}/prosody.pid"
        data_path = "{run.folder}"
        log = {{ error = "{run.folder}/prosody.log" }}
        modules_enabled = {{ "tls"; "saslauth"; "roster" }}
        c2s_require_encryption = true
        c2s_interfaces = {{ "127.0.0.1" }}
        ssl = {{ certificate = "{chain}"; key = "{key}" }}
        VirtualHost "tools.example"
    """)
    run.start("prosody", "--config", conf, "-F", port=5222)
    run.capture()
    starttls(run, "xmpp", 5222, "-xmpphost", "tools.example", text="</stream:stream>")


@recipe
def socks5_microsocks(run):
    nginx(run)
    run.start("microsocks", "-i", "127.0.0.1", "-p", "1080", port=1080)
    run.capture()
    run.curl("--socks5", "127.0.0.1:1080", "http://tools.example/data.json")
    run.curl("--socks5-hostname", "127.0.0.1:1080", "--http1.1", "https://localhost/data.json")


@recipe
def socks5_password_microsocks(run):
    nginx(run)
    run.start("microsocks", "-i", "127.0.0.1", "-p", "1080", "-u", "agent", "-P", "pencil", port=1080)
    run.capture()
    run.curl("--proxy", "socks5h://agent:pencil@127.0.0.1:1080", "http://127.0.0.1/data.json")


@recipe
def socks4_ssh(run):
    nginx(run)
    run.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(run.folder / "host"))
    run.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(run.folder / "user"))
    os.makedirs("/run/sshd", exist_ok=True)
    conf = run.file("sshd.conf", f"""
        Port 2222
        ListenAddress 127.0.0.1
        HostKey {run.folder}/host
        AuthorizedKeysFile {run.folder}/user.pub
        PidFile {run.folder}/sshd.pid
        StrictModes no
        UsePAM no
        PermitRootLogin yes
    """)
    run.start("/usr/sbin/sshd", "-D", "-e", "-f", conf, port=2222)
    run.start("ssh", "-N", "-D", "127.0.0.1:1080", "-p", "2222", "-i", str(run.folder / "user"), "-o",
              "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", port=1080)
    run.capture()
    run.curl("--socks4", "127.0.0.1:1080", "http://127.0.0.1/data.json")
    run.curl("--socks4a", "127.0.0.1:1080", "--http1.1", "https://localhost/data.json")


# Agents

@recipe
def mcp_streamable_http(run):
    run.start(run.python, run.file("server.py", """
        from mcp.server.mcpserver import MCPServer
        server = MCPServer("corpus")
        @server.tool()
        def lookup(city: str, api_key: str) -> str:
            "Looks a city up"
            return f"{city} has nine million inhabitants"
        server.run(transport="streamable-http", host="127.0.0.1", port=8000)
    """), port=8000)
    run.capture()
    python_client(run, """
        import asyncio
        from mcp import Client
        async def main():
            async with Client("http://127.0.0.1:8000/mcp") as client:
                await client.list_tools()
                await client.call_tool("lookup", {"city": "Seoul", "api_key": "sk-corpus-4"})
        asyncio.run(main())
    """)


@recipe
def mcp_event_stream(run):
    # The SDK's first major version answers with server-sent events. It needs an interpreter of its own (README.md).
    run.start(run.python, run.file("server.py", """
        from mcp.server.fastmcp import FastMCP
        server = FastMCP("corpus", host="127.0.0.1", port=8000)
        @server.tool()
        def lookup(city: str, api_key: str) -> str:
            "Looks a city up"
            return f"{city} has nine million inhabitants"
        server.run(transport="streamable-http")
    """), port=8000)
    run.capture()
    python_client(run, """
        import asyncio
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client
        async def main():
            async with streamablehttp_client("http://127.0.0.1:8000/mcp") as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    await session.list_tools()
                    await session.call_tool("lookup", {"city": "Seoul", "api_key": "sk-corpus-4"})
        asyncio.run(main())
    """)



# HTTP/3

HTTP3 = """
    import asyncio, gzip, json, ssl, sys
    from aioquic.asyncio import QuicConnectionProtocol, connect, serve
    from aioquic.h3.connection import H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.events import ProtocolNegotiated
    TEXT = b"A line that repeats itself and so compresses well.\\n"
    class Side(QuicConnectionProtocol):
        def quic_event_received(self, event):
            if isinstance(event, ProtocolNegotiated):
                self.http, self.got, self.waiting = H3Connection(self._quic), {}, {}
            for found in self.http.handle_event(event) if hasattr(self, "http") else []:
                if not isinstance(found, (DataReceived, HeadersReceived)):
                    continue
                head, body = self.got.setdefault(found.stream_id, ({}, bytearray()))
                if isinstance(found, DataReceived):
                    body += found.data
                elif not head:
                    head.update(found.headers)
                if found.stream_ended and found.stream_id in self.waiting:
                    self.waiting.pop(found.stream_id).set_result((head, bytes(body)))
                elif found.stream_ended and not self._quic.configuration.is_client:
                    asyncio.ensure_future(self.answer(found.stream_id, head, bytes(body)))
        async def answer(self, stream, head, body):
            path, status, kind, more, parts = head[b":path"], b"200", b"application/json", [], []
            if path == b"/lookup":
                asked = json.loads(body)
                parts = [json.dumps({"answer": asked["arguments"]["city"] + " has nine million inhabitants"}).encode()]
            elif path == b"/packed":
                more, parts = [(b"content-encoding", b"gzip")], [gzip.compress(json.dumps({"text": "packed " * 200}).encode())]
            elif path == b"/events":
                kind, parts = b"text/event-stream", [b'data: {"part": %d}\\n\\n' % n for n in range(3)]
            elif path == b"/long":
                kind, parts = b"text/plain", [TEXT * 100, TEXT * 100]
            elif path == b"/nothing":
                status = b"204"
            elif path != b"/form":
                status, parts = b"404", [b'{"error": "no such tool"}']
            else:
                parts = [b'{"stored": true}']
            head = [(b":status", status), (b"server", b"corpus"), (b"content-type", kind),
                    (b"set-cookie", b"session=corpus-8; Secure"), *more]
            if path == b"/events":
                self.http.send_headers(stream, [(b":status", b"103"), (b"link", b"</style.css>; rel=preload")])
            self.http.send_headers(stream, head, end_stream=not parts)
            for n, part in enumerate(parts, 1):
                self.http.send_data(stream, part, end_stream=n == len(parts) and path != b"/lookup")
                self.transmit()
                await asyncio.sleep(0.01)
            if path == b"/lookup":
                self.http.send_headers(stream, [(b"x-checked", b"yes")], end_stream=True)
            self.transmit()
        async def ask(self, method, path, body=b"", kind=b"application/json"):
            stream = self._quic.get_next_available_stream_id()
            head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"tools.example"), (b":path", path),
                    (b"user-agent", b"corpus"), (b"authorization", b"Bearer corpus-6"), (b"cookie", b"visit=corpus-7")]
            head += [(b"content-type", kind), (b"content-length", b"%d" % len(body))] if body else []
            self.http.send_headers(stream, head, end_stream=not body)
            if body:
                self.http.send_data(stream, body, end_stream=True)
            self.waiting[stream] = asyncio.get_running_loop().create_future()
            self.transmit()
            return await self.waiting[stream]
    async def main():
        if "serve" in sys.argv:
            configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
            configuration.load_cert_chain("chain.pem", "leaf.key")
            await serve("127.0.0.1", 443, configuration=configuration, create_protocol=Side)
            return await asyncio.Event().wait()
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="tools.example")
        configuration.load_verify_locations("ca.pem")
        configuration.secrets_log_file = open("keys", "a")
        async with connect("127.0.0.1", 443, configuration=configuration, create_protocol=Side) as client:
            await REQUESTS
    asyncio.run(main())
"""


def http3(run, requests):
    run.certificates()
    script = run.file("http3.py", HTTP3.replace("REQUESTS", requests))
    run.start(run.python, script, "serve", port=443, udp=True)
    run.capture()
    run.run(run.python, script)


@recipe
def http3_requests(run):
    # One after the other: a tool call, a form, an answer in a coding, one with events, no body, no such page.
    http3(run, """client.ask(b"POST", b"/lookup", b'{"tool":"lookup","arguments":{"city":"Seoul","api_key":"sk-corpus-6"}}')
            await client.ask(b"POST", b"/form", b"user=agent&password=pencil", b"application/x-www-form-urlencoded")
            for path in (b"/packed", b"/events", b"/nothing", b"/missing"):
                await client.ask(b"GET", path)""")


@recipe
def http3_at_once(run):
    # Twenty requests at a time, whose heads refer to each other through the dynamic table, and an answer of many packets.
    http3(run, """asyncio.gather(*(client.ask(b"POST", b"/lookup", json.dumps(
                {"tool": "lookup", "arguments": {"city": "Seoul", "depth": n}}).encode()) for n in range(20)),
                client.ask(b"GET", b"/long"))""")


GRPC = """
    import sys, grpc
    from concurrent import futures
    text = lambda data: data.decode()
    class Service(grpc.GenericRpcHandler):
        def service(self, details):
            if details.method.endswith("/Stream"):
                return grpc.unary_stream_rpc_method_handler(lambda r, c: (b"part %d of " % n + r for n in range(4)))
            if details.method.endswith("/Fail"):
                return grpc.unary_unary_rpc_method_handler(lambda r, c: c.abort(grpc.StatusCode.NOT_FOUND, "no such tool"))
            return grpc.unary_unary_rpc_method_handler(lambda r, c: b"answer to " + r)
    tls = "tls" in sys.argv
    if "serve" in sys.argv:
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Service()])
        if tls:
            pair = (open("leaf.key", "rb").read(), open("chain.pem", "rb").read())
            server.add_secure_port("127.0.0.1:443", grpc.ssl_server_credentials([pair]))
        else:
            server.add_insecure_port("127.0.0.1:50051")
        server.start()
        server.wait_for_termination()
    channel = grpc.insecure_channel("127.0.0.1:50051")
    if tls:
        channel = grpc.secure_channel("localhost:443", grpc.ssl_channel_credentials(open("ca.pem", "rb").read()))
    for name in ("Lookup", "Stream", "Fail"):
        call = (channel.unary_stream if name == "Stream" else channel.unary_unary)("/corpus.Tools/" + name)
        try:
            answer = call(b"a request of " + name.encode(), metadata=[("authorization", "Bearer corpus-5")])
            list(answer) if name == "Stream" else answer
        except grpc.RpcError as error:
            assert name == "Fail", error
    channel.close()
"""


@recipe
def grpc(run):
    path = run.file("rpc.py", GRPC)
    run.start(run.python, path, "serve", port=50051)
    run.capture()
    run.run(run.python, path)


@recipe
def grpc_tls13(run):
    run.certificates("ec")
    path = run.file("rpc.py", GRPC)
    run.start(run.python, path, "serve", "tls", port=443)
    run.capture()
    run.run(run.python, path, "tls")


# Names

@recipe
def dns_dnsmasq(run):
    run.start("dnsmasq", "-d", "-p", "53", "-C", "/dev/null", "-R", "-h", "--user=root", "--listen-address=127.0.0.1",
              "--address=/tools.example/192.0.2.7", "--txt-record=note.example,a text of a record",
              "--cname=alias.example,tools.example", "--mx-host=mail.example,tools.example", port=53)
    run.capture()
    for question in (["tools.example"], ["tools.example", "AAAA"], ["note.example", "TXT"], ["mail.example", "MX"],
                     ["alias.example"], ["missing.invalid"], ["+tcp", "tools.example"], ["-x", "192.0.2.7"]):
        run.run("dig", "@127.0.0.1", "+tries=1", "+time=2", *question, check=False)


@recipe
def dns_and_http(run):
    run.start("dnsmasq", "-d", "-p", "53", "-C", "/dev/null", "-R", "-h", "--user=root", "--listen-address=127.0.0.1",
              "--address=/tools.example/127.0.0.1", port=53)
    nginx(run)
    run.capture()
    run.run("dig", "@127.0.0.1", "tools.example")
    run.curl("http://tools.example/data.json")


def inside(arguments):
    """Records one capture; runs in a namespace of its own."""
    name = arguments.inside
    subprocess.run("ip link set lo mtu 1500 up; ip link set lo gso_max_segs 1", shell=True, check=False,
                   stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        run = Run(pathlib.Path(folder), arguments.python, arguments.node_modules, arguments.identities)
        try:
            RECIPES[name](run)
            run.end(arguments.out / f"{name}.pcapng")
        finally:
            run.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the captures to record; without any, those that are missing")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the packages from PyPI")
    parser.add_argument("--node-modules", default="", help="a folder with the packages from npm")
    parser.add_argument("--out", type=pathlib.Path, default=FOLDER / "captures", help="where the captures go")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--identities", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(exist_ok=True)
    if arguments.inside:
        return inside(arguments)
    failed = []
    identities = tempfile.mkdtemp(prefix="corpus-")
    missing = [name for name in RECIPES if not (arguments.out / f"{name}.pcapng").is_file()]
    for name in arguments.names or missing:
        command = ["unshare", "-n", sys.executable, __file__, "--inside", name, "--python", arguments.python,
                   "--node-modules", arguments.node_modules, "--out", str(arguments.out), "--identities", identities]
        done = subprocess.run(command, capture_output=True, check=False)
        print(f"{name}: {'ok' if done.returncode == 0 else done.stderr.decode().strip()[-600:]}", flush=True)
        failed += [name] if done.returncode else []
    shutil.rmtree(identities)
    sys.exit(f"not recorded: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
