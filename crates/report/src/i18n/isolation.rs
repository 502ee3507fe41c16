//! The texts about sandboxes without network.

use exposure_schema::{BeaconControl, Credential, IsolationVerdict, MeasuredEntry, TrafficAccount};

use super::{Lang, label_texts, sentence_texts};
use crate::document::line::{Line, captured, code, line, strong};

label_texts! {
    isolation: "Whether anything left the sandboxes", "샌드박스 밖으로 나간 것이 있는가";
    escape_attempt: "Escape attempt", "탈출 시도";
    tried_in_box: "Tried in a sandbox", "샌드박스 안 시도";
    seen: "Seen", "관측";
    tried_with_network: "Tried with a network", "네트워크가 있을 때 시도";
    phase: "Phase", "단계";
    phase_isolated: "sandboxes without network", "네트워크 없는 샌드박스";
    phase_control: "control, with a network", "대조, 네트워크 있음";
    user_traffic: "Users' traffic", "사용자 트래픽";
    beacons: "Beacons", "비컨";
    of_boxes: "Of sandboxes", "샌드박스의 프레임";
    limit: "Limit", "한도";
    in_force: "In force", "실제 값";
    mechanism: "Mechanism", "강제 수단";
    authentication: "Users are named by", "사용자 인증";
    owner: "the owner", "원래 사용자";
    intruder: "the intruder", "침입자";
    shows_beside_the_id: "Shows beside the id", "id 외에 제시한 것";
    answer_seen: "Answer, with the key log", "응답, 키 로그 사용";
    read_without_key: "Read without a key", "키 없이 읽힌 횟수";
    protection_shown: "Shown", "확인";
}

impl Lang {
    /// What a client shows beside a user id.
    pub(crate) fn credential(self, credential: Credential) -> &'static str {
        match (self, credential) {
            (Self::En, Credential::Token) => "its token",
            (Self::Ko, Credential::Token) => "자신의 토큰",
            (Self::En, Credential::Certificate) => "its certificate",
            (Self::Ko, Credential::Certificate) => "자신의 인증서",
            (Self::En, Credential::WrongToken) => "a wrong token",
            (Self::Ko, Credential::WrongToken) => "틀린 토큰",
            (Self::En, Credential::Nothing) => "nothing",
            (Self::Ko, Credential::Nothing) => "없음",
        }
    }
}

sentence_texts! {
    isolation_text(file: &str, backend: &str, boxes: u64):
        line!["Each request of a user runs in a sandbox of its own, without network. In ", captured(file), " (", captured(backend), ", ", boxes, " sandboxes), programs in the sandboxes made every kind of escape attempt while all interfaces of the host were captured. Then they repeated the attempts with a network, and outside any sandbox those that a sandbox refuses even then. A kind of attempt counts as blocked only if it succeeds in this control."],
        line!["사용자의 요청은 저마다 네트워크가 없는 샌드박스에서 실행된다. ", captured(file), "(", captured(backend), ", 샌드박스 ", boxes, "개)에서는 호스트의 모든 인터페이스를 캡처하는 동안 샌드박스 안의 프로그램이 모든 종류의 탈출을 시도했다. 그런 다음 같은 시도를 네트워크가 있는 상태에서 되풀이했고, 그래도 샌드박스가 거부하는 시도는 샌드박스 밖에서 되풀이했다. 이 대조에서 성공한 종류의 시도만 차단된 것으로 본다."];
    isolation_result(verdict: IsolationVerdict, frames: u64, canaries: u64, secrets: u64): match verdict {
        IsolationVerdict::Isolated => line![strong("Isolated."), " From sandboxes without network: ", frames, " frames, ", canaries, " canaries in the captures, ", secrets, " secrets of other users. With a network every escape attempt was seen."],
        IsolationVerdict::Leaked => line![strong("Leaked."), " From sandboxes without network: ", frames, " frames, ", canaries, " canaries in the captures, ", secrets, " secrets of other users."],
        IsolationVerdict::Inconclusive => line![strong("Inconclusive."), " This run does not prove that nothing left the sandboxes; every doubt is listed below."],
    }, match verdict {
        IsolationVerdict::Isolated => line![strong("격리됨."), " 네트워크 없는 샌드박스에서 나온 것은 프레임 ", frames, "개, 캡처에서 발견된 카나리아 ", canaries, "개, 다른 사용자의 비밀 ", secrets, "개이다. 네트워크가 있을 때는 모든 탈출 시도가 관측되었다."],
        IsolationVerdict::Leaked => line![strong("누출됨."), " 네트워크 없는 샌드박스에서 나온 것은 프레임 ", frames, "개, 캡처에서 발견된 카나리아 ", canaries, "개, 다른 사용자의 비밀 ", secrets, "개이다."],
        IsolationVerdict::Inconclusive => line![strong("판정 불가."), " 이 실행은 샌드박스에서 아무것도 나가지 않았음을 증명하지 못한다. 의심스러운 점을 빠짐없이 아래에 적는다."],
    };
    escape_attempts_table(): line!["Escape attempts by kind, without a network and with one"], line!["탈출 시도별 결과, 네트워크가 없을 때와 있을 때"];
    interfaces_table(): line!["Interfaces that packets could have crossed"], line!["패킷이 지나갈 수 있었던 인터페이스"];
    accounts(traffic: TrafficAccount, beacons: BeaconControl):
        line!["Of ", traffic.connections, " connections of users, ", traffic.connections_accounted, " are planned requests and their answers, byte for byte (", traffic.bytes_accounted, " of ", traffic.bytes, " bytes); ", traffic.boxes_answered, " of ", traffic.boxes, " sandboxes without network gave exactly one of these answers. The host sent a beacon on every interface at the start and the end of each capture: ", beacons.seen, " of ", beacons.expected, " are in their captures, so a capture without other frames was alive."],
        line!["사용자의 연결 ", traffic.connections, "개 가운데 ", traffic.connections_accounted, "개는 모든 바이트가 계획된 요청과 그 답이다(바이트 ", traffic.bytes, "개 중 ", traffic.bytes_accounted, "개). 네트워크 없는 샌드박스 ", traffic.boxes, "개 가운데 ", traffic.boxes_answered, "개의 출력이 이 답들 중 정확히 하나이다. 호스트는 캡처의 시작과 끝에 모든 인터페이스로 비컨을 보냈다. 비컨 ", beacons.expected, "개 중 ", beacons.seen, "개가 해당 캡처에 있으므로, 다른 프레임이 없는 캡처도 작동하고 있었다."];
    measured(of: &MeasuredEntry):
        line![captured(&of.kind), ": no sandbox closes this way. ", of.right, " of ", of.bits, " bits passed right from sandbox to sandbox, outside any sandbox ", of.control_right, " of ", of.control_bits, "; half of the bits are right by chance."],
        line![captured(&of.kind), ": 이 길은 어떤 샌드박스도 막지 못한다. 샌드박스 사이에서는 ", of.bits, "비트 가운데 ", of.right, "비트가, 샌드박스 밖에서는 ", of.control_bits, "비트 가운데 ", of.control_right, "비트가 바르게 전달되었다. 우연히도 절반은 맞는다."];
    limits_table(): line!["Limits of a sandbox, as read back from the kernel"], line!["커널에서 다시 읽은 샌드박스의 한도"];
    identity_text(user: &str, read: Line, replayed: Line, answered: Line):
        line![strong("A user id in a header is unauthenticated."), " Over HTTP the id ", captured(user), " was read (", read, "), replayed by another client (", replayed, "), and answered with text that only its owner had sent (", answered, "). TLS hides the id from the network; it does not authenticate the user: ", code("X-User-Id"), " alone proves nothing."],
        line![strong("헤더의 사용자 id는 인증된 값이 아니다."), " HTTP에서는 id ", captured(user), " 값을 읽고(", read, "), 다른 클라이언트가 그대로 재전송하여(", replayed, "), 원래 사용자만 보낸 내용을 답으로 받았다(", answered, "). TLS는 id를 네트워크에서 감추지만 사용자를 인증하지는 않는다. ", code("X-User-Id"), "만으로는 아무것도 증명되지 않는다."];
    protections_text():
        line![strong("Where users are authenticated over TLS, the same replay fails."), " The owner of the id kept a fresh secret at a gateway with ", code("--auth token"), " and at one with ", code("--auth mtls"), ", and read it. Then the intruder sent the requests of the replay again, with the owner's ", code("X-User-Id"), " but without the owner's token or certificate. Without a key the captures show none of the owner's id, secret, conversation and token; with the key log they show every request and its answer."],
        line![strong("TLS 위에서 사용자를 인증하면 같은 재전송이 실패한다."), " id의 원래 사용자는 ", code("--auth token"), " 게이트웨이와 ", code("--auth mtls"), " 게이트웨이에 새 비밀을 맡기고 다시 읽었다. 그런 다음 침입자가 원래 사용자의 ", code("X-User-Id"), "를 넣고 토큰이나 인증서 없이 같은 요청을 다시 보냈다. 키가 없으면 캡처에서 원래 사용자의 id, 비밀, 대화, 토큰이 하나도 보이지 않는다. 키 로그가 있으면 모든 요청과 그 응답이 보인다."];
    protections_table(): line!["Requests in the owner's name where users are authenticated over TLS"], line!["TLS 위에서 사용자를 인증할 때 원래 사용자의 이름으로 보낸 요청"];
    seen_at(frame: u64, file: &str, filter: &str, from: Option<Line>):
        line!["frame ", frame, " of ", captured(file), from.map(|from| line![" from ", from]), "; ", code(filter)],
        line![captured(file), "의 프레임 ", frame, from.map(|from| line![", 보낸 곳 ", from]), "; ", code(filter)];
    not_seen(): line!["not seen"], line!["관측되지 않음"];
}
