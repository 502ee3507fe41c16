//! Names, headings, and the texts of tables and figures.

use exposure_schema::{Conclusion, Direction, Ended, Level, Verdict};

use super::{Lang, label_texts};
use crate::document::{Rank, format};

label_texts! {
    default_title: "What an eavesdropper can read: two agents over HTTP and over HTTPS",
        "네트워크를 엿보면 무엇을 읽을 수 있는가: HTTP와 HTTPS로 통신하는 두 에이전트";
    author: "Author", "작성자";
    course: "Course", "과목";
    date: "Date", "날짜";
    contents: "Contents", "목차";
    result_at_a_glance: "Result", "실습 결과";
    skip_to_text: "Skip to the report", "본문으로 건너뛰기";

    aim: "Aim", "실습 목표";
    setup: "Setup", "전체 구성";
    layout: "Project layout", "프로젝트 구조";
    pieces: "The main pieces", "핵심 구성 요소";
    pieces_compose: "The Compose file", "Compose 파일";
    pieces_client: "The client, agent-a", "클라이언트 agent-a";
    pieces_server: "The server, agent-b", "서버 agent-b";
    running: "How it was run", "실행 방법";
    results: "Results", "실습 결과";
    logged: "What the agents logged", "에이전트가 남긴 기록";
    on_the_wire: "What an eavesdropper can read of the agents' messages", "네트워크를 엿보는 사람이 읽을 수 있는 메시지";
    still_shown: "What TLS still shows", "TLS를 써도 드러나는 것";
    costs: "What TLS costs", "TLS의 비용";
    controls: "Controls and completeness", "대조 검사와 완전성";
    environment: "Environment issues and how they were solved", "환경 문제와 해결";
    conclusion: "Conclusion", "결론";
    by_hand: "Checking it by hand in Wireshark", "Wireshark로 직접 확인하기";
    appendix: "Appendix", "부록";
    appendix_evidence: "Evidence", "증거 목록";
    appendix_code: "More of the code", "그 밖의 코드";
    appendix_figures: "The first exchange, packet by packet", "첫 교환의 패킷";

    capture: "Capture", "캡처";
    variant: "Variant", "변형";
    protocol: "Protocol", "프로토콜";
    backend: "Backend", "백엔드";
    vantage: "Vantage point", "관찰 위치";
    vantage_interface: "network interface", "네트워크 인터페이스";
    vantage_relay: "recording relay", "기록 중계기";
    interface: "Interface", "인터페이스";
    filter: "Filter", "필터";
    port: "Port", "포트";
    frames: "Frames", "프레임";
    file: "File", "파일";
    file_bytes: "Size", "크기";
    sha256: "SHA-256", "SHA-256";
    verdict: "Verdict", "판정";
    expected: "Expected", "예상";
    run_id: "Run id", "실행 id";
    started: "Started", "시작";
    ended: "Ended", "끝";
    first_frame: "First frame", "첫 프레임";
    last_frame: "Last frame", "마지막 프레임";
    capturer: "Capturer", "캡처 프로그램";
    analyzer: "Analyzer", "분석기";
    journals: "Journals", "저널";
    key_log: "Key log", "키 로그";
    none: "none", "없음";
    unknown: "not known", "알 수 없음";
    path: "Path", "경로";
    role: "What it is", "하는 일";

    request: "Request", "요청";
    answer: "Answer", "응답";
    call: "Call", "호출";
    time_since_start: "Sent after", "보낸 시각";
    status: "Status", "상태";
    message_level: "Request body", "요청 본문";

    level: "Level", "단계";
    level_requires: "What reading it requires", "읽는 데 필요한 것";
    string: "String", "문자열";
    json_path: "JSON path", "JSON 경로";
    frame_column: "Frame", "프레임";
    file_offset: "File offset", "파일 오프셋";
    wire_bytes_column: "Bytes on the wire", "전송된 바이트";
    total: "Total", "합계";
    side_by_side: "Side by side", "나란히";
    show: "Show", "보기";
    follow_stream: "Follow stream", "스트림 따라가기";
    needs_key: "needs the key log", "키 로그가 있어야 읽을 수 있다";
    readable_without_key: "anyone can read it", "누구나 읽을 수 있다";
    server_name_mark: "Server name (SNI)", "서버 이름(SNI)";
    evidence_link: "Evidence", "증거";
    captured_text_note: "· replaces a byte that is not printable", "·는 인쇄할 수 없는 바이트를 나타낸다";

    strings_by_level: "Strings by level", "단계별 문자열";
    kinds_of_bytes: "The bytes of each capture", "캡처별 바이트 구성";
    kind_headers: "link, IP and TCP headers", "링크·IP·TCP 헤더";
    kind_clear: "readable payload", "읽을 수 있는 페이로드";
    kind_tls_clear: "TLS records in the clear", "암호화되지 않은 TLS 레코드";
    kind_ciphertext: "ciphertext", "암호문";
    kind_other: "other frames", "그 밖의 프레임";
    entropy: "Entropy of the payload", "페이로드의 엔트로피";
    bits_per_byte: "bits per byte", "비트/바이트";
    more_data: "data", "이어지는 데이터";
    to_server: "to the server", "서버 방향";
    to_client: "to the client", "클라이언트 방향";

    measure: "Measure", "항목";
    visible_addresses: "Addresses and ports", "주소와 포트";
    visible_sni: "Server name (SNI)", "서버 이름(SNI)";
    visible_alpn_offered: "ALPN offered", "제안한 ALPN";
    visible_alpn: "ALPN chosen", "선택된 ALPN";
    visible_versions: "Versions offered", "제안한 버전";
    visible_version: "Version", "버전";
    visible_suite: "Cipher suite", "암호 스위트";
    visible_group: "Key exchange", "키 교환";
    post_quantum: "post-quantum hybrid", "양자 내성 하이브리드";
    not_post_quantum: "not post-quantum", "양자 내성 아님";
    visible_certificate: "Certificate", "인증서";
    visible_records: "Records (client, server)", "레코드 수(클라이언트, 서버)";
    visible_bytes: "Stream bytes (client, server)", "스트림 바이트(클라이언트, 서버)";
    encrypted: "encrypted", "암호화됨";
    visible: "In the clear", "그대로 보이는 값";
    with_key_log: "Only with the key log", "키 로그로만 보이는 값";
    first_proof: "Seen in", "확인한 곳";

    cost_frames: "Frames", "프레임 수";
    cost_wire_bytes: "Bytes on the wire", "전송된 바이트";
    cost_payload: "TCP payload bytes", "TCP 페이로드 바이트";
    cost_connections: "TCP connections", "TCP 연결 수";
    cost_round_trips: "Round trips before the first answer", "첫 응답까지의 왕복 횟수";
    difference: "Difference", "차이";

    control: "Control", "검사";
    asks: "What it asks", "무엇을 묻는가";
    control_positive: "Positive control", "양성 대조";
    control_positive_asks: "Does the same search find every string in the same capture (inside TLS with the key log)?",
        "똑같은 검색이 같은 캡처에서 모든 문자열을 찾아내는가(TLS 안쪽은 키 로그로)?";
    control_decoys: "Decoys", "미끼";
    control_decoys_asks: "Does the search find no value that has the same form but was never sent?",
        "형식은 같지만 보낸 적 없는 값은 하나도 나오지 않는가?";
    control_wrong_key: "Wrong keys", "틀린 키";
    control_wrong_key_asks: "Does no record authenticate under wrong keys?",
        "틀린 키로는 어떤 레코드도 인증되지 않는가?";
    control_planted: "Planted strings", "심은 문자열";
    control_planted_asks: "Does the search without keys find every string that is planted in copies of the capture's own frames?",
        "캡처의 프레임을 복사해 심어 둔 문자열을 키 없이 모두 찾아내는가?";
    control_coverage: "Coverage", "검색 범위";
    control_coverage_asks: "Was every captured byte searched, in its stream or with its frame?",
        "캡처한 모든 바이트를 스트림이나 프레임 단위로 검색했는가?";
    control_messages: "Messages", "메시지";
    control_messages_asks: "Does the capture contain every message of the journals, byte for byte?",
        "캡처에 저널의 모든 메시지가 바이트까지 똑같이 들어 있는가?";
    control_streams: "Streams", "스트림";
    control_streams_asks: "Is every TCP stream whole: handshake seen, no gap, no conflict, nothing cut?",
        "모든 TCP 스트림이 온전한가: 핸드셰이크가 있고 빈 곳, 충돌, 잘림이 없는가?";
    control_explained: "Explained bytes", "설명된 바이트";
    control_explained_asks: "Does every payload byte belong to a decoded message or to an authenticated record?",
        "페이로드의 모든 바이트가 해석한 메시지나 인증된 레코드에 속하는가?";
    control_file: "Capture file", "캡처 파일";
    control_file_asks: "Is the file the one that the capturer closed, and did the kernel drop nothing?",
        "캡처 프로그램이 닫은 바로 그 파일이며, 커널이 버린 프레임은 없는가?";
    not_applicable: "not applicable", "해당 없음";
    passed: "passed", "통과";
    failed: "failed", "실패";

    time: "Time", "시각";
    ends: "From, to", "보낸 쪽 → 받는 쪽";
    holds: "Begins here", "여기서 시작되는 것";
    size: "Size", "크기";
    wireshark_filter: "Wireshark filter", "Wireshark 필터";
    undo: "Layers to undo", "풀어야 할 계층";
    layers_none: "none", "없음";

    window_source: "Source", "출발지";
    window_destination: "Destination", "목적지";
    window_is_drawn: "a drawing, not a screenshot", "스크린샷이 아니라 그린 그림";

    tap: "records every frame", "모든 프레임을 기록";
    drawing_netns_a: "network namespace A", "네트워크 네임스페이스 A";
    drawing_netns_b: "network namespace B", "네트워크 네임스페이스 B";
    drawing_container: "container", "컨테이너";
    drawing_shared: "network namespace of agent-b", "agent-b의 네트워크 네임스페이스";
    drawing_loopback: "loopback", "루프백";
    drawing_client: "client", "클라이언트";
    drawing_server: "server", "서버";
    drawing_wire: "network", "네트워크";
    drawing_veth: "veth pair", "veth 쌍";
    drawing_network: "Docker network", "Docker 네트워크";
    drawing_relay: "recording relay", "기록 중계기";
    drawing_unknown_origin: "capture from elsewhere", "다른 곳에서 가져온 캡처";
    drawing_journals: "journals: what was sent", "저널: 보낸 메시지";
}

impl Lang {
    /// A section by its number, within a sentence.
    pub(crate) fn section(self, rank: Rank, number: &str) -> String {
        match (self, rank) {
            (Self::En, Rank::Chapter | Rank::Part) => format!("section {number}"),
            (Self::En, Rank::Appendix) => format!("appendix {number}"),
            (Self::Ko, Rank::Chapter) => format!("{number}장"),
            (Self::Ko, Rank::Part) => format!("{number}절"),
            (Self::Ko, Rank::Appendix) => format!("부록 {number}"),
        }
    }

    /// A section that the report does not have.
    pub(crate) fn section_left_out(self, title: &str) -> String {
        match self {
            Self::En => format!("“{title}” (left out)"),
            Self::Ko => format!("“{title}”(생략)"),
        }
    }

    /// What is before the numbers of frames.
    pub(crate) fn in_frames(self, number: usize) -> &'static str {
        match self {
            Self::En if number == 1 => "frame",
            Self::En => "frames",
            Self::Ko => "프레임",
        }
    }

    pub(crate) fn window_follow(self, stream: u32) -> String {
        match self {
            Self::En => format!("Follow TCP Stream (tcp.stream eq {stream})"),
            Self::Ko => format!("TCP 스트림 따라가기 (tcp.stream eq {stream})"),
        }
    }

    pub(crate) fn window_alt(self, name: &str) -> String {
        match self {
            Self::En => format!("The first packets of {name} in a list, and the text of their stream below"),
            Self::Ko => format!("{name} 캡처의 첫 패킷 목록과 그 아래 스트림의 내용"),
        }
    }

    /// The title of the contents of TLS records, which have this length.
    pub(crate) fn opened_record(self, wire_bytes: u64) -> String {
        match self {
            Self::En => format!("{} of these, opened with the key log", self.bytes(wire_bytes)),
            Self::Ko => format!("이 중 {}를 키 로그로 복호화한 내용", self.bytes(wire_bytes)),
        }
    }

    pub(crate) fn frame(self, number: u64) -> String {
        match self {
            Self::En => format!("frame {number}"),
            Self::Ko => format!("프레임 {number}"),
        }
    }

    pub(crate) fn bytes(self, number: u64) -> String {
        match self {
            Self::En if number == 1 => "1 byte".to_owned(),
            Self::En => format!("{} bytes", format::count(number)),
            Self::Ko => format!("{}바이트", format::count(number)),
        }
    }

    pub(crate) fn strings(self, number: u64) -> String {
        match self {
            Self::En if number == 1 => "1 string".to_owned(),
            Self::En => format!("{} strings", format::count(number)),
            Self::Ko => format!("문자열 {}개", format::count(number)),
        }
    }

    pub(crate) fn and_more(self, number: u64) -> String {
        match self {
            Self::En => format!("and {} more", format::count(number)),
            Self::Ko => format!("외 {}개", format::count(number)),
        }
    }

    pub(crate) fn further_frames(self, number: u64) -> String {
        match self {
            Self::En if number == 1 => "1 further frame".to_owned(),
            Self::En => format!("{} further frames", format::count(number)),
            Self::Ko => format!("프레임 {}개 생략", format::count(number)),
        }
    }

    pub(crate) fn level_name(self, level: Level) -> &'static str {
        match self {
            Self::En => level.name(),
            Self::Ko => match level {
                Level::Verbatim => "그대로",
                Level::Reassembled => "재조립",
                Level::Decoded => "디코딩",
                Level::Decrypted => "복호화",
                Level::Absent => "없음",
            },
        }
    }

    pub(crate) fn level_requirement(self, level: Level) -> &'static str {
        match (self, level) {
            (Self::En, Level::Verbatim) => "nothing: one frame contains it, and grep finds it",
            (Self::En, Level::Reassembled) => "joining TCP segments",
            (Self::En, Level::Decoded) => {
                "undoing an encoding that needs no secret (JSON escapes, chunks, gzip, base64, …)"
            }
            (Self::En, Level::Decrypted) => "the TLS key log",
            (Self::En, Level::Absent) => "not found",
            (Self::Ko, Level::Verbatim) => "없음. 한 프레임에 그대로 들어 있어 grep으로도 찾는다",
            (Self::Ko, Level::Reassembled) => "TCP 세그먼트 이어 붙이기",
            (Self::Ko, Level::Decoded) => {
                "키 없이 풀 수 있는 인코딩 풀기(JSON 이스케이프, chunked, gzip, base64 등)"
            }
            (Self::Ko, Level::Decrypted) => "TLS 키 로그",
            (Self::Ko, Level::Absent) => "찾지 못함",
        }
    }

    pub(crate) fn verdict_name(self, verdict: Verdict) -> &'static str {
        match (self, verdict) {
            (Self::En, Verdict::Exposed) => "exposed",
            (Self::En, Verdict::Sealed) => "sealed",
            (Self::En, Verdict::Inconclusive) => "inconclusive",
            (Self::Ko, Verdict::Exposed) => "노출",
            (Self::Ko, Verdict::Sealed) => "봉인",
            (Self::Ko, Verdict::Inconclusive) => "판정 불가",
        }
    }

    pub(crate) fn headline(self, conclusion: Option<Conclusion>) -> &'static str {
        match (self, conclusion) {
            (Self::En, Some(Conclusion::Proven)) => "Proven",
            (Self::En, Some(Conclusion::Refuted)) => "Refuted",
            (Self::En, Some(Conclusion::Inconclusive)) => "Inconclusive: nothing is proven",
            (Self::En, None) => "No comparison",
            (Self::Ko, Some(Conclusion::Proven)) => "증명됨",
            (Self::Ko, Some(Conclusion::Refuted)) => "반증됨",
            (Self::Ko, Some(Conclusion::Inconclusive)) => "판정 불가: 증명된 것이 없음",
            (Self::Ko, None) => "비교하지 않음",
        }
    }

    pub(crate) fn direction(self, direction: Direction) -> &'static str {
        match direction {
            Direction::ClientToServer => "agent-a → agent-b",
            Direction::ServerToClient => "agent-b → agent-a",
        }
    }

    pub(crate) fn connection_ended(self, ended: Ended) -> &'static str {
        match (self, ended) {
            (Self::En, Ended::Fin) => "ended by FIN",
            (Self::En, Ended::Rst) => "ended by RST",
            (Self::En, Ended::Open) => "still open",
            (Self::Ko, Ended::Fin) => "FIN으로 끝남",
            (Self::Ko, Ended::Rst) => "RST로 끝남",
            (Self::Ko, Ended::Open) => "닫히지 않음",
        }
    }

    /// The purpose of a part of the project, one of [`LAYOUT`](crate::document::sources::LAYOUT).
    pub(crate) fn part(self, path: &str) -> &'static str {
        match (self, path) {
            (Self::En, "docker-compose.http.yml") => "the experiment in containers, over HTTP",
            (Self::En, "docker-compose.https.yml") => "the same over HTTPS, with certificates and a key log",
            (Self::En, "Makefile") => {
                "the commands of this report: make lab, make http, make https, make report"
            }
            (Self::En, "crates/agent-core") => {
                "the tool-call messages, the journal, and the transport settings that both runs share"
            }
            (Self::En, "crates/agent-a") => "the client: posts tool calls and checks every answer",
            (Self::En, "crates/agent-b") => "the server: answers POST /tool",
            (Self::En, "crates/serve") => {
                "what the servers share: one code path for HTTP and TLS, limits, readiness"
            }
            (Self::En, "crates/certgen") => "the lab's certificate authority and the server's certificate",
            (Self::En, "crates/experiment") => {
                "the table of variants, run ids, and the manifest that the capturer writes"
            }
            (Self::En, "crates/lab") => "runs a variant without Docker and leaves nothing behind",
            (Self::En, "crates/live") => "the page: a conversation beside its packets, and captures to open",
            (Self::En, "crates/capturer") => {
                "packets from an interface or through a relay, to a pcap file and its manifest"
            }
            (Self::En, "crates/craft") => "writes frames and capture files, for the relay and for tests",
            (Self::En, "crates/dissect") => {
                "captured bytes to facts: frames, streams, HTTP messages, TLS records"
            }
            (Self::En, "crates/search") => "finds many known strings in streams of bytes, in every encoding",
            (Self::En, "crates/analyze") => {
                "searches for every string that was sent, runs the controls, and gives the verdict"
            }
            (Self::En, "crates/exposure-schema") => "the types of the analyzer's result",
            (Self::En, "crates/policy") => "the rules by which a check judges a result",
            (Self::En, "crates/sandbox") => "runs one command in a disposable sandbox without network",
            (Self::En, "crates/runner") => {
                "the program that runs in the sandboxes of the isolation experiment"
            }
            (Self::En, "crates/isolation-control") => {
                "the control of the isolation experiment: the same program in sandboxes with a network"
            }
            (Self::En, "crates/gateway") => "answers users, each request in a sandbox of its own",
            (Self::En, "crates/plainsight") => "lists the programs",
            (Self::En, "crates/bench") => "measures the analyzer on generated captures",
            (Self::En, "crates/e2e") => "end-to-end tests of the built programs",
            (Self::En, "crates/fuzz-targets") => "fuzz targets of the parsers",
            (Self::En, "crates/test-support") => "what the tests of all crates share",
            (Self::En, "crates/report") => "this report, from the analyzer's result alone",
            (Self::En, "captures") => "captures, manifests, journals and key logs of the last runs",
            (Self::En, _) => "the lab's certificates",
            (Self::Ko, "docker-compose.http.yml") => "컨테이너에서 HTTP로 실행하는 실험",
            (Self::Ko, "docker-compose.https.yml") => "같은 실험을 인증서와 키 로그를 더해 HTTPS로 실행한다",
            (Self::Ko, "Makefile") => "이 보고서에 쓰인 명령: make lab, make http, make https, make report",
            (Self::Ko, "crates/agent-core") => "도구 호출 메시지, 저널, 두 실행이 함께 쓰는 전송 설정",
            (Self::Ko, "crates/agent-a") => "클라이언트. 도구 호출을 보내고 모든 응답을 검사한다",
            (Self::Ko, "crates/agent-b") => "서버. POST /tool에 응답한다",
            (Self::Ko, "crates/serve") => {
                "서버들이 함께 쓰는 코드. HTTP와 TLS를 한 코드 경로로 처리하고 한도와 준비 상태를 관리한다"
            }
            (Self::Ko, "crates/certgen") => "실습용 인증 기관과 서버 인증서를 만든다",
            (Self::Ko, "crates/experiment") => "변형 표, 실행 id, 캡처 프로그램이 작성하는 매니페스트",
            (Self::Ko, "crates/lab") => "Docker 없이 변형을 실행하고 아무것도 남기지 않는다",
            (Self::Ko, "crates/live") => "웹 페이지: 대화와 그 패킷을 나란히 보여 주고 캡처 파일을 연다",
            (Self::Ko, "crates/capturer") => {
                "인터페이스나 중계기에서 패킷을 받아 pcap 파일과 매니페스트로 남긴다"
            }
            (Self::Ko, "crates/craft") => "중계기와 테스트에 쓸 프레임과 캡처 파일을 만든다",
            (Self::Ko, "crates/dissect") => {
                "캡처한 바이트를 프레임, 스트림, HTTP 메시지, TLS 레코드로 해석한다"
            }
            (Self::Ko, "crates/search") => "알려진 문자열 여럿을 바이트 스트림에서 모든 인코딩으로 찾는다",
            (Self::Ko, "crates/analyze") => "보낸 문자열을 모두 검색하고, 대조 검사를 하고, 판정을 내린다",
            (Self::Ko, "crates/exposure-schema") => "분석 결과의 형식을 정의하는 타입",
            (Self::Ko, "crates/policy") => "분석 결과를 판정하는 규칙",
            (Self::Ko, "crates/sandbox") => "네트워크가 없는 일회용 샌드박스에서 명령 하나를 실행한다",
            (Self::Ko, "crates/runner") => "격리 실험의 샌드박스 안에서 실행되는 프로그램",
            (Self::Ko, "crates/isolation-control") => {
                "격리 실험의 대조. 같은 프로그램을 네트워크가 있는 샌드박스에서 실행한다"
            }
            (Self::Ko, "crates/gateway") => "사용자의 요청마다 따로 샌드박스를 만들어 처리하고 응답한다",
            (Self::Ko, "crates/plainsight") => "프로그램 목록을 출력한다",
            (Self::Ko, "crates/bench") => "생성한 캡처로 분석기의 성능을 측정한다",
            (Self::Ko, "crates/e2e") => "빌드한 프로그램 전체를 시험하는 종단 간 테스트",
            (Self::Ko, "crates/fuzz-targets") => "파서의 퍼즈 대상",
            (Self::Ko, "crates/test-support") => "모든 크레이트의 테스트가 함께 쓰는 코드",
            (Self::Ko, "crates/report") => "분석 결과만으로 이 보고서를 만든다",
            (Self::Ko, "captures") => "최근 실행의 캡처, 매니페스트, 저널, 키 로그",
            (Self::Ko, _) => "실습용 인증서",
        }
    }
}
