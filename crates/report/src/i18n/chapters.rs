//! The sentences of the report.

use exposure_schema::{ExhibitFrame, Level, Summary, Traffic};

use super::{Lang, sentence_texts};
use crate::document::format::{self, percent};
use crate::document::line::{Inline, Line, captured, code, line, section, strong};

sentence_texts! {
    // The result in a few lines, at the top and in the conclusion.
    proven_summary(plain: &str, sealed: &str, is_all: bool):
        line!["Over plain HTTP an eavesdropper can read ", if is_all { "all strings" } else { "some of the strings" },
            " of the agents' messages; over TLS, none. In the capture ", captured(plain),
            ", the search finds the strings without any secret. In ", captured(sealed),
            ", the same search finds them only with the key log."],
        line!["평문 HTTP에서는 네트워크를 엿보는 누구나 에이전트의 메시지에서 문자열을 ", if is_all { "모두" } else { "일부" },
            " 읽을 수 있지만, TLS에서는 하나도 읽을 수 없다. ", captured(plain), " 캡처에서는 키 없이도 검색으로 문자열을 찾을 수 있다. ",
            captured(sealed), " 캡처에서는 같은 검색이 키 로그가 있을 때만 문자열을 찾으며, 키 로그 없이는 하나도 찾지 못한다."];
    refuted_summary():
        line!["The experiment shows ", strong("the opposite of what was expected"),
            ". The claim that this lab sets out to prove does not hold for this run; the reasons are listed below, each with its capture."],
        line!["이 실험의 결과는 ", strong("예상과 정반대"), "이다. 증명하려던 명제는 이 실행에서 성립하지 않는다. 이유는 아래에 캡처별로 적는다."];
    inconclusive_summary():
        line!["This run ", strong("proves nothing"), " about whether TLS hides the messages. ",
            "Something is missing or in doubt, so “not found” must not be read as “not visible”. Every reason is listed below."],
        line!["이 실행은 TLS가 메시지를 감추는지 ", strong("증명하지 못한다"),
            ". 빠졌거나 의심스러운 점이 있으므로 “찾지 못했다”를 “보이지 않는다”로 읽어서는 안 된다. 모든 이유를 아래에 적는다."];
    no_comparison_summary():
        line!["There is no pair of a plaintext and a TLS capture to compare, so this report draws no conclusion. It describes what each capture shows."],
        line!["비교할 평문 캡처와 TLS 캡처의 쌍이 없으므로 결론을 내리지 않는다. 이 보고서는 캡처마다 무엇이 보이는지만 적는다."];
    capture_result(name: &str, verdict: Line, summary: &Summary, proof: Option<Line>):
        line![captured(name), ": ", verdict, ". ", format::count(summary.keyless()), " of ", summary.total,
            " strings are readable without any secret, ", format::count(summary.decrypted), " only with the key log",
            proof.map(|proof| line![" (first proof: ", proof, ")"]), "."],
        line![captured(name), ": ", verdict, ". 문자열 ", summary.total, "개 중 ", format::count(summary.keyless()),
            "개는 키 없이도 읽을 수 있고, ", format::count(summary.decrypted), "개는 키 로그가 있어야 읽을 수 있다",
            proof.map(|proof| line!["(첫 증거: ", proof, ")"]), "."];
    fragments_result(name: &str, messages: u64, longest: u64, secrets: u64):
        line![captured(name), ": parts that can be read without any secret: ", format::count(messages),
            " messages or strings, the longest part ", format::count(longest), " bytes; ", format::count(secrets), " secrets of the key log."],
        line![captured(name), ": 키 없이 읽을 수 있는 조각이 있다. 메시지나 문자열 ", format::count(messages), "개(가장 긴 조각은 ",
            format::count(longest), "바이트), 키 로그의 비밀 값 ", format::count(secrets), "개이다."];
    words_in_handshake_result(name: &str, words: u64, word: &str):
        line![captured(name), ": ", format::count(words), " strings or keys of the messages are in server names, protocols or certificates that the TLS handshake shows; first: ", captured(word), "."],
        line![captured(name), ": TLS 핸드셰이크에 드러나는 서버 이름·프로토콜·인증서에 메시지의 문자열이나 키 ", format::count(words), "개가 들어 있다. 처음 것은 ", captured(word), "이다."];
    beside_frames_result(name: &str, found: u64):
        line![captured(name), ": ", format::count(found), " strings, messages or secrets are in comments or other blocks of the capture file. They were not on the wire, so they are no leak."],
        line![captured(name), ": 캡처 파일의 주석 등 프레임이 아닌 블록에 문자열·메시지·비밀 값 ", format::count(found), "개가 들어 있다. 네트워크로 전송된 것이 아니므로 유출은 아니다."];
    captures_left_out(shown: u64, all: u64):
        line!["This report covers the first ", shown, " of ", all, " captures; the conclusion is drawn from all of them."],
        line!["이 보고서는 캡처 ", all, "개 중 처음 ", shown, "개만 다루며, 결론은 모든 캡처에서 내린 것이다."];
    capture_unjudged(name: &str):
        line![captured(name), ": no verdict. Without a journal the messages that were sent are unknown, so this report lists only what is readable."],
        line![captured(name), ": 판정 없음. 저널이 없어 어떤 메시지를 보냈는지 알 수 없으므로 읽을 수 있는 문자열만 나열한다."];
    reasons_follow():
        line!["The analyzer's reasons:"],
        line!["분석기가 출력한 이유(원문):"];
    reasons_of(name: &str):
        line!["Doubts about ", captured(name), ":"],
        line![captured(name), " 캡처에 대한 의심(원문):"];
    compared(plaintext: &str, tls: &str):
        line!["The conclusion compares ", captured(plaintext), " with ", captured(tls), ": the agents sent the same messages in both."],
        line!["결론은 ", captured(plaintext), " 캡처와 ", captured(tls), " 캡처를 비교한 것이다. 두 실행에서 에이전트가 보낸 메시지는 같다."];
    not_compared_follow():
        line!["Captures that the conclusion is not about:"],
        line!["결론에 포함되지 않은 캡처:"];
    errors_follow():
        line!["Inputs that could not be analyzed:"],
        line!["분석하지 못한 입력:"];

    // 1. Aim
    aim_question():
        line!["Two programs exchange JSON messages: ", code("agent-a"), " calls the tools of ", code("agent-b"),
            ". This lab answers one question with proof: ",
            strong("what can an eavesdropper on the network read of their messages?"),
            " The same two agents exchange the same messages once over HTTP and once over HTTPS. The lab records every packet, and the analyzer searches the packets for each string of each message."],
        line!["두 프로그램이 JSON 메시지를 주고받는다. ", code("agent-a"), "가 ", code("agent-b"), "의 도구를 호출한다. 이 실습은 한 가지 물음에 증거로 답한다. ",
            strong("네트워크를 엿보는 사람은 이 메시지에서 무엇을 읽을 수 있는가?"),
            " 같은 두 에이전트가 같은 메시지를 한 번은 HTTP로, 한 번은 HTTPS로 주고받는다. 모든 패킷을 기록하고, 메시지에 담긴 문자열 하나하나를 패킷에서 찾는다."];
    aim_expected():
        line!["The expected result: over HTTP every string is readable as plain text; over TLS there is only ciphertext, and no string can be read without the keys. “Not found” does not by itself mean “not visible”: controls must show that the search would have found the strings (", section("controls"), ")."],
        line!["예상은 다음과 같다. HTTP에서는 모든 문자열이 평문으로 보이고, TLS에서는 암호문만 보여 키 없이는 어떤 문자열도 읽을 수 없다. “찾지 못했다”가 곧 “보이지 않는다”는 아니다. 그 검색이 문자열을 찾아낼 수 있었다는 것을 대조 검사로 보여야 한다(", section("controls"), ")."];
    aim_also():
        line!["The report also lists what TLS still shows (", section("still-shown"), ") and what it costs (", section("costs"), ")."],
        line!["TLS가 감추지 못하는 것(", section("still-shown"), ")과 TLS의 비용(", section("costs"), ")도 함께 적는다."];

    // 2. Setup
    setup_text(backend: Option<&str>): match backend {
        Some("netns") => line!["The runs used the backend ", code("netns"), ": two network namespaces of their own, joined by a pair of virtual Ethernet interfaces. agent-a runs in one, agent-b in the other, and the capturer records agent-b's interface, which every frame passes. The kernel's own TCP sends real frames, and there is no other traffic."],
        Some("relay") => line!["The runs used the backend ", code("relay"), ": both agents use the loopback interface, with a recording TCP relay between them. The relay writes every byte to the capture before it forwards it. The bytes, their order and their times are those of the real connection; the relay builds the headers around them, as its manifest states."],
        Some("docker") => line!["The runs used the backend ", code("docker"), ": each agent runs in a container, and a separate network joins the two. The capturer runs in a third container that shares agent-b's network namespace, so it sees every frame on agent-b's interface."],
        _ => line!["The captures were not made by a backend of this lab, so nothing is known about the machines; the drawing shows what the packets reveal."],
    }, match backend {
        Some("netns") => line!["이 실행은 ", code("netns"), " 백엔드를 썼다. 새로 만든 네트워크 네임스페이스 두 개를 가상 이더넷 쌍으로 연결했다. agent-a와 agent-b는 서로 다른 네임스페이스에서 실행되고, 캡처 프로그램은 모든 프레임이 지나는 agent-b의 인터페이스를 기록한다. 커널의 TCP가 실제 프레임을 보내며 다른 트래픽은 없다."],
        Some("relay") => line!["이 실행은 ", code("relay"), " 백엔드를 썼다. 두 에이전트는 루프백 인터페이스를 쓰고, 그 사이의 TCP 중계기가 트래픽을 기록한다. 중계기는 모든 바이트를 캡처에 먼저 쓴 다음 전달한다. 바이트와 그 순서, 시각은 실제 연결의 것이다. 바이트를 감싸는 헤더는 중계기가 만들며, 매니페스트에도 그렇게 적혀 있다."],
        Some("docker") => line!["이 실행은 ", code("docker"), " 백엔드를 썼다. 두 에이전트는 각자의 컨테이너에서 실행되며 전용 네트워크로 연결된다. 캡처 프로그램은 세 번째 컨테이너에서 agent-b의 네트워크 네임스페이스를 함께 쓰므로, agent-b의 인터페이스를 지나는 모든 프레임을 본다."],
        _ => line!["이 캡처는 이 실습의 백엔드로 만든 것이 아니므로 어떤 컴퓨터에서 나왔는지 알 수 없다. 그림은 패킷에서 알 수 있는 것만 나타낸다."],
    };
    setup_table(): line!["The captures"], line!["캡처"];
    setup_caption(backend: Option<&str>): match backend {
        Some(backend) => line!["Setup of the runs, backend ", captured(backend)],
        None => line!["What the packets reveal of the setup"],
    }, match backend {
        Some(backend) => line!["실행 구성(백엔드 ", captured(backend), ")"],
        None => line!["패킷에서 알 수 있는 구성"],
    };

    // 3. Project layout
    layout_text():
        line!["The project is a Rust workspace. The agents and the observer share no code: what was sent reaches the observer as text, in journals, so that one mistake cannot hide in both halves."],
        line!["이 프로젝트는 Rust 워크스페이스이다. 에이전트와 관찰자는 코드를 전혀 공유하지 않는다. 보낸 메시지는 저널이라는 텍스트로만 관찰자에게 전해지므로, 같은 실수가 양쪽에 함께 숨을 수 없다."];
    layout_table(): line!["Parts of the project"], line!["프로젝트의 구성 요소"];

    // 4. Main pieces
    compose_text(is_docker: bool): if is_docker {
        line!["This file made the runs of this report. The lines that matter: where agent-b listens and writes its journal."]
    } else {
        line!["This file runs the same experiment in containers; the runs of this report were made without it (", section("setup"), "). The lines that matter: where agent-b listens and writes its journal."]
    }, if is_docker {
        line!["이 보고서의 실행은 이 파일로 했다. 중요한 줄은 agent-b가 수신 대기하는 주소와 저널을 쓰는 경로이다."]
    } else {
        line!["같은 실험을 컨테이너에서 실행하는 파일이며, 이 보고서의 실행에는 쓰지 않았다(", section("setup"), "). 중요한 줄은 agent-b가 수신 대기하는 주소와 저널을 쓰는 경로이다."]
    };
    compose_tls_text():
        line!["Over HTTPS the client trusts only the lab's own certificate authority, and writes the key log that the positive control needs:"],
        line!["HTTPS에서 클라이언트는 실습용 인증 기관만 신뢰하며, 양성 대조에 필요한 키 로그를 남긴다."];
    client_text():
        line!["The client posts a message and reads the whole answer. It writes the message to the journal before it hands it to the transport, so the network cannot carry a message that the journal lacks:"],
        line!["클라이언트는 메시지를 POST로 보내고 응답을 끝까지 읽는다. 메시지를 전송 계층에 넘기기 전에 저널에 적으므로, 저널에 없는 메시지가 네트워크로 나가는 일은 없다."];
    server_text():
        line!["The server has one route for tool calls and one for health checks. Each answer quotes the request and carries a fresh random canary of 128 bits, so a canary that is found was sent in this run and in no other:"],
        line!["서버의 경로는 도구 호출과 상태 확인 두 가지이다. 응답은 요청을 인용하고 새로 만든 128비트 난수(카나리아)를 담는다. 따라서 찾아낸 카나리아는 다른 실행이 아니라 바로 이 실행에서 보낸 것이다."];
    server_tls_text():
        line!["Plain and encrypted connections share one code path; TLS wraps the connection and changes nothing behind it:"],
        line!["평문 연결과 암호화된 연결은 같은 코드 경로를 지난다. TLS는 연결을 감쌀 뿐 그 뒤의 처리는 바꾸지 않는다."];
    excerpt_source(path: &str, line: u64):
        line![code(path), ", from line ", line],
        line![code(path), ", ", line, "행부터"];

    // 5. How it was run
    running_text(is_docker: bool): if is_docker {
        line!["These commands make, analyze and report such runs:"]
    } else {
        line![code("make lab"), " makes, analyzes and reports such runs. The commands after it do the same step by step:"]
    }, if is_docker {
        line!["다음 명령으로 이와 같은 실행을 만들고 분석하고 보고서를 쓴다."]
    } else {
        line![code("make lab"), " 하나로 이와 같은 실행을 만들고 분석하고 보고서를 쓴다. 그 아래 명령은 같은 일을 한 단계씩 한다."]
    };
    running_foreign():
        line!["The captures come from elsewhere; these commands analyze and report them:"],
        line!["다른 곳에서 가져온 캡처이다. 다음 명령으로 분석하고 보고서를 쓴다."];
    running_table(): line!["The runs, as their manifests state them"], line!["매니페스트에 적힌 실행 정보"];

    // 6.1
    logged_text(total: u64, strings: u64):
        line!["Each agent writes a journal: one line for each message that it sends or receives, with its exact bytes. Together the journals of the captures have ", total, " lines. The analyzer searches only for what the journals contain: ", strings, " strings and numbers."],
        line!["두 에이전트는 저널을 남긴다. 보내거나 받은 메시지마다 한 줄씩, 바이트까지 정확하게 적는다. 모든 캡처의 저널은 합해서 ", total, "행이다. 분석기는 저널에 있는 것만 검색하며, 그 대상은 문자열과 숫자 ", strings, "개이다."];

    calls_table():
        line!["The calls: bytes of the bodies, the frames in which request and answer begin, and how the request's body can be read"],
        line!["호출: 본문의 바이트 수, 요청과 응답이 시작되는 프레임, 요청 본문을 읽을 수 있는 단계"];
    frames_of(name: &str):
        line![captured(name), ": frames"],
        line![captured(name), ": 프레임"];
    message_level_in(name: &str):
        line![captured(name), ": request"],
        line![captured(name), ": 요청"];
    calls_shown(shown: u64, total: u64):
        line!["The table shows the first ", shown, " of ", total, " calls."],
        line!["표에는 호출 ", total, "개 중 처음 ", shown, "개를 실었다."];
    calls_status_note():
        line!["HTTP heads are read from the packets; in an encrypted capture this needs the key log."],
        line!["HTTP 헤더는 패킷에서 읽은 것이며, 암호화된 캡처에서는 키 로그가 필요하다."];

    // 6.2
    wire_text(id: &str, is_pair: bool):
        line!["The first message, ", captured(id), ", as it was captured", if is_pair { " over HTTP and over HTTPS" } else { "" }, ": both directions of the connection from its first byte to the end of the request, and what begins behind it in the clear. Marks show what the analyzer found there. Below ciphertext is what the same bytes are under the key log, which an eavesdropper does not have."],
        line!["첫 메시지(", captured(id), ")가 캡처된 모습이다. ", if is_pair { "HTTP와 HTTPS를 나란히 놓고, " } else { "" }, "연결의 첫 바이트부터 요청의 끝까지 양방향을 싣고, 평문이면 응답의 앞부분도 실었다. 표시한 곳은 분석기가 찾아낸 것이다. 암호문 아래에는 같은 바이트를 키 로그로 복호화한 것을 적었다. 네트워크를 엿보는 사람에게는 키 로그가 없다."];
    wire_none():
        line!["The captures contain no exchange with a message that a journal names."],
        line!["캡처에서 저널에 있는 메시지를 찾지 못했다."];
    stream_note(client: u64, server: u64):
        line!["To the end of the first answer the client sent ", client, " bytes and the server ", server, "."],
        line!["첫 응답이 끝날 때까지 클라이언트는 ", client, "바이트, 서버는 ", server, "바이트를 보냈다."];
    marks_table(name: &str):
        line!["Marks in ", captured(name), ": strings of the first request and of the part of the answer that is shown"],
        line![captured(name), " 캡처의 표시: 첫 요청의 문자열과 위에 실린 응답 부분의 문자열"];
    marks_shown(shown: u64, total: u64):
        line!["The table shows the first ", shown, " of ", total, " marks."],
        line!["표에는 표시 ", total, "곳 중 처음 ", shown, "곳을 실었다."];
    window_text():
        line!["The same connections as Wireshark lists them. This report drew the windows from the captures; they are no screenshots."],
        line!["같은 연결을 Wireshark의 화면처럼 배열한 것이다. 이 보고서가 캡처로부터 그린 그림이며 스크린샷이 아니다."];
    window_caption(name: &str, proof: Option<u64>):
        line!["Packet list and followed stream of ", captured(name), ", drawn after Wireshark", proof.map(|frame| line!["; outlined: frame ", frame, ", the first proof"])],
        line![captured(name), "의 패킷 목록과 스트림 내용(Wireshark를 본떠 그림", proof.map(|frame| line![", 테두리: 첫 증거인 프레임 ", frame]), ")"];
    hex_text():
        line!["The frame that proves the first string, byte by byte as in the capture file. Headers are grey. The bytes that carry the string are marked: over HTTP the string itself, over TLS the ciphertext in its place."],
        line!["첫 문자열의 증거가 되는 프레임을 캡처 파일에 담긴 그대로 바이트 단위로 실었다. 회색은 헤더이고, 표시한 바이트가 문자열이 있는 곳이다. HTTP에서는 문자열 자체가, TLS에서는 그 자리의 암호문이 표시된다."];
    hex_title(frame: Inline, held: &ExhibitFrame):
        line![frame, ", file offset ", held.file_offset, ": ", captured(&held.path),
            held.message_id.as_deref().map(|id| line![" of ", captured(id)]), ", ", level_badge(Lang::En, held.level),
            ", ", held.length, " bytes from offset ", held.offset, " of the frame"],
        line![frame, ", 파일 오프셋 ", held.file_offset, ": ",
            held.message_id.as_deref().map(|id| line![captured(id), "의 "]), captured(&held.path), ", ",
            level_badge(Lang::Ko, held.level), ", 프레임 오프셋 ", held.offset, "부터 ", held.length, "바이트"];
    levels_text():
        line!["Every string and number of the messages has a level: what an eavesdropper must do to read it, cheapest first."],
        line!["메시지의 문자열과 숫자마다 단계가 있다. 단계는 네트워크를 엿보는 사람이 그 값을 읽으려면 해야 하는 일이며, 쉬운 것부터 적는다."];
    levels_table():
        line!["Strings of requests and answers together, by level; each number with the frame of its first proof"],
        line!["요청과 응답을 합한 단계별 문자열 수와 첫 증거 프레임"];
    levels_caption():
        line!["Strings by level: how many strings of each capture have which level"],
        line!["단계별 문자열: 캡처마다 어느 단계에서 몇 개를 읽을 수 있는지"];
    bytes_text():
        line!["The bytes of the captures by kind. Text repeats itself and stays far below 8 bits of entropy per byte; ciphertext is indistinguishable from random bytes and comes close to 8."],
        line!["캡처의 바이트를 종류별로 나눈 것이다. 텍스트는 반복이 많아 엔트로피가 바이트당 8비트에 한참 못 미치고, 암호문은 무작위 바이트와 구별되지 않아 8비트에 가깝다."];
    bytes_caption():
        line!["Bytes on the wire by kind, and the entropy of the TCP payload"],
        line!["종류별 전송 바이트와 TCP 페이로드의 엔트로피"];
    printable_note(parts: Line):
        line!["Printable bytes in the payload: ", parts, ". Of random bytes, about 38 % are printable."],
        line!["페이로드 중 인쇄 가능한 바이트: ", parts, ". 무작위 바이트도 약 38 %는 인쇄 가능하다."];
    ladder_text():
        line!["The packets of the same connection in order: opening, handshake, request, answer, end. The colour shows who can read the contents."],
        line!["같은 연결의 패킷을 순서대로 나타낸 것이다. 연결 수립, 핸드셰이크, 요청, 응답, 종료의 순서이며, 색은 내용을 누가 읽을 수 있는지를 나타낸다."];
    ladder_caption(name: &str, stream: u32):
        line![captured(name), ", TCP stream ", u64::from(stream), ": time since the first packet, frame, contents"],
        line![captured(name), ", TCP 스트림 ", u64::from(stream), ": 첫 패킷부터의 시간, 프레임 번호, 내용"];
    readable_text(total: u64):
        line!["A capture without a journal gets no verdict, because the messages that were sent are unknown. An eavesdropper can read these strings of JSON and of forms in it, ", total, " in all:"],
        line!["저널이 없는 캡처에서는 어떤 메시지를 보냈는지 알 수 없으므로 판정을 내리지 않는다. 네트워크를 엿보는 누구나 읽을 수 있는 JSON 문자열과 폼 필드 값은 모두 ", total, "개이며, 다음과 같다."];
    readable_table(shown: u64, total: u64):
        line!["Readable strings, ", shown, " of ", total],
        line!["읽을 수 있는 문자열 ", total, "개 중 ", shown, "개"];
    opened_text(total: u64):
        line!["The holder of the keys can read these strings besides, ", total, " in all:"],
        line!["키를 가진 사람은 다음 문자열도 읽을 수 있으며, 모두 ", total, "개이다."];
    opened_table(shown: u64, total: u64):
        line!["Strings that the keys open, ", shown, " of ", total],
        line!["키로 열 수 있는 문자열 ", total, "개 중 ", shown, "개"];
    withheld(): line!["(withheld: a secret, by its name)"], line!["(이름으로 보아 비밀이므로 가림)"];

    // 6.3
    still_text():
        line!["TLS hides the contents of messages, not that messages are sent. An eavesdropper still sees this:"],
        line!["TLS는 메시지의 내용을 감추지만, 메시지를 주고받는다는 사실까지 감추지는 않는다. 다음은 여전히 네트워크를 엿보는 누구에게나 보이는 것이다."];
    still_none():
        line!["No capture of this report contains TLS."],
        line!["이 보고서에는 TLS를 담은 캡처가 없다."];
    still_table(name: &str, stream: u32):
        line![captured(name), ", connection of TCP stream ", u64::from(stream)],
        line![captured(name), ", TCP 스트림 ", u64::from(stream), "의 연결"];
    still_connections(connections: u64, shown: u64, records: u64):
        line!["The capture has ", connections, " TLS connections with ", records, " records; the tables show ", shown, " of the connections."],
        line!["이 캡처에는 TLS 연결 ", connections, "개와 레코드 ", records, "개가 있으며, 표에는 그중 연결 ", shown, "개를 실었다."];
    shape_text(is_same: bool):
        line!["Sizes and times stay visible too. Each bar is what one side sent before the other side sent anything.",
            if is_same { " TLS adds its handshake in front; after it, the sizes follow each other as they do without TLS. An observer who knows the messages recognises them, encrypted or not." } else { "" }],
        line!["크기와 시각도 그대로 보인다. 막대 하나는 상대가 보내기 전까지 한쪽이 이어서 보낸 양이다.",
            if is_same { " TLS는 앞에 핸드셰이크를 붙일 뿐, 그 뒤로는 TLS가 없을 때와 같은 순서로 크기가 이어진다. 메시지를 아는 관찰자는 암호화되어 있어도 알아볼 수 있다." } else { "" }];
    shape_caption(largest: &str, first: Option<u64>):
        line!["Payload that each side of the first connection sent in turn, in order; logarithmic, the largest ", largest, " bytes",
            first.map_or_else(String::new, |first| format!("; only the first {first} turns"))],
        line!["첫 연결에서 양쪽이 번갈아 보낸 페이로드(로그 눈금, 최대 ", largest, "바이트",
            first.map_or_else(String::new, |first| format!(", 처음 {first}번만 나타냄")), ")"];

    // 6.4
    costs_text(is_same: bool):
        line![if is_same { "The same messages, side by side. " } else { "The costs of each capture. " }, "Bytes and packets are exact for these captures. Times are left out, because a single run does not measure them: ", code("lab cost"), " repeats the runs two hundred times and states them with their spread."],
        line![if is_same { "같은 메시지를 나란히 놓고 비교한다. " } else { "캡처마다 든 비용이다. " }, "바이트와 패킷 수는 이 캡처에서 정확한 값이다. 시간은 한 번의 실행으로 잴 수 없으므로 싣지 않는다. ", code("lab cost"), " 명령은 실행을 200번 되풀이하여 시간과 그 편차를 잰다."];
    costs_table(): line!["Costs"], line!["비용"];

    // 7
    controls_text():
        line!["A search that finds nothing proves little by itself: it may have missed the strings. Here “not found” means “not visible” only because all of this holds in the same capture:"],
        line!["검색이 아무것도 찾지 못했다는 것만으로는 증명이 되지 않는다. 검색이 문자열을 놓쳤을 수도 있기 때문이다. 여기서 “찾지 못했다”를 “보이지 않는다”로 볼 수 있는 까닭은, 같은 캡처에서 다음이 모두 성립하기 때문이다."];
    controls_text_doubt():
        line!["A search that finds nothing proves little by itself: it may have missed the strings. “Not found” means “not visible” only where all of this holds in the same capture. ", strong("In this run it does not hold everywhere"), "; the conclusion lists what failed."],
        line!["검색이 아무것도 찾지 못했다는 것만으로는 증명이 되지 않는다. 검색이 문자열을 놓쳤을 수도 있기 때문이다. “찾지 못했다”는 같은 캡처에서 다음이 모두 성립할 때만 “보이지 않는다”로 볼 수 있다. ", strong("이 실행에는 성립하지 않는 것이 있으며"), ", 무엇이 실패했는지는 결론에 적는다."];
    controls_table(): line!["Controls and their results"], line!["대조 검사와 그 결과"];
    control_positive_showed(found: u64, strings: u64, searched: u64, decrypted: u64, key_log: bool):
        line![found, " of ", strings, " strings found", if key_log { line![" with the key log; ", decrypted, " decrypted bytes"] } else { line![] }, "; ", searched, " bytes searched"],
        line!["문자열 ", strings, "개 중 ", found, "개를 찾음", if key_log { line!["(키 로그 사용, 복호화한 ", decrypted, "바이트)"] } else { line![] }, ", ", searched, "바이트를 검색"];
    control_decoys_showed(found: u64, searched: u64):
        line![found, " of ", searched, " found"],
        line![searched, "개 중 ", found, "개 발견"];
    control_wrong_key_showed(authenticated: u64, tried: u64):
        line![authenticated, " of ", tried, " records authenticated"],
        line!["레코드 ", tried, "개 중 ", authenticated, "개 인증"];
    control_planted_showed(found: u64, planted: u64, forms: u64, places: u64, layers: u64):
        line![found, " of ", planted, " found, in ", forms, " forms, ", places, " places and ", layers, " layers"],
        line![planted, "개 중 ", found, "개를 찾음(표기 ", forms, "가지, 위치 ", places, "곳, 계층 ", layers, "개)"];
    control_coverage_showed(captured: u64, in_streams: u64, in_frames: u64):
        line![captured, " bytes captured; ", in_streams, " searched in streams, ", in_frames, " in frames"],
        line!["캡처한 ", captured, "바이트 중 스트림에서 ", in_streams, "바이트, 프레임에서 ", in_frames, "바이트를 검색"];
    control_messages_showed(accounted: u64, expected: u64):
        line![accounted, " of ", expected],
        line![expected, "개 중 ", accounted, "개"];
    control_streams_showed(whole: u64, streams: u64, gaps: u64, conflicts: u64):
        line![whole, " of ", streams, " whole; ", gaps, " gaps, ", conflicts, " conflicts"],
        line![streams, "개 중 ", whole, "개 온전, 빈 곳 ", gaps, "개, 충돌 ", conflicts, "개"];
    control_explained_showed(unexplained: u64):
        line![unexplained, " unexplained bytes"],
        line!["설명되지 않은 바이트 ", unexplained, "개"];
    control_file_showed(hash: Option<bool>, drops: Option<u64>, cut: u64):
        line!["hash ", match hash { Some(true) => "as in the manifest", Some(false) => "differs from the manifest", None => "not checked (no manifest)" },
            ", ", match drops { Some(drops) => format!("{} frames dropped", format::count(drops)), None => "no kernel queue".to_owned() },
            ", ", cut, " truncated"],
        line!["해시 ", match hash { Some(true) => "매니페스트와 일치", Some(false) => "매니페스트와 다름", None => "확인 못 함(매니페스트 없음)" },
            ", ", match drops { Some(drops) => format!("버려진 프레임 {}개", format::count(drops)), None => "커널 큐 없음".to_owned() },
            ", 잘린 프레임 ", cut, "개"];
    controls_chance(worst: &str):
        line!["A short string can occur in ciphertext by chance. The analyzer therefore searches for strings shorter than eight bytes, and for numbers, together with their JSON key, and computes for each string how many hits random bytes would give. The highest number among the strings listed here is ", worst, "."],
        line!["짧은 문자열은 암호문 속에 우연히 나타날 수 있다. 그래서 분석기는 8바이트보다 짧은 문자열과 숫자는 JSON 키와 함께 찾고, 문자열마다 무작위 바이트에서 우연히 일치할 횟수의 기댓값을 계산한다. 여기에 실린 문자열 가운데 가장 큰 기댓값은 ", worst, "이다."];

    // 8
    environment_text():
        line!["Problems of a comparison on real machines, and how the lab solves them:"],
        line!["실제 컴퓨터에서 비교할 때 생기는 문제와 그 해결책은 다음과 같다."];
    environment_backend(backend: Option<&str>): match backend {
        Some("netns") => line![strong("Where the traffic runs."), " The lab uses the first backend that works. Here that was ", code("netns"), ": it needs Linux with unprivileged user namespaces (or root), and neither Docker nor a packet-capture library."],
        Some("relay") => line![strong("Where the traffic runs."), " The lab uses the first backend that works, or the one that is requested. Here that was ", code("relay"), ", which needs no privilege on any system. ", code("netns"), " needs Linux with unprivileged user namespaces, or root."],
        Some("docker") => line![strong("Where the traffic runs."), " These runs used ", code("docker"), " on request. Without Docker, ", code("make lab"), " uses a backend that works on the machine."],
        _ => line![strong("Where the traffic runs."), " The captures were not made by this lab."],
    }, match backend {
        Some("netns") => line![strong("트래픽이 흐르는 곳."), " 실습은 동작하는 첫 번째 백엔드를 쓴다. 여기서는 ", code("netns"), "였다. 일반 사용자에게 사용자 네임스페이스를 허용하는 Linux(또는 root)면 되고, Docker도 패킷 캡처 라이브러리도 필요 없다."],
        Some("relay") => line![strong("트래픽이 흐르는 곳."), " 실습은 동작하는 첫 번째 백엔드, 또는 지정한 백엔드를 쓴다. 여기서는 ", code("relay"), "였으며 어떤 운영체제에서도 권한이 필요 없다. ", code("netns"), "는 사용자 네임스페이스를 허용하는 Linux나 root가 필요하다."],
        Some("docker") => line![strong("트래픽이 흐르는 곳."), " 이 실행은 지정한 대로 ", code("docker"), "를 썼다. Docker가 없으면 ", code("make lab"), "이 그 컴퓨터에서 동작하는 백엔드를 고른다."],
        _ => line![strong("트래픽이 흐르는 곳."), " 이 캡처는 이 실습에서 만든 것이 아니다."],
    };
    environment_macos():
        line![strong("Capturing on macOS."), " Docker Desktop runs containers in a virtual machine. There, a third container that captures on the interface ", code("any"), " does not see the traffic between the other two. The capturer therefore shares agent-b's network namespace (", code("network_mode: service:agent-b"), "); without Docker the backend ", code("relay"), " records on any system."],
        line![strong("macOS에서의 캡처."), " Docker Desktop은 컨테이너를 가상 머신 안에서 실행한다. 그 안에서는 세 번째 컨테이너가 ", code("any"), " 인터페이스를 캡처해도 다른 두 컨테이너 사이의 트래픽이 보이지 않는다. 그래서 캡처 프로그램은 agent-b의 네트워크 네임스페이스를 함께 쓴다(", code("network_mode: service:agent-b"), "). Docker가 없어도 ", code("relay"), " 백엔드는 어떤 운영체제에서든 기록할 수 있다."];
    environment_offload(checksums: u64, segments: u64):
        line![strong("Offloading."), " Kernels leave checksums and segmentation to the network card, so that a capture shows frames of 64 KiB that never cross a real wire. The lab switches this off where it has the privilege. In these captures ", checksums, " frames have an unfinished checksum, and ", segments, " frames represent several segments each."],
        line![strong("오프로드."), " 커널은 체크섬과 세그먼트 분할을 네트워크 카드에 맡기므로, 실제 회선에는 없는 64 KiB짜리 프레임이 캡처에 나타날 수 있다. 실습은 권한이 있으면 이 기능을 끈다. 이 캡처에서 체크섬이 채워지지 않은 프레임은 ", checksums, "개, 여러 세그먼트를 합친 프레임은 ", segments, "개이다."];
    environment_loss(retransmissions: u64, out_of_order: u64, drops: u64):
        line![strong("Losses."), " Frames that the kernel dropped: ", drops, "; retransmissions: ", retransmissions, "; segments out of order: ", out_of_order, ". A capture with a gap in a stream or a dropped frame is never judged sealed."],
        line![strong("손실."), " 커널이 버린 프레임 ", drops, "개, 재전송 ", retransmissions, "개, 순서가 바뀐 세그먼트 ", out_of_order, "개이다. 스트림에 빈 곳이 있거나 버려진 프레임이 있는 캡처는 봉인으로 판정하지 않는다."];
    environment_nagle():
        line![strong("Delays that look like a cost of TLS."), " Nagle's algorithm with delayed acknowledgements (40 ms), the crypto library's entropy at start (35 ms), and a client pool that opens a second connection: the agents avoid each of them in both variants, and both variants use HTTP/1.1, so that the only difference is TLS."],
        line![strong("TLS 탓으로 오해할 지연."), " Nagle 알고리즘과 지연된 ACK(40 ms), 암호 라이브러리의 초기 엔트로피 수집(35 ms), 두 번째 연결을 여는 클라이언트 풀은 두 변형 모두에서 피했다. 또한 두 변형 모두 HTTP/1.1을 쓰므로 차이는 TLS뿐이다."];

    // 9
    conclusion_proven_text(readable: u64, plain_total: u64, sealed_total: u64):
        line!["Proven: of the ", plain_total, " strings sent over HTTP, an eavesdropper can read ", readable, ". Of the ", sealed_total, " strings sent over TLS, none can be read without the keys, and the same search in the same capture finds all of them with the keys. Both captures are complete and no control failed. So TLS hides the strings."],
        line!["증명되었다. HTTP로 보낸 문자열 ", plain_total, "개 중 ", readable, "개를 네트워크를 엿보는 누구나 읽을 수 있다. TLS로 보낸 문자열 ", sealed_total, "개는 키 없이는 하나도 읽을 수 없고, 키가 있으면 똑같은 검색이 같은 캡처에서 전부 찾아낸다. 두 캡처는 완전하며 실패한 대조 검사는 없다. 따라서 이 문자열을 감춘 것은 TLS이다."];
    conclusion_proven_limits():
        line!["The proof covers these strings in these captures only. Addresses, the server's name, sizes and times stay visible (", section("still-shown"), "), and the experiment does not attack the ciphers."],
        line!["이 결론은 이 캡처의 이 문자열에만 해당한다. 주소, 서버 이름, 크기, 시각은 여전히 보이며(", section("still-shown"), "), 암호 자체를 공격해 본 것도 아니다."];
    conclusion_refuted_text():
        line!["Refuted: at least one capture shows the opposite of what its variant should show. The claim that this lab sets out to prove does not hold for this run. The reasons below must be explained first."],
        line!["반증되었다. 적어도 한 캡처가 그 변형에서 예상한 것과 정반대의 결과를 보인다. 이 실습이 증명하려던 명제는 이 실행에서 성립하지 않는다. 먼저 아래의 이유를 밝혀야 한다."];
    conclusion_inconclusive_text():
        line!["Inconclusive: no conclusion may be drawn from this run, whatever the tables above show. As long as a control failed or something is missing, strings that were not found may still have been there. Resolve the reasons below, then repeat the run."],
        line!["판정할 수 없다. 위의 표가 무엇을 나타내든 이 실행에서는 어떤 결론도 내려서는 안 된다. 대조 검사가 실패했거나 빠진 것이 있는 한, 찾지 못한 문자열도 실제로는 있었을 수 있다. 아래의 이유를 해결한 뒤 다시 실행해야 한다."];
    conclusion_none_text():
        line!["No conclusion: a comparison needs a plaintext capture and a TLS capture of the same messages. What each capture shows by itself is in ", section("results"), "."],
        line!["결론 없음. 결론을 내리려면 같은 메시지의 평문 캡처와 TLS 캡처를 비교해야 한다. 각 캡처에서 보이는 것은 ", section("results"), "에 있다."];

    // Appendices
    evidence_text():
        line!["Everything that this report claims can be checked in the capture files. Frames count from 1, as in Wireshark; offsets are bytes from the start of the file."],
        line!["이 보고서의 모든 주장은 캡처 파일에서 확인할 수 있다. 프레임 번호는 Wireshark처럼 1부터 세고, 오프셋은 파일 처음부터의 바이트 수이다."];
    other_parts_table(): line!["The other parts of the project"], line!["프로젝트의 나머지 구성 요소"];
    compose_capturer_text():
        line!["The Compose file also decides which network the capturer shares, and when it gives up its privileges:"],
        line!["Compose 파일은 캡처 프로그램이 함께 쓰는 네트워크와 권한을 내려놓는 시점도 정한다."];
    server_routes_text():
        line!["The routes of agent-b:"],
        line!["agent-b의 경로:"];
    evidence_files_table(): line!["Capture files"], line!["캡처 파일"];
    evidence_strings_table(name: &str):
        line!["Strings in ", captured(name)],
        line![captured(name), "의 문자열"];
    evidence_strings_note(shown: u64, total: u64):
        line!["The table shows ", shown, " of ", total, " strings: those of the first request, and the first of every level. The analyzer's result, exposure.json, has all of them."],
        line!["표에는 문자열 ", total, "개 중 ", shown, "개를 실었다. 첫 요청의 문자열과 단계마다 첫 번째 것들이다. 전체는 분석 결과 exposure.json에 있다."];
    evidence_frames_text(shown: u64):
        line!["The frames that this report refers to, ", shown, " in all."],
        line!["이 보고서가 가리키는 프레임은 모두 ", shown, "개이다."];
    by_hand_intro():
        line!["This needs only Wireshark and the files in ", code("captures/"), "."],
        line!["Wireshark와 ", code("captures/"), "의 파일만 있으면 된다."];
    by_hand_hash(): line!["First compare the hashes:"], line!["먼저 해시를 비교한다."];
    by_hand_plain(name: &str, frame: Inline, filter: &str, value: &str):
        line!["Open ", captured(name), ", enter the display filter ", captured(filter), " and select the frame (", frame, "). The packet bytes pane shows ", captured(value), " as text."],
        line![captured(name), " 파일을 열고 표시 필터에 ", captured(filter), " 식을 넣고 프레임을 고른다(", frame, "). 패킷 바이트 창에 ", captured(value), " 문자열이 글자 그대로 보인다."];
    by_hand_follow(stream: u32):
        line!["Right-click it and choose Follow > TCP Stream (stream ", u64::from(stream), "): it shows the request as in ", section("wire"), ", and the whole answer."],
        line!["그 프레임을 오른쪽 클릭하고 Follow > TCP Stream을 고른다(스트림 ", u64::from(stream), "). 요청은 ", section("wire"), "과 같이 보이고 응답도 모두 보인다."];
    by_hand_sealed(name: &str, frame: Inline, filter: &str, value: &str):
        line!["Open ", captured(name), " and select ", captured(filter), " (", frame, "): Wireshark shows “Application Data” and ciphertext. Edit > Find Packet, packet bytes, string ", captured(value), ": nothing is found."],
        line![captured(name), " 파일을 열고 표시 필터에 ", captured(filter), " 식을 넣고 프레임을 고른다(", frame, "). Wireshark에는 “Application Data”와 암호문만 보인다. Edit > Find Packet에서 packet bytes와 string을 고르고 ", captured(value), " 문자열을 찾으면 아무것도 나오지 않는다."];
    by_hand_keys():
        line!["Now open the capture with the key log. The same frame shows HTTP with the string: this is the positive control."],
        line!["이제 키 로그와 함께 캡처를 연다. 같은 프레임에서 HTTP가 보이고 문자열도 나온다. 이것이 양성 대조이다."];
    by_hand_names(stream: u32):
        line!["What stays visible: enter the display filter ", code(format!("tcp.stream == {stream} && tls.handshake")), " and look at the Client Hello: server name, ALPN, versions, key share."],
        line!["여전히 보이는 것: 표시 필터 ", code(format!("tcp.stream == {stream} && tls.handshake")), "로 Client Hello를 보면 서버 이름, ALPN, 버전, 키 공유가 보인다."];
    written_by(analyzer: &str, version: &str):
        line!["Written by plainsight ", code(env!("CARGO_PKG_VERSION")), " from the result of ", captured(analyzer), " ", captured(version), "; every number comes from that result."],
        line!["plainsight ", code(env!("CARGO_PKG_VERSION")), " 버전이 ", captured(analyzer), " ", captured(version), "의 결과로 작성했다. 모든 수치는 그 결과에서 나온 것이다."];
}

/// A level as a word with its colour.
fn level_badge(lang: Lang, level: Level) -> Inline {
    Inline::Level { level, text: lang.level_name(level).to_owned() }
}

/// Descriptions of the drawings, for readers who cannot see them.
impl Lang {
    pub(crate) fn levels_alt(self, captures: &[(&str, Summary)]) -> String {
        let each = captures.iter().map(|(name, summary)| {
            let levels: Vec<String> = Level::ALL
                .into_iter()
                .filter(|level| summary.of(*level) > 0)
                .map(|level| format!("{} {}", self.level_name(level), format::count(summary.of(level))))
                .collect();
            format!("{name}: {}", levels.join(", "))
        });
        let each: Vec<String> = each.collect();
        format!("{}. {}", self.strings_by_level(), each.join("; "))
    }

    pub(crate) fn bytes_alt(self, captures: &[(&str, &Traffic)]) -> String {
        let each = captures.iter().map(|(name, traffic)| {
            let kinds = crate::figure::kinds(self, traffic);
            let shares: Vec<String> = kinds
                .into_iter()
                .filter(|(_, _, count)| *count > 0)
                .map(|(_, kind, count)| format!("{kind} {}", percent(count, traffic.wire_bytes)))
                .collect();
            let bits = traffic.payload_entropy_bits_per_byte;
            let entropy = bits.map_or(String::new(), |bits| format!(", {} {bits:.2}", self.entropy()));
            format!("{name}: {}{entropy}", shares.join(", "))
        });
        let each: Vec<String> = each.collect();
        format!("{}. {}", self.kinds_of_bytes(), each.join("; "))
    }

    pub(crate) fn ladder_alt(self, name: &str, frames: u64) -> String {
        match self {
            Self::En => {
                format!("Ladder diagram of a connection in {name} with {} frames", format::count(frames))
            }
            Self::Ko => format!("{name} 캡처의 연결(프레임 {}개)의 패킷 흐름도", format::count(frames)),
        }
    }

    pub(crate) fn shape_alt(self, flights: u64) -> String {
        match self {
            Self::En => format!(
                "Sizes of {} flights in order, to the server upwards, to the client downwards",
                format::count(flights)
            ),
            Self::Ko => format!(
                "번갈아 보낸 {}번의 크기. 위는 서버 방향, 아래는 클라이언트 방향",
                format::count(flights)
            ),
        }
    }

    pub(crate) fn setup_alt(self, backend: Option<&str>) -> String {
        match (self, backend) {
            (Self::En, Some("netns")) => "agent-a and agent-b in two network namespaces joined by a veth pair, the capturer on agent-b's interface".to_owned(),
            (Self::En, Some("relay")) => "agent-a and agent-b on loopback with a recording relay between them".to_owned(),
            (Self::En, Some("docker")) => "agent-a and agent-b in containers, the capturer in agent-b's network namespace".to_owned(),
            (Self::En, _) => "a client and a server, and a capture of their traffic".to_owned(),
            (Self::Ko, Some("netns")) => "veth 쌍으로 연결한 두 네트워크 네임스페이스의 agent-a와 agent-b, 그리고 agent-b의 인터페이스를 기록하는 캡처 프로그램".to_owned(),
            (Self::Ko, Some("relay")) => "루프백의 agent-a와 agent-b, 그 사이에서 트래픽을 기록하는 중계기".to_owned(),
            (Self::Ko, Some("docker")) => "컨테이너에 있는 agent-a와 agent-b, agent-b의 네트워크 네임스페이스에 있는 캡처 프로그램".to_owned(),
            (Self::Ko, _) => "클라이언트와 서버, 그 사이의 트래픽을 담은 캡처".to_owned(),
        }
    }
}
