// English.

const plural = (count, one, many) => `${count} ${String(count) === "1" ? one : many}`;
const thousands = (value) => typeof value === "number" ? value.toLocaleString("en") : value;

export const texts = {
  skip: "Skip to the content", views: "Views", language: "Language", theme: "Theme",
  themes: { system: "system", light: "light", dark: "dark" },
  view: { conversation: "Conversation", experiment: "Experiment", sandboxes: "Sandboxes", captures: "Captures" },

  // Conversation
  over: "Send over", both: "both", user: "user", conversation: "conversation", isNew: "new", newConversation: "+ new",
  whatWasSaid: "What was said", whatCrossed: "What crossed the wire", typeAMessage: "type a message", send: "Send", streamTheAnswer: "stream the answer", you: "you", box: "sandbox", delete: "Delete",
  readableByAnyone: "readable by anyone on the wire", ofStrings: (total) => `of ${total} strings`, exposed: "exposed", noneReadable: "none readable",
  readableOf: (some, all) => `${some} of ${all} readable`,
  withKeysCount: (some, all) => `with the key log ${some} of ${all}`,
  withThe: "with the", withKeys: "Read it with the key log",
  stillVisible: "Still visible:", serverName: "server name", times: "time", sizes: "size",
  nothingSent: "Nothing has been sent yet.", wireUnavailable: "The packets of this exchange are not available.",
  talkEmpty: "Nothing has been said yet.", newMessages: "new messages ↓", newRows: (count) => `${count} new ↓`,
  emptyTitle: "Here you see what crosses the wire",
  emptyText: "Type a message on the left, or send the first call of the lab. Each packet between this page's server and the gateway becomes a row. Open one: every byte of it can be clicked. Over HTTP your words are in there for anyone to read. Over HTTPS they are not.",
  sendCall: "Send the lab's call-0001", emptyKeys: "Keys: / for the message box, arrows in the packet list, Enter opens, Escape goes back.",
  waitingFor: (server) => `waiting for ${server}`, failed: "failed",
  answered: (some, all) => `Answered. ${some} of ${all} strings are readable by anyone.`,
  alsoSent: (count) => plural(count, "more string", "more strings"),
  kinds: { list: "The list of conversations was read", read: "A conversation was read", delete: "A conversation was deleted" },
  itRan: (ms) => `ran ${ms} ms`, noNetwork: "no network", leftIt: (frames) => `${plural(frames, "frame", "frames")} left it`,
  crossesToo: "This list crosses the wire too.", noConversations: "There is no conversation yet.", turns: (count) => plural(count, "turn", "turns"), older: "Older",

  // Packets and frames
  columns: { frame: "#", ms: "ms", who: "way", bytes: "bytes", what: "what" },
  phases: { connection: "Connection", request: "Request", answer: "Answer" },
  directions: { out: "to the server", in: "to the client" },
  nothingHere: "no packet", goesOn: "continues", noPayload: "no payload", marks: (count) => plural(count, "string", "strings"),
  bytes: (count) => plural(thousands(count), "byte", "bytes"), packets: (count) => plural(thousands(count), "packet", "packets"),
  frame: "Frame", frameDetails: "The chosen frame", bytesOf: (frame) => `Bytes of frame ${frame}`, plaintextOf: (frame) => `Plaintext in frame ${frame}`,
  beforeEncryption: "Before encryption", allFields: (count) => `All ${count} fields`, copy: "copy", copied: "copied", close: "Close",
  byteAt: (byte, at, field, value) => `${byte}, byte ${at}, ${field} ${value}`,
  readingFrame: "Reading the frame.", clickAByte: "Click a byte to see which field of which layer it is.", hexKeys: "Keys: arrows move by bytes and rows, [ and ] by fields.",
  beginsBefore: "It begins in an earlier frame.", goesOnLater: "It goes on in a later frame.",
  sealedHere: "Ciphertext: it cannot be read without the keys.", alsoIn: "Places:",
  position: (at, field, file) => `Byte ${at}${field ? `, field of ${plural(field.length, "byte", "bytes")} from ${field.offset}` : ""}${file == null ? "" : `, file offset ${thousands(file)}`}`,
  levels: { verbatim: "verbatim", reassembled: "reassembled", decoded: "decoded", decrypted: "decrypted", absent: "absent" },
  waitingForPackets: "Waiting for the first packet of this exchange.",
  more: (count) => `show more (${thousands(count)})`,

  // Results
  verdicts: { exposed: "exposed", sealed: "sealed", inconclusive: "inconclusive", isolated: "isolated", leaked: "leaked", proven: "proven", refuted: "refuted" },
  conclusions: { proven: "Proven: over HTTP the JSON is in plain sight, over TLS none of it is", refuted: "Refuted: a capture shows the opposite of what was expected", inconclusive: "Inconclusive: nothing is proven", "not proven": "Not proven" },
  isolationVerdicts: { isolated: "Isolated: nothing from any sandbox reached a network interface or another user", leaked: "Leaked: something left a sandbox", inconclusive: "Inconclusive: this run does not prove that nothing left the sandboxes" },
  leftTheSandboxes: (frames, canaries, secrets) => `From sandboxes without network: ${plural(frames, "frame", "frames")}, ${plural(canaries, "canary", "canaries")} in the captures, ${plural(secrets, "secret", "secrets")} of other users.`,
  notApplicable: "not applicable", passed: "passed", notPassed: "failed", doubts: "Doubts", controls: "Controls", control: "Control", found: "Found", result: "Result",
  frames: (count) => plural(thousands(count), "frame", "frames"), framesHead: "Frames", timesAndSizes: "times and sizes",
  scopeIs: (inside, connections, frames) => `the verdict is about ${plural(inside, "connection", "connections")}. Outside of it: ${plural(connections, "connection", "connections")} and ${plural(frames, "other frame", "other frames")}, which were searched too.`,
  outsideDoubts: "Doubts about what is outside of the scope", openAgain: "Open again", fragments: "Readable parts", longest: "Longest part", sources: { message: "part of a message", string: "part of a string", secret: "secret of the key log" },
  attempt: "Attempt", target: "Target", outcome: "Outcome", seen: "Seen", notSeen: "not seen", seenAt: (where) => `seen on ${where}`,
  refusals: "In sandboxes without network: each attempt and its refusal", controlSeen: "Control: the same attempts with a network", byKind: "By kind, without a network and with one",
  triedInBox: "Tried in a sandbox", triedWithNetwork: "Tried with a network", interfaces: "Interfaces that packets could have crossed", phase: "Phase", interface: "Interface", ofBoxes: "Of sandboxes",
  phasesOfRun: { isolated: "without network", control: "control, with a network" },
  level: "Level", string: "String", strings: "Strings", noStrings: "What was sent is unknown, so there is no verdict. What anyone can read is listed below.", stringsReadable: "strings of JSON are readable by anyone on the wire", path: "Path", offset: "File offset", hidden: "hidden", stringsShown: (some, all) => `${thousands(some)} of ${plural(thousands(all), "string", "strings")}`,

  // Experiment
  experimentLead: "Two agents exchange the same JSON messages, once over HTTP and once over HTTPS, while every packet is recorded. The analyzer then searches the packets for every string that they sent.",
  experiments: { lab: "HTTP and HTTPS", isolation: "Isolation of sandboxes" }, calls: "calls", run: "Run", cancel: "Cancel",
  experimentEmpty: "Press Run. Messages appear here as they cross the wire, then the verdicts with their controls, and the report.",
  runStates: { running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" }, report: "Report", messagesAsTheyComplete: "Messages, the newest first", whoReads: "Who reads it", needsKeys: "only with the key log", anyone: "anyone", log: "Log",

  // Sandboxes
  sandboxLead: "The gateway runs each request in a sandbox of its own, without network. Here is what the last ones were allowed, and what left them.",
  noBoxes: (user) => `No request of ${user} has run yet. Send a message in Conversation: its sandbox appears here.`, boxesOf: (user) => `Sandboxes of ${user}`,
  started: "Started", ranFor: "Ran for", end: "End", network: "Network", limits: "Limits in force", output: "Output", limitNames: {
    memory_bytes: "memory", memory_and_swap_bytes: "memory and swap", processes: "processes", cpus: "CPUs", file_bytes: "size of a file", open_files_per_process: "open files of a process", cpu_seconds_per_process: "CPU time of a process",
    core_bytes: "core dump", scratch_bytes: "scratch space", scratch_files: "files in it", root: "root", capabilities: "capabilities", no_new_privs: "no new privileges", seccomp: "seccomp", network: "network", wall_ms: "run time", output_bytes: "output",
  }, moreLimits: (count) => `${count} limits`, framesLeft: "Frames that left", none: "none",
  tryEveryWayOut: "Try every way out", doesAnythingGetOut: "Does anything get out?", attemptLead: "Programs in sandboxes try DNS, TCP, UDP, IPv6, raw packets, another user's sandbox and another user's data, while every interface is captured. Then they try the same with a network: the captures must show it.",

  // Captures
  dropHere: "Drop a capture here", dropWhat: "pcap or pcapng, also gz or zst; beside it, if you like, a key log, strings, JSON or journals", chooseFiles: "Choose files", staysHere: "The files stay on this machine.",
  fileKinds: { capture: "capture", keys: "key log", strings: "strings, one a line", json: "JSON that was sent", journal: "journal" }, kindOf: (name) => `What ${name} is`, open: "Open",
  scope: "Scope", scopeHelp: "ADDRESS:PORT or *:PORT, or all; empty: the servers to which the strings went", showSecrets: "Show values that look like secrets", sending: "Sending",
  noCapture: "None of these files is a capture.", noCaptureRemedy: "Choose a pcap or pcapng file as well.", openedCaptures: "Captures", file: "File", size: "Size", state: "State", all: "all",
  noVerdict: "no verdict", captureStates: { closed: "not opened", uploaded: "not opened", reading: "reading", done: "opened", failed: "failed" },
  packetList: "Packets", onlyStream: (stream) => `only stream ${stream}`, showAll: "show all", onlyThis: "only its packets", follow: "follow", followStream: (stream) => `Stream ${stream}`,
  connections: (count) => plural(thousands(count), "connection", "connections"), client: "Client", server: "Server", messages: (count) => plural(thousands(count), "message", "messages"), type: "Type",
  ended: { fin: "FIN", rst: "RST", open: "still open" },

  // Errors
  capture: "Capture", down: (what) => `${what} is down.`,
  failures: { unreachable: "The page's server does not answer.", cancelled: "Cancelled." },
  remedies: {
    capture: "Choose a file that tcpdump, dumpcap or Wireshark wrote: pcap or pcapng, also compressed with gzip or zstd.", unreachable: "Start it again with make demo. The page goes on by itself once the server is back." },

  terms: {
    frame: ["Frame", "One packet as it crosses the network, with all its headers. Frames count from 1, as in Wireshark."],
    "key log": ["key log", "The session secrets that the client of this lab writes down. Whoever has them can decrypt its TLS. An eavesdropper does not have them."],
    TLS: ["TLS", "The protocol that encrypts and authenticates a connection. HTTPS is HTTP inside TLS."],
    SNI: ["Server name (SNI)", "The client names the server before encryption begins, so that the server can choose its certificate. Anyone on the wire can read it."],
    SYN: ["SYN", "The first packet of a TCP connection: the client asks for one, the server answers with SYN, ACK."],
    "SYN, ACK": ["SYN, ACK", "The server agrees to the TCP connection."],
    ACK: ["ACK", "A TCP packet that confirms what has arrived."],
    "FIN, ACK": ["FIN, ACK", "This side has sent everything and closes the TCP connection."],
    RST: ["RST", "This side ends the TCP connection at once."],
    ClientHello: ["ClientHello", "The first message of TLS, in the clear: server name, versions and algorithms that the client offers, and its share of the key exchange."],
    ServerHello: ["ServerHello", "The server's choice of version and algorithm, and its share of the key exchange. After it, TLS 1.3 encrypts everything."],
    ChangeCipherSpec: ["ChangeCipherSpec", "A record that TLS 1.3 sends only so that old middleboxes see what they expect."],
    "Application Data": ["Application Data", "A TLS record with ciphertext. Its length is visible, its contents are not."],
    plaintext: ["Plaintext", "What the bytes were before encryption. Only the keys bring it back."],
    verbatim: ["verbatim", "An eavesdropper has to do nothing: the string is in one frame, and grep finds it."],
    reassembled: ["reassembled", "An eavesdropper has to join TCP segments."],
    decoded: ["decoded", "An eavesdropper has to undo an encoding that needs no secret: JSON escapes, chunks, gzip, base64, …"],
    decrypted: ["decrypted", "Reading it takes the key log."],
    positive: ["positive control", "The same search finds every string in this very capture, inside TLS with the key log. So it would have found them without the key log as well, had they been there."],
    decoys: ["decoys", "Values of the same form that were never sent are found nowhere."],
    wrongKey: ["wrong keys", "No record can be decrypted with wrong keys."],
    planted: ["planted strings", "Strings that are planted in copies of the capture's own frames, in every form, are all found without keys."],
    coverage: ["coverage", "Every captured byte was searched."],
    whole: ["completeness", "The capture has every message of the journals, byte for byte, and every stream is whole."],
    exposed: ["exposed", "An eavesdropper can read at least one string, or a part of a message, without a secret."],
    sealed: ["sealed", "Nothing that was sent can be read without a secret, and the controls show that the search would have found it."],
    inconclusive: ["inconclusive", "The capture proves neither. Each doubt says why."],
    isolated: ["isolated", "Nothing from a sandbox without network is in a capture, and with a network each kind of attempt is."],
    leaked: ["leaked", "Something left a sandbox, or one user got what belongs to another."],
    scope: ["scope", "The connections that the verdict is about. Other traffic in the file is searched, but does not change the verdict."],
    dns: ["dns", "Asks a name server: a question can carry data out."], tcp: ["tcp", "Opens a TCP connection to another machine."], udp: ["udp", "Sends a UDP packet to another machine."], ipv6: ["ipv6", "Sends over IPv6, which filters for IPv4 miss."],
    raw: ["raw", "Sends IP packets that the program writes itself, past TCP and UDP."], neighbour: ["neighbour", "Connects to another user's sandbox."], file: ["file", "Reads another user's data on the disk."],
    absent: ["absent", "The string was not found."],
  },
};
