//! The files of the page. They are part of the program: nothing is built, and nothing is loaded from elsewhere.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::ApiError;
use crate::state::Shared;

/// What index.html has in the place of the token.
const PLACEHOLDER: &str = "__TOKEN__";

/// A file by its path below `/assets/`.
macro_rules! assets {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../page/", $path)))),+]
    };
}

/// All files but index.html.
const ASSETS: &[(&str, &str)] = assets![
    "style.css",
    "js/api.js",
    "js/boxes.js",
    "js/capture.js",
    "js/captures.js",
    "js/conversation.js",
    "js/dom.js",
    "js/experiment.js",
    "js/frame.js",
    "js/headline.js",
    "js/hex.js",
    "js/i18n.js",
    "js/list.js",
    "js/main.js",
    "js/menu.js",
    "js/packets.js",
    "js/result.js",
    "js/route.js",
    "js/sandboxes.js",
    "js/stream.js",
    "js/talk.js",
    "js/texts.en.js",
    "js/texts.ko.js",
    "js/theme.js",
];

const INDEX: &str = include_str!("../page/index.html");

/// `GET /`
pub(crate) async fn index(State(page): Shared) -> Html<String> {
    Html(INDEX.replace(PLACEHOLDER, page.guard.token()))
}

/// The colours of the report, which the page shares.
const PALETTE: (&str, &str) = ("palette.css", include_str!("../../report/templates/palette.css"));

/// All files, as a browser receives them.
static COMPRESSED: LazyLock<HashMap<&str, Vec<u8>>> = LazyLock::new(|| {
    let files = ASSETS.iter().chain([&PALETTE]);
    files.filter_map(|(name, text)| Some((*name, gzip(text.as_bytes()).ok()?))).collect()
});

/// `GET /assets/{path}`
pub(crate) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let file = ASSETS.iter().chain([&PALETTE]).find(|(name, _)| *name == path);
    let (name, text) = file.ok_or_else(|| ApiError::not_found("file"))?;
    let content_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    };
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let takes_gzip = accepts.is_some_and(|accepted| accepted.contains("gzip"));
    let type_header = (header::CONTENT_TYPE, content_type);
    Ok(match COMPRESSED.get(name).filter(|_| takes_gzip) {
        Some(bytes) => ([type_header, (header::CONTENT_ENCODING, "gzip")], &bytes[..]).into_response(),
        None => ([type_header], *text).into_response(),
    })
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &std::path::Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                files(&path, &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let mut found = Vec::new();
        files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("page"), "", &mut found);
        found.retain(|name| name != "index.html");
        found.sort();
        let mut served: Vec<_> = ASSETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        served.sort();
        assert_eq!(served, found);
    }

    #[test]
    fn script_and_style_stay_below_sixty_kilobytes_on_the_way() {
        assert_eq!(COMPRESSED.len(), ASSETS.len() + 1);
        // A browser loads the texts of one language.
        let texts = |name: &&str| name.starts_with("js/texts.");
        let bytes: usize =
            COMPRESSED.iter().filter(|(name, _)| !texts(name)).map(|(_, file)| file.len()).sum();
        let longest = COMPRESSED.iter().filter(|(name, _)| texts(name)).map(|(_, file)| file.len()).max();
        let bytes = bytes + longest.unwrap_or_default();
        assert!(bytes <= 60_000, "{bytes} bytes");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_has_no_inline_code() {
        assert!(INDEX.contains(PLACEHOLDER));
        for (name, text) in ASSETS.iter().chain(&[("index.html", INDEX)]) {
            for elsewhere in
                ["//cdn", "src=\"http", "href=\"http", "@import url(http", "import(\"http", "from \"http"]
            {
                assert!(!text.contains(elsewhere), "{name}: {elsewhere}");
            }
        }
        assert!(!INDEX.contains("<style") && !INDEX.contains(" style=") && !INDEX.contains("<script>"));
    }
}
