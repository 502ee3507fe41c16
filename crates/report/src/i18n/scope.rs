//! The texts about verdicts on traffic that no manifest describes.

use exposure_schema::Unvouched;

use super::{Lang, label_texts, sentence_texts};
use crate::document::format;
use crate::document::line::{Line, captured, code, line, section, strong};

label_texts! {
    scope_stream: "TCP stream", "TCP 스트림";
    scope_client: "Client", "클라이언트";
    scope_server: "Server", "서버";
    scope_strings_found: "Strings found under the keys", "키로 복호화해 찾은 문자열";
    scope_ended: "End", "종료";
}

sentence_texts! {
    scope_result(name: &str, connections: u64, asked: &str, others: u64, frames: u64):
        line![captured(name), ": the verdict is about ", format::count(connections), " connections",
            if asked.is_empty() { line![" with the servers to which the strings went; this scope was not asked for"] } else { line![" in the scope ", captured(asked)] },
            ". Outside of it are ", format::count(others), " connections and ", format::count(frames), " other frames, which were searched for the strings. No manifest vouches for the file (", section("controls"), ")."],
        line![captured(name), ": 이 판정은 연결 ", format::count(connections), "개에 대한 것이다",
            if asked.is_empty() { line!["(문자열이 간 서버와의 연결, 범위를 따로 지정하지 않음)"] } else { line!["(범위 ", captured(asked), ")"] },
            ". 범위 밖의 연결 ", format::count(others), "개와 그 밖의 프레임 ", format::count(frames), "개에서도 문자열을 검색했다. 파일을 보증하는 매니페스트는 없다(", section("controls"), ")."];
    scope_table(name: &str):
        line!["Connections that the verdict on ", captured(name), " is about"],
        line![captured(name), " 판정의 대상인 연결"];
    scope_note(shown: u64, all: u64):
        line!["The first ", format::count(shown), " of ", format::count(all), " connections."],
        line!["연결 ", format::count(all), "개 중 처음 ", format::count(shown), "개."];
    scope_outside(name: &str):
        line!["Doubts about what else is in ", captured(name), ". They do not change the verdict, because they concern nothing in its scope:"],
        line![captured(name), "에 있는 그 밖의 트래픽에 대한 의심점. 판정의 범위에 속하지 않으므로 판정을 바꾸지 않는다."];
    scope_unvouched(name: &str):
        line![strong("Nothing vouches"), " for these points of ", captured(name), ", because it has no manifest:"],
        line![captured(name), "에는 매니페스트가 없으므로 다음은 ", strong("보증되지 않는다"), "."];
    scope_add(add: &str):
        line!["To ask for this scope, add ", code(add), " to the command."],
        line!["이 범위를 지정하려면 명령에 ", code(add), "를 더한다."];
}

impl Lang {
    pub(crate) fn unvouched(self, item: Unvouched) -> &'static str {
        match (self, item) {
            (Self::En, Unvouched::Drops) => "that no frame was dropped",
            (Self::En, Unvouched::Period) => "that nothing came before the first frame or after the last",
            (Self::En, Unvouched::Filter) => "that no filter left frames out",
            (Self::En, Unvouched::Vantage) => "that the traffic took no way past the place of the capture",
            (Self::En, Unvouched::OpenConnections) => {
                "that nothing followed in connections whose end is not in the capture"
            }
            (Self::Ko, Unvouched::Drops) => "버려진 프레임이 없다는 것",
            (Self::Ko, Unvouched::Period) => "첫 프레임 이전과 마지막 프레임 이후에 아무것도 없었다는 것",
            (Self::Ko, Unvouched::Filter) => "필터로 빠진 프레임이 없다는 것",
            (Self::Ko, Unvouched::Vantage) => "트래픽이 캡처 지점을 거치지 않는 경로로 가지 않았다는 것",
            (Self::Ko, Unvouched::OpenConnections) => {
                "끝이 캡처에 없는 연결에서 그 뒤로 아무것도 오가지 않았다는 것"
            }
        }
    }
}
