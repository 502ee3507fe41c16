//! The sentences of the report.

use exposure_schema::{ExhibitFrame, Level, Summary, Traffic};

use super::{Lang, sentence_texts};
use crate::document::format::{self, percent};
use crate::document::line::{Inline, Line, captured, code, line, strong};

sentence_texts! {
    // The result in a few lines, at the top and in the conclusion.
    proven_summary(plain: &str, sealed: &str, is_all: bool):
        line!["Over plain HTTP ", if is_all { "everything" } else { "part of what" }, if is_all { " that the agents said" } else { " the agents said" },
            " is in plain sight; over TLS none of it is. ",
            "In the capture ", captured(plain), ", strings of the messages stand readable for anybody on the wire. In ",
            captured(sealed), ", the same search finds them only with the key log: without it, not one."],
        line!["평문 HTTP에서는 에이전트가 주고받은 말이 ", if is_all { "모두" } else { "일부" }, " 그대로 보이고, TLS에서는 하나도 보이지 않는다. ",
            captured(plain), " 캡처에서는 메시지의 문자열을 네트워크를 엿보는 누구나 읽을 수 있다. ",
            captured(sealed), " 캡처에서는 똑같은 검색이 키 로그가 있을 때만 문자열을 찾으며, 키 로그 없이는 하나도 찾지 못한다."];
    refuted_summary():
        line!["The experiment shows ", strong("the opposite of what was expected"),
            ". What was to be shown does not hold for this run; the reasons are listed below, each with the capture it comes from."],
        line!["이 실험은 ", strong("예상과 정반대"), "의 결과를 보인다. 보이려던 명제는 이 실행에서 성립하지 않으며, 아래에 캡처별로 이유를 적는다."];
    inconclusive_summary():
        line!["This run ", strong("proves nothing"), ", neither that the messages are hidden nor that they are not. ",
            "Something is missing or in doubt, and as long as it is, “not found” must not be read as “not visible”. Every reason is listed below."],
        line!["이 실행은 메시지가 감추어졌다는 것도, 감추어지지 않았다는 것도 ", strong("증명하지 못한다"),
            ". 빠졌거나 의심스러운 점이 있으며, 그것이 남아 있는 한 “찾지 못했다”를 “보이지 않는다”로 읽어서는 안 된다. 이유를 빠짐없이 아래에 적는다."];
    no_comparison_summary():
        line!["There is no pair of a plaintext and a TLS capture to compare, so this report draws no conclusion. It describes what each capture shows."],
        line!["견줄 평문 캡처와 TLS 캡처의 쌍이 없으므로 결론을 내리지 않는다. 이 보고서는 각 캡처에 무엇이 보이는지만 적는다."];
    capture_result(name: &str, verdict: Line, summary: &Summary, proof: Option<Line>):
        line![captured(name), ": ", verdict, ". ", format::count(summary.keyless()), " of ", summary.total,
            " strings are readable without any secret, ", format::count(summary.decrypted), " only with the key log",
            proof.map(|proof| line![" (first proof: ", proof, ")"]), "."],
        line![captured(name), ": ", verdict, ". 문자열 ", summary.total, "개 중 ", format::count(summary.keyless()),
            "개는 아무 비밀 없이 읽히고, ", format::count(summary.decrypted), "개는 키 로그가 있어야 읽힌다",
            proof.map(|proof| line!["(첫 증거: ", proof, ")"]), "."];
    captures_left_out(told: u64, all: u64):
        line!["This report tells of the first ", told, " of ", all, " captures; the conclusion is drawn from all of them."],
        line!["이 보고서는 캡처 ", all, "개 중 처음 ", told, "개만 다루며, 결론은 모든 캡처에서 내린 것이다."];
    capture_unjudged(name: &str):
        line![captured(name), ": no verdict. Nobody knows what was said, because there is no journal; this report lists only what is readable."],
        line![captured(name), ": 판정 없음. 저널이 없어 무슨 말이 오갔는지 알 수 없으므로 읽히는 것만 나열한다."];
    reasons_follow():
        line!["The analyzer's reasons, in its own words:"],
        line!["분석기가 적은 이유는 다음과 같다(원문 그대로)."];
    reasons_of(name: &str):
        line!["Doubts about ", captured(name), ":"],
        line![captured(name), " 캡처에 남은 의심:"];
    errors_follow():
        line!["Inputs that could not be analyzed:"],
        line!["분석하지 못한 입력:"];

    // 1. Aim
    aim_question():
        line!["Two programs, ", code("agent-a"), " and ", code("agent-b"),
            ", call each other's tools by JSON messages. This lab answers one question with proof: ",
            strong("what can somebody on the wire read of what they say?"),
            " The same two agents hold the same conversation once over HTTP and once over HTTPS. Every packet is recorded, and each string of each message is looked for in the packets."],
        line!["두 프로그램 ", code("agent-a"), "와 ", code("agent-b"), "는 JSON 메시지로 도구를 호출한다. 이 실습은 한 가지 물음에 증거로 답한다. ",
            strong("네트워크를 엿보는 사람은 그 대화에서 무엇을 읽을 수 있는가?"),
            " 같은 두 에이전트가 같은 대화를 한 번은 HTTP로, 한 번은 HTTPS로 나눈다. 모든 패킷을 기록하고, 메시지에 담긴 문자열 하나하나를 패킷에서 찾는다."];
    aim_expected():
        line!["What is expected: over HTTP every string stands in plain text; over TLS there is only ciphertext, and no string can be read without the keys. “Not found” does not count as “not visible” by itself: controls have to show that the search would have found the strings (section 7)."],
        line!["예상은 다음과 같다. HTTP에서는 모든 문자열이 평문으로 보이고, TLS에서는 암호문만 보여 키 없이는 어떤 문자열도 읽을 수 없다. “찾지 못했다”가 저절로 “보이지 않는다”가 되지는 않는다. 검색이 그 문자열을 찾아낼 수 있었음을 대조 검사로 먼저 보여야 한다(7장)."];
    aim_also():
        line!["Beyond that the report lists what TLS does not hide (6.3) and what it costs (6.4)."],
        line!["이 밖에 TLS가 감추지 못하는 것(6.3)과 TLS의 비용(6.4)도 함께 적는다."];

    // 2. Setup
    setup_text(backend: Option<&str>): match backend {
        Some("netns") => line!["The runs used the backend ", code("netns"), ": two network namespaces of the lab's own, joined by a pair of virtual Ethernet interfaces. agent-a talks in the one, agent-b listens in the other, and the capturer stands beside agent-b on its interface, where every frame passes. The kernel's TCP, real frames, no other traffic."],
        Some("relay") => line!["The runs used the backend ", code("relay"), ": both agents on the loopback interface and a recording TCP relay between them. The relay writes every byte that crosses its sockets to the capture before it passes it on. The bytes, their order and their times are those that really crossed; the headers around them are built by the relay, as its manifest says."],
        Some("docker") => line!["The runs used the backend ", code("docker"), ": one container for each agent on a network of their own, and the capturer in a third container that shares agent-b's network namespace, so that agent-b's interface is its own and every frame passes it."],
        _ => line!["The captures were not made by a backend of this lab, so nothing is known of the machines; the drawing shows what the packets tell."],
    }, match backend {
        Some("netns") => line!["이 실행은 ", code("netns"), " 백엔드를 썼다. 네트워크 네임스페이스 두 개를 새로 만들어 가상 이더넷 쌍으로 이었다. 한쪽에서 agent-a가 말하고 다른 쪽에서 agent-b가 들으며, 캡처 프로그램은 agent-b 곁에서 모든 프레임이 지나는 인터페이스를 지켜본다. 커널의 TCP와 실제 프레임이며 다른 트래픽은 없다."],
        Some("relay") => line!["이 실행은 ", code("relay"), " 백엔드를 썼다. 두 에이전트는 루프백에 있고 그 사이에 기록하는 TCP 중계기가 있다. 중계기는 소켓을 지나는 모든 바이트를 먼저 캡처에 쓴 다음 넘겨준다. 바이트와 그 순서, 시각은 실제로 지나간 것이고, 바이트를 감싼 헤더는 중계기가 만든 것이며 매니페스트에도 그렇게 적혀 있다."],
        Some("docker") => line!["이 실행은 ", code("docker"), " 백엔드를 썼다. 에이전트마다 컨테이너가 하나씩 있고 그들만의 네트워크로 이어진다. 캡처 프로그램은 세 번째 컨테이너에 있으면서 agent-b의 네트워크 네임스페이스를 함께 쓰므로, agent-b의 인터페이스를 지나는 모든 프레임을 본다."],
        _ => line!["이 캡처는 이 실습의 백엔드로 만든 것이 아니므로 어떤 컴퓨터에서 나왔는지 알 수 없다. 그림은 패킷에서 알 수 있는 것만 보인다."],
    };
    setup_table(): line!["The captures"], line!["캡처"];
    setup_caption(backend: Option<&str>): match backend {
        Some(backend) => line!["Setup of the runs, backend ", captured(backend)],
        None => line!["What the packets tell of the setup"],
    }, match backend {
        Some(backend) => line!["실행 구성(백엔드 ", captured(backend), ")"],
        None => line!["패킷에서 알 수 있는 구성"],
    };

    // 3. Project layout
    layout_text():
        line!["The project is a Rust workspace. What speaks and what observes share no code: what was said crosses from the one to the other as text, in journals, so that one mistake cannot hide in both halves."],
        line!["이 프로젝트는 Rust 워크스페이스이다. 말하는 쪽과 관찰하는 쪽은 코드를 한 줄도 공유하지 않는다. 무슨 말이 오갔는지는 저널이라는 텍스트로만 건너가므로, 같은 실수가 양쪽에 함께 숨을 수 없다."];
    layout_table(): line!["Parts that take part in the experiment"], line!["실험에 참여하는 부분"];

    // 4. Main pieces
    compose_text(is_docker: bool): if is_docker {
        line!["These runs were made with it. The lines that matter: where agent-b listens and writes its journal, and where the capturer stands."]
    } else {
        line!["The same experiment in containers; the runs of this report were made without it (section 2). The lines that matter: where agent-b listens and writes its journal, and where the capturer stands."]
    }, if is_docker {
        line!["이 보고서의 실행은 이 파일로 했다. 중요한 줄은 agent-b가 듣는 곳과 저널을 쓰는 곳, 그리고 캡처 프로그램이 서 있는 곳이다."]
    } else {
        line!["같은 실험을 컨테이너에서 하는 파일이며, 이 보고서의 실행은 이것 없이 했다(2장). 중요한 줄은 agent-b가 듣는 곳과 저널을 쓰는 곳, 그리고 캡처 프로그램이 서 있는 곳이다."]
    };
    compose_tls_text():
        line!["Over HTTPS the client trusts the lab's own authority and nothing else, and writes the key log that the positive control needs:"],
        line!["HTTPS에서 클라이언트는 실습용 인증 기관만 믿으며, 양성 대조에 필요한 키 로그를 남긴다."];
    client_text():
        line!["It posts a message and reads the answer whole. The message is written to the journal before it is handed to the transport, so the wire cannot carry what the journal lacks:"],
        line!["메시지를 POST로 보내고 응답을 끝까지 읽는다. 메시지는 전송 계층에 넘기기 전에 저널에 적으므로, 저널에 없는 것이 회선에 나갈 수 없다."];
    server_text():
        line!["One route for tool calls, one for health. The answer quotes the request and carries a fresh random canary of 128 bits, so what is found was sent in this run and in no other:"],
        line!["경로는 도구 호출과 상태 확인 두 가지이다. 응답은 요청을 인용하고 새로 뽑은 128비트 난수(카나리아)를 담으므로, 발견된 것은 다른 실행이 아니라 바로 이 실행에서 나온 것이다."];
    server_tls_text():
        line!["Plain and encrypted connections take the same code path; TLS wraps the listener and changes nothing behind it:"],
        line!["평문 연결과 암호화된 연결은 같은 코드 경로를 지난다. TLS는 수신부를 감쌀 뿐 그 뒤의 것은 바꾸지 않는다."];
    excerpt_source(path: &str, line: u64):
        line![code(path), ", from line ", line],
        line![code(path), ", ", line, "행부터"];

    // 5. How it was run
    running_text(is_docker: bool): if is_docker {
        line!["Runs like these are made, analyzed and reported by:"]
    } else {
        line!["Runs like these are made, analyzed and reported by one command, or step by step:"]
    }, if is_docker {
        line!["이와 같은 실행, 분석, 보고는 다음 명령으로 한다."]
    } else {
        line!["이와 같은 실행, 분석, 보고는 명령 하나로, 또는 한 단계씩 할 수 있다."]
    };
    running_foreign():
        line!["The captures were brought from elsewhere; they are analyzed and reported by:"],
        line!["다른 곳에서 가져온 캡처이며, 분석과 보고는 다음 명령으로 한다."];
    running_table(): line!["The runs, as their manifests state them"], line!["매니페스트에 적힌 실행 정보"];

    // 6.1
    logged_text(total: u64, messages: u64):
        line!["Each agent writes a journal: one line for each message that it sends or receives, with its exact bytes. Together the journals of the captures have ", total, " lines. What was said, and nothing else, is what the analyzer looks for; it searched for ", messages, " strings and numbers."],
        line!["두 에이전트는 저널을 남긴다. 보내거나 받은 메시지마다 바이트까지 정확히 한 줄씩 적는다. 모든 캡처의 저널은 합해서 ", total, "행이다. 분석기는 이렇게 기록된 말만을 찾으며, 찾은 대상은 문자열과 숫자 ", messages, "개이다."];
    first_call(name: &str, id: &str):
        line!["The first call of ", captured(name), ", ", captured(id), ", as agent-a logged it:"],
        line![captured(name), "의 첫 호출 ", captured(id), "을 agent-a는 다음과 같이 기록했다."];
    logged_line(agent: &str, event: Inline, bytes: Line, at: &str, sha256: &str):
        line![captured(agent), " ", event, ", ", bytes, ", ", at, ", SHA-256 ", captured(sha256)],
        line![captured(agent), " ", event, ", ", bytes, ", ", at, ", SHA-256 ", captured(sha256)];

    shortened_note(shown: u64, total: u64):
        line!["The first ", shown, " of ", total, " bytes."],
        line![total, "바이트 중 처음 ", shown, "바이트이다."];
    calls_table():
        line!["All calls: bytes of the bodies, and the frames where they begin"],
        line!["모든 호출: 본문의 바이트 수와 본문이 시작되는 프레임"];
    calls_shown(shown: u64, total: u64):
        line!["Shown are the first ", shown, " of ", total, " calls."],
        line!["전체 호출 ", total, "개 중 처음 ", shown, "개를 보인다."];
    calls_status_note():
        line!["HTTP heads are read from the packets: in an encrypted capture, that took the key log."],
        line!["HTTP 헤더는 패킷에서 읽은 것이다. 암호화된 캡처에서는 키 로그가 있어야 했다."];

    // 6.2
    wire_text(id: &str, is_pair: bool):
        line!["The first message, ", captured(id), ", as it crossed the wire", if is_pair { ", over HTTP and over HTTPS" } else { "" }, ": both directions of the connection, from its first byte to the end of the first answer. Marked is what the analyzer found there; every mark leads to its frame."],
        line!["첫 메시지 ", captured(id), "의 대화가 회선을 지나간 모습이다. ", if is_pair { "HTTP와 HTTPS를 나란히 놓고, " } else { "" }, "연결의 첫 바이트부터 첫 응답의 끝까지 양방향을 모두 보인다. 표시한 곳은 분석기가 찾아낸 것이고, 표시마다 해당 프레임으로 이어진다."];
    wire_none():
        line!["No exchange with a known message was found in the captures."],
        line!["캡처에서 알려진 메시지가 오간 자리를 찾지 못했다."];
    stream_note(shown: u64, client: u64, server: u64):
        line!["Shown are ", shown, " bytes: of this connection's ", client, " from the client and ", server, " from the server."],
        line!["클라이언트가 보낸 ", client, "바이트와 서버가 보낸 ", server, "바이트 중 ", shown, "바이트를 보인다."];
    marks_table(name: &str):
        line!["What is marked in ", captured(name)],
        line![captured(name), "에서 표시된 것"];
    marks_shown(shown: u64, total: u64):
        line!["Shown are the first ", shown, " of ", total, " marks."],
        line!["표시 ", total, "곳 중 처음 ", shown, "곳을 보인다."];
    hex_text():
        line!["The frame that proves the first string, byte by byte as the capture file holds it. Grey are the headers, marked the bytes where the string stands: over HTTP the string itself, over TLS the ciphertext in its place."],
        line!["첫 문자열을 증명하는 프레임을 캡처 파일에 담긴 그대로 바이트 단위로 보인다. 회색은 헤더이고, 표시한 곳이 문자열이 있는 바이트이다. HTTP에서는 문자열 자체가, TLS에서는 그 자리의 암호문이 표시된다."];
    hex_title(frame: Inline, held: &ExhibitFrame):
        line![frame, ", file offset ", held.file_offset, ": ", captured(&held.path),
            held.message_id.as_deref().map(|id| line![" of ", captured(id)]), ", ", level_badge(Lang::En, held.level),
            ", ", held.length, " bytes from offset ", held.offset, " of the frame"],
        line![frame, ", 파일 오프셋 ", held.file_offset, ": ",
            held.message_id.as_deref().map(|id| line![captured(id), "의 "]), captured(&held.path), ", ",
            level_badge(Lang::Ko, held.level), ", 프레임 오프셋 ", held.offset, "부터 ", held.length, "바이트"];
    levels_text():
        line!["Every string and number of the messages has a level: what somebody on the wire must do to read it, cheapest first."],
        line!["메시지의 문자열과 숫자마다 단계가 있다. 네트워크를 엿보는 사람이 그것을 읽기 위해 해야 하는 일이며, 쉬운 것부터 적는다."];
    levels_table():
        line!["Strings by level; each number with the frame of a first proof"],
        line!["단계별 문자열 수와 첫 증거 프레임"];
    levels_caption():
        line!["Strings by level: how many of the strings stand at which level in each capture"],
        line!["단계별 문자열: 캡처마다 어느 단계에서 몇 개가 읽히는지"];
    bytes_text():
        line!["What the bytes of the captures are. Text repeats itself and stays far below 8 bits of entropy per byte; ciphertext is indistinguishable from noise and comes close to 8."],
        line!["캡처의 바이트가 무엇으로 이루어져 있는지를 보인다. 글은 반복이 많아 엔트로피가 바이트당 8비트에 한참 못 미치고, 암호문은 잡음과 구별되지 않아 8비트에 가깝다."];
    bytes_caption():
        line!["Bytes on the wire by kind, and the entropy of the TCP payload"],
        line!["회선 위 바이트의 종류와 TCP 페이로드의 엔트로피"];
    printable_note(parts: Line):
        line!["Printable bytes among the payload: ", parts, ". In noise about 38 % of all bytes are printable by chance."],
        line!["페이로드 중 인쇄 가능한 바이트: ", parts, ". 잡음에서도 바이트의 약 38 %는 우연히 인쇄 가능하다."];
    ladder_text():
        line!["The packets of the same connection in order: opening, handshake, request, answer, end. The colour says who can read what they hold."],
        line!["같은 연결의 패킷을 순서대로 보인다. 연결 수립, 핸드셰이크, 요청, 응답, 종료의 순서이며, 색은 그 내용을 누가 읽을 수 있는지를 나타낸다."];
    ladder_caption(name: &str, stream: u32):
        line![captured(name), ", TCP stream ", u64::from(stream), ": time since the first packet, frame, what is sent"],
        line![captured(name), ", TCP 스트림 ", u64::from(stream), ": 첫 패킷부터의 시간, 프레임 번호, 보낸 것"];
    readable_text(total: u64):
        line!["Nobody knows what was said in captures without a journal, so there is no verdict on them. These JSON strings can be read in them by anybody, ", total, " in all:"],
        line!["저널이 없는 캡처에서는 무슨 말이 오갔는지 알 수 없으므로 판정을 내리지 않는다. 누구나 읽을 수 있는 JSON 문자열은 모두 ", total, "개이며, 다음과 같다."];
    readable_table(shown: u64, total: u64):
        line!["Readable strings, ", shown, " of ", total],
        line!["읽히는 문자열 ", total, "개 중 ", shown, "개"];
    withheld(): line!["(withheld: its name says that it is a secret)"], line!["(이름으로 보아 비밀이므로 가림)"];

    // 6.3
    still_text():
        line!["TLS hides what is said, not that something is said. This is what everybody on the wire sees all the same:"],
        line!["TLS는 무슨 말을 하는지를 감추지만, 말을 한다는 사실까지 감추지는 않는다. 다음은 그래도 네트워크를 엿보는 누구에게나 보이는 것이다."];
    still_none():
        line!["No capture of this report holds TLS."],
        line!["이 보고서에는 TLS를 담은 캡처가 없다."];
    still_table(name: &str, stream: u32):
        line![captured(name), ", connection of TCP stream ", u64::from(stream)],
        line![captured(name), ", TCP 스트림 ", u64::from(stream), "의 연결"];
    still_connections(connections: u64, shown: u64, records: u64):
        line!["The capture holds ", connections, " TLS connections with ", records, " records; the table shows ", shown, " of them."],
        line!["이 캡처에는 TLS 연결 ", connections, "개와 레코드 ", records, "개가 있으며, 표는 그중 연결 ", shown, "개를 보인다."];
    shape_text(is_same: bool):
        line!["Sizes and times stay visible too. Each bar is what one side sent before the other did.",
            if is_same { " TLS puts its handshake in front; behind it the sizes follow each other as they do without it: whoever knows the conversation recognises it, encrypted or not." } else { "" }],
        line!["크기와 시각도 그대로 보인다. 막대 하나는 상대가 말하기 전까지 한쪽이 보낸 양이다.",
            if is_same { " TLS는 앞에 핸드셰이크를 붙일 뿐, 그 뒤로는 TLS가 없을 때와 같은 순서로 크기가 이어진다. 대화를 아는 사람은 암호화되어 있어도 알아볼 수 있다." } else { "" }];
    shape_caption(largest: &str, first: Option<u64>):
        line!["Payload that each side of the first connection sent in turn, in order; logarithmic, the largest ", largest, " bytes",
            first.map_or_else(String::new, |first| format!("; the first {first} turns of more"))],
        line!["첫 연결에서 양쪽이 번갈아 보낸 페이로드(로그 눈금, 최대 ", largest, "바이트",
            first.map_or_else(String::new, |first| format!(", 처음 {first}번만 보인다")), ")"];

    // 6.4
    costs_text(is_same: bool):
        line![if is_same { "The same conversation, side by side. " } else { "What each capture took. " }, "Bytes and packets are exact for these captures. Times are those of a single run on one machine: they show the order of magnitude, not a benchmark."],
        line![if is_same { "같은 대화를 나란히 놓고 비교한다. " } else { "캡처마다 든 비용이다. " }, "바이트와 패킷 수는 이 캡처에서 정확한 값이다. 시간은 한 컴퓨터에서 한 번 실행한 값이므로 크기의 정도를 보일 뿐 벤치마크는 아니다."];
    costs_table(): line!["Costs"], line!["비용"];
    costs_note(answered: u64):
        line!["Latency: from the first frame of the request to the last frame of the answer, over ", answered, " answered calls. ", code("lab cost"), " repeats the runs two hundred times."],
        line!["지연 시간은 요청의 첫 프레임부터 응답의 마지막 프레임까지이며, 응답을 받은 호출 ", answered, "개의 값이다. 여러 번 반복한 값은 ", code("lab cost"), " 명령으로 잴 수 있다."];
    latency_caption(shown: u64, total: u64): if shown < total {
        line!["Latency of the first ", shown, " of ", total, " calls"]
    } else {
        line!["Latency of each call"]
    }, if shown < total {
        line!["호출 ", total, "개 중 처음 ", shown, "개의 지연 시간"]
    } else {
        line!["호출별 지연 시간"]
    };

    // 7
    controls_text():
        line!["That a search finds nothing means little: it may be blind. Here “not found” counts as “not visible” only because all of this holds in the very capture it is said of:"],
        line!["검색이 아무것도 찾지 못했다는 말에는 큰 뜻이 없다. 검색이 눈멀었을 수도 있기 때문이다. 여기서 “찾지 못했다”를 “보이지 않는다”로 볼 수 있는 까닭은, 바로 그 캡처에서 다음이 모두 성립하기 때문이다."];
    controls_text_doubt():
        line!["That a search finds nothing means little: it may be blind. “Not found” may count as “not visible” only where all of this holds in the very capture it is said of. ", strong("In this run it does not hold everywhere"), "; what failed is listed with the conclusion."],
        line!["검색이 아무것도 찾지 못했다는 말에는 큰 뜻이 없다. 검색이 눈멀었을 수도 있기 때문이다. “찾지 못했다”는 바로 그 캡처에서 다음이 모두 성립할 때만 “보이지 않는다”로 볼 수 있다. ", strong("이 실행에서는 그 가운데 성립하지 않는 것이 있으며"), ", 무엇이 실패했는지는 결론에 적는다."];
    controls_table(): line!["Controls, and what each showed"], line!["대조 검사와 그 결과"];
    control_positive_showed(found: u64, strings: u64, searched: u64, decrypted: u64, key_log: bool):
        line![found, " of ", strings, " strings found", if key_log { line![" with the key log; ", decrypted, " decrypted bytes"] } else { line![] }, "; ", searched, " bytes searched"],
        line!["문자열 ", strings, "개 중 ", found, "개를 찾음", if key_log { line!["(키 로그 사용, 복호화한 ", decrypted, "바이트)"] } else { line![] }, ", ", searched, "바이트를 검색"];
    control_decoys_showed(found: u64, searched: u64):
        line![found, " of ", searched, " found"],
        line![searched, "개 중 ", found, "개 발견"];
    control_wrong_key_showed(authenticated: u64, tried: u64):
        line![authenticated, " of ", tried, " records authenticated"],
        line!["레코드 ", tried, "개 중 ", authenticated, "개 인증"];
    control_messages_showed(accounted: u64, expected: u64):
        line![accounted, " of ", expected],
        line![expected, "개 중 ", accounted, "개"];
    control_streams_showed(whole: u64, streams: u64, gaps: u64, conflicts: u64):
        line![whole, " of ", streams, " whole; ", gaps, " gaps, ", conflicts, " conflicts"],
        line![streams, "개 중 ", whole, "개 온전, 빈 곳 ", gaps, "개, 충돌 ", conflicts, "개"];
    control_explained_showed(unexplained: u64):
        line![unexplained, " unexplained"],
        line!["설명되지 않은 바이트 ", unexplained, "개"];
    control_file_showed(hash: Option<bool>, drops: Option<u64>, cut: u64):
        line!["hash ", match hash { Some(true) => "as in the manifest", Some(false) => "differs from the manifest", None => "not vouched for" },
            ", ", match drops { Some(drops) => format!("{} frames dropped", format::count(drops)), None => "no kernel queue".to_owned() },
            ", ", cut, " cut"],
        line!["해시 ", match hash { Some(true) => "매니페스트와 일치", Some(false) => "매니페스트와 다름", None => "보증 없음" },
            ", ", match drops { Some(drops) => format!("버려진 프레임 {}개", format::count(drops)), None => "커널 큐 없음".to_owned() },
            ", 잘린 프레임 ", cut, "개"];
    controls_chance(worst: &str):
        line!["A short string can stand in ciphertext by chance. Strings shorter than eight bytes and numbers are therefore searched together with their JSON key, and for each string the number of hits to be expected in random bytes is computed. For the likeliest string listed here it is ", worst, "."],
        line!["짧은 문자열은 암호문 속에 우연히 나타날 수 있다. 그래서 8바이트보다 짧은 문자열과 숫자는 JSON 키와 함께 찾고, 문자열마다 무작위 바이트에서 우연히 일치할 기댓값을 계산한다. 여기에 실린 문자열 가운데 가장 큰 기댓값은 ", worst, "이다."];

    // 8
    environment_text():
        line!["What stood in the way of a clean comparison on real machines, and what is done about it:"],
        line!["실제 컴퓨터에서 공정한 비교를 가로막던 것과 그 해결책은 다음과 같다."];
    environment_backend(backend: Option<&str>): match backend {
        Some("netns") => line![strong("Where the traffic runs."), " The lab takes the first backend that works. Here that was ", code("netns"), ": it needs Linux with unprivileged user namespaces (or root), and neither Docker nor a packet-capture library."],
        Some("relay") => line![strong("Where the traffic runs."), " The lab takes the first backend that works, or the one that is asked for. Here that was ", code("relay"), ", which needs no privilege on any system. ", code("netns"), " needs Linux with unprivileged user namespaces, or root."],
        Some("docker") => line![strong("Where the traffic runs."), " These runs used ", code("docker"), ", which was asked for. Without Docker, ", code("make lab"), " takes a backend that the machine can do."],
        _ => line![strong("Where the traffic runs."), " The captures were not made here."],
    }, match backend {
        Some("netns") => line![strong("트래픽이 흐르는 곳."), " 실습은 되는 백엔드 가운데 첫 번째를 고른다. 여기서는 ", code("netns"), "였다. 일반 사용자에게 사용자 네임스페이스를 허용하는 Linux(또는 root)면 되고, Docker도 패킷 캡처 라이브러리도 필요 없다."],
        Some("relay") => line![strong("트래픽이 흐르는 곳."), " 실습은 되는 백엔드 가운데 첫 번째, 또는 지정한 것을 쓴다. 여기서는 ", code("relay"), "였으며 어떤 운영체제에서도 권한이 필요 없다. ", code("netns"), "는 사용자 네임스페이스를 허용하는 Linux나 root가 필요하다."],
        Some("docker") => line![strong("트래픽이 흐르는 곳."), " 이 실행은 지정한 대로 ", code("docker"), "를 썼다. Docker가 없으면 ", code("make lab"), "이 그 컴퓨터에서 되는 백엔드를 고른다."],
        _ => line![strong("트래픽이 흐르는 곳."), " 이 캡처는 여기서 만든 것이 아니다."],
    };
    environment_macos():
        line![strong("Capturing on macOS."), " Docker Desktop runs containers in a virtual machine. There, a third container that listens on the interface ", code("any"), " sees nothing of the traffic between two others. The capturer therefore shares agent-b's network namespace (", code("network_mode: service:agent-b"), "); without Docker the backend ", code("relay"), " records on any system."],
        line![strong("macOS에서의 캡처."), " Docker Desktop은 컨테이너를 가상 머신 안에서 돌린다. 그곳에서 세 번째 컨테이너가 ", code("any"), " 인터페이스를 들어도 다른 두 컨테이너 사이의 트래픽은 보이지 않는다. 그래서 캡처 프로그램은 agent-b의 네트워크 네임스페이스를 함께 쓴다(", code("network_mode: service:agent-b"), "). Docker가 없으면 ", code("relay"), " 백엔드가 어떤 운영체제에서든 기록한다."];
    environment_offload(checksums: u64, segments: u64):
        line![strong("Offloading."), " Kernels leave checksums and segmentation to the network card, so that a capture shows frames of 64 KiB that never cross a real wire. The lab switches this off where it may. In these captures ", checksums, " frames have an unfinished checksum and ", segments, " stand for several segments."],
        line![strong("오프로드."), " 커널은 체크섬과 세그먼트 분할을 네트워크 카드에 맡기므로, 실제 회선에는 없는 64 KiB짜리 프레임이 캡처에 나타날 수 있다. 실습은 가능한 곳에서 이 기능을 끈다. 이 캡처에서 체크섬이 채워지지 않은 프레임은 ", checksums, "개, 여러 세그먼트를 대신하는 프레임은 ", segments, "개이다."];
    environment_loss(retransmissions: u64, out_of_order: u64, drops: u64):
        line![strong("Losses."), " Frames that the kernel dropped: ", drops, "; retransmissions: ", retransmissions, "; segments out of order: ", out_of_order, ". A capture with a hole in a stream or a dropped frame is never called sealed."],
        line![strong("손실."), " 커널이 버린 프레임 ", drops, "개, 재전송 ", retransmissions, "개, 순서가 바뀐 세그먼트 ", out_of_order, "개이다. 스트림에 빈 곳이 있거나 버려진 프레임이 있는 캡처는 봉인으로 판정하지 않는다."];
    environment_nagle():
        line![strong("Delays that would be blamed on TLS."), " Nagle's algorithm against delayed acknowledgements (40 ms), the crypto library's entropy at start (35 ms), a client pool that opens a second connection: each is switched off for both variants, and both speak HTTP/1.1, so that the only difference is TLS."],
        line![strong("TLS 탓으로 오해할 지연."), " Nagle 알고리즘과 지연된 ACK(40 ms), 암호 라이브러리의 초기 엔트로피 수집(35 ms), 두 번째 연결을 여는 클라이언트 풀은 두 변형 모두에서 껐다. 또한 두 변형 모두 HTTP/1.1로만 말하므로 차이는 TLS뿐이다."];

    // 9
    conclusion_proven_text(readable: u64, plain_total: u64, sealed_total: u64):
        line!["Proven: of the ", plain_total, " strings said over HTTP, ", readable, " can be read by anybody on the wire. Of the ", sealed_total, " said over TLS, none can be read without the keys, and the same search finds all of them with the keys, in this very capture. Both captures are complete and no control failed. So it is TLS that hides them."],
        line!["증명되었다. HTTP로 오간 문자열 ", plain_total, "개 중 ", readable, "개를 네트워크를 엿보는 누구나 읽을 수 있다. TLS로 오간 문자열 ", sealed_total, "개는 키 없이는 하나도 읽을 수 없고, 키가 있으면 똑같은 검색이 바로 이 캡처에서 전부 찾아낸다. 두 캡처는 완전하며 실패한 대조 검사는 없다. 따라서 이 문자열을 감춘 것은 TLS이다."];
    conclusion_proven_limits():
        line!["What this does not say: it speaks of these strings in these captures. Addresses, the server's name, sizes and times stay visible (6.3), and no cipher was attacked."],
        line!["이 결론이 말하지 않는 것도 있다. 이 캡처의 이 문자열에 관한 결론이며, 주소, 서버 이름, 크기, 시각은 여전히 보인다(6.3). 암호 자체를 공격해 본 것도 아니다."];
    conclusion_refuted_text():
        line!["Refuted: at least one capture shows the opposite of what its variant should show. The claim that this lab sets out to prove does not hold for this run. Before anything else, the reasons below have to be explained."],
        line!["반증되었다. 적어도 한 캡처가 그 변형에서 예상한 것과 정반대의 결과를 보인다. 이 실습이 증명하려던 명제는 이 실행에서 성립하지 않는다. 무엇보다 먼저 아래의 이유를 밝혀야 한다."];
    conclusion_inconclusive_text():
        line!["Inconclusive: no conclusion may be drawn from this run, whatever the tables above show. As long as a control failed or something is missing, strings that were not found may still have been there. The run has to be repeated once the reasons below are dealt with."],
        line!["판정할 수 없다. 위의 표가 무엇을 보이든 이 실행에서는 어떤 결론도 내려서는 안 된다. 대조 검사가 실패했거나 빠진 것이 있는 한, 찾지 못한 문자열도 실제로는 있었을 수 있다. 아래의 이유를 해결한 뒤 다시 실행해야 한다."];
    conclusion_none_text():
        line!["No conclusion: it takes a plaintext capture and a TLS capture of the same conversation to compare. What each capture shows by itself stands in section 6."],
        line!["결론 없음. 결론을 내리려면 같은 대화의 평문 캡처와 TLS 캡처를 견주어야 한다. 각 캡처가 보이는 것은 6장에 있다."];

    // Appendices
    evidence_text():
        line!["Everything that this report claims can be checked in the capture files. Frames count from 1, as Wireshark counts; offsets are bytes from the start of the file."],
        line!["이 보고서의 모든 주장은 캡처 파일에서 확인할 수 있다. 프레임 번호는 Wireshark처럼 1부터 세고, 오프셋은 파일 처음부터의 바이트 수이다."];
    evidence_files_table(): line!["Capture files"], line!["캡처 파일"];
    evidence_strings_table(name: &str):
        line!["Strings in ", captured(name)],
        line![captured(name), "의 문자열"];
    evidence_strings_note(shown: u64, total: u64):
        line!["Shown are ", shown, " of ", total, " strings: those of the first request, and the first of every level. The others stand in the analyzer's result, exposure.json."],
        line!["문자열 ", total, "개 중 ", shown, "개를 보인다. 첫 요청의 문자열과 단계마다 첫 번째 것들이다. 나머지는 분석 결과 exposure.json에 있다."];
    evidence_frames_text(shown: u64):
        line!["The frames that this report refers to, ", shown, " in all."],
        line!["이 보고서가 가리키는 프레임은 모두 ", shown, "개이다."];
    by_hand_intro():
        line!["All it takes is Wireshark and the files in ", code("captures/"), "."],
        line!["Wireshark와 ", code("captures/"), "의 파일만 있으면 된다."];
    by_hand_hash(): line!["Compare the hashes with those of appendix A:"], line!["해시를 부록 A의 값과 비교한다."];
    by_hand_plain(name: &str, frame: Inline, filter: &str, value: &str):
        line!["Open ", captured(name), ", put ", captured(filter), " into the display filter and select the frame (", frame, "). The packet bytes pane shows ", captured(value), " as text."],
        line![captured(name), "을 열고 표시 필터에 ", captured(filter), "를 넣은 다음 프레임을 고른다(", frame, "). 패킷 바이트 창에 ", captured(value), "가 글자 그대로 보인다."];
    by_hand_follow(stream: u32):
        line!["Right-click it, Follow > TCP Stream (stream ", u64::from(stream), "): the request and the answer stand there as in section 6.2."],
        line!["그 프레임을 오른쪽 클릭하고 Follow > TCP Stream을 고른다(스트림 ", u64::from(stream), "). 요청과 응답이 6.2절과 같이 보인다."];
    by_hand_sealed(name: &str, frame: Inline, filter: &str, value: &str):
        line!["Open ", captured(name), " and select ", captured(filter), " (", frame, "): Wireshark says “Application Data” and shows ciphertext. Edit > Find Packet, packet bytes, string ", captured(value), ": nothing is found."],
        line![captured(name), "을 열고 ", captured(filter), "를 고른다(", frame, "). Wireshark는 “Application Data”라고 하며 암호문만 보인다. Edit > Find Packet에서 packet bytes, string으로 ", captured(value), "를 찾으면 아무것도 나오지 않는다."];
    by_hand_keys():
        line!["Now give Wireshark the key log. The same frame shows HTTP, and the string is there: that is the positive control."],
        line!["이제 Wireshark에 키 로그를 준다. 같은 프레임에서 HTTP가 보이고 문자열도 나온다. 이것이 양성 대조이다."];
    by_hand_names(stream: u32):
        line!["What stays visible: filter ", code(format!("tcp.stream == {stream} && tls.handshake")), " and look at the Client Hello: server name, ALPN, versions, key share."],
        line!["여전히 보이는 것: 필터 ", code(format!("tcp.stream == {stream} && tls.handshake")), "로 Client Hello를 보면 서버 이름, ALPN, 버전, 키 공유가 보인다."];
    written_by(analyzer: &str, version: &str):
        line!["Written by plainsight ", code(env!("CARGO_PKG_VERSION")), " from the result of ", captured(analyzer), " ", captured(version), "; every number in it comes from that result."],
        line!["plainsight ", code(env!("CARGO_PKG_VERSION")), "이 ", captured(analyzer), " ", captured(version), "의 결과로 작성했다. 모든 수치는 그 결과에서 나온 것이다."];
}

/// A level as a word with its colour.
fn level_badge(lang: Lang, level: Level) -> Inline {
    Inline::Level { level, text: lang.level_name(level).to_owned() }
}

/// What drawings say to those who do not see them.
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

    pub(crate) fn latency_alt(self, calls: u64) -> String {
        match self {
            Self::En => format!("Latency of {} calls, a bar for each capture", format::count(calls)),
            Self::Ko => format!("호출 {}개의 지연 시간. 캡처마다 막대 하나", format::count(calls)),
        }
    }

    pub(crate) fn setup_alt(self, backend: Option<&str>) -> String {
        match (self, backend) {
            (Self::En, Some("netns")) => "agent-a and agent-b in two network namespaces joined by a veth pair, the capturer beside agent-b".to_owned(),
            (Self::En, Some("relay")) => "agent-a and agent-b on loopback with a recording relay between them".to_owned(),
            (Self::En, Some("docker")) => "agent-a and agent-b in containers, the capturer in agent-b's network namespace".to_owned(),
            (Self::En, _) => "a client and a server, and a capture of the wire between them".to_owned(),
            (Self::Ko, Some("netns")) => "veth 쌍으로 이은 두 네트워크 네임스페이스의 agent-a와 agent-b, 그리고 agent-b 곁의 캡처 프로그램".to_owned(),
            (Self::Ko, Some("relay")) => "루프백의 agent-a와 agent-b, 그 사이의 기록하는 중계기".to_owned(),
            (Self::Ko, Some("docker")) => "컨테이너에 있는 agent-a와 agent-b, agent-b의 네트워크 네임스페이스에 있는 캡처 프로그램".to_owned(),
            (Self::Ko, _) => "클라이언트와 서버, 그 사이의 회선을 뜬 캡처".to_owned(),
        }
    }
}
