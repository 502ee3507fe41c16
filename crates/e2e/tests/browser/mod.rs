//! A real browser for tests of pages: Chromium, driven over its debugging protocol.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod axe;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::dom::{
    GetDocumentParams, QuerySelectorParams, SetFileInputFilesParams,
};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams, SetUserAgentOverrideParams,
};
use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventType, InsertTextParams,
};
use chromiumoxide::cdp::browser_protocol::page::{NavigateParams, ReloadParams};
use chromiumoxide::cdp::browser_protocol::{log, network, page as page_protocol};
use chromiumoxide::cdp::js_protocol::runtime;
use chromiumoxide::page::ScreenshotParams;
use e2e::{programs, skip};
use futures_util::StreamExt as _;
use serde_json::Value;

/// A screen of a usual computer, and of a phone.
pub(crate) const WIDE: i64 = 1280;
pub(crate) const PHONE: i64 = 390;

/// The page of a new tab.
const BLANK: &str = "about:blank";

/// Time limit for an action of a page; reached only when a test fails. The isolation experiment takes half a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// The path of Chromium; skips the test and returns `None` if there is none.
pub(crate) fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROME").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let program = named.or_else(|| found.into_iter().find(|program| program.is_file()));
    if program.is_none() {
        skip("no Chromium to open a page in");
    }
    program
}

/// A running browser. It ends with this value.
pub(crate) struct Chromium {
    browser: Browser,
    languages: String,
    _profile: tempfile::TempDir,
}

/// An open page, with its requests and messages.
pub(crate) struct Tab {
    pub(crate) page: chromiumoxide::Page,
    /// URLs that the page requested.
    requests: Arc<Mutex<Vec<String>>>,
    /// Messages of the log and the console, exceptions, and dialogs.
    messages: Arc<Mutex<Vec<String>>>,
}

impl Chromium {
    /// Starts a browser whose user reads these languages, such as `en` or `ko`.
    pub(crate) async fn start(program: &Path, languages: &str) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the browser");
        let mut config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(profile.path())
            .window_size(WIDE as u32, 900)
            .args(["--disable-gpu", "--disable-quic", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--no-first-run"]);
        if nix::unistd::geteuid().is_root() {
            config = config.no_sandbox();
        }
        let (browser, mut handler) =
            Browser::launch(config.build().expect("a configuration")).await.expect("Chromium starts");
        tokio::spawn(async move { while handler.next().await.is_some() {} });
        Self { browser, languages: languages.to_owned(), _profile: profile }
    }

    /// Opens a tab.
    pub(crate) async fn open(&self, url: &str) -> Tab {
        let page = self.browser.new_page(BLANK).await.expect("a page");
        let (requests, messages) = <(Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<String>>>)>::default();

        page.execute(network::EnableParams::default()).await.expect("Network");
        page.execute(log::EnableParams::default()).await.expect("Log");
        page.execute(runtime::EnableParams::default()).await.expect("Runtime");
        let mut sent = page.event_listener::<network::EventRequestWillBeSent>().await.expect("events");
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Some(event) = sent.next().await {
                seen.lock().expect("not poisoned").push(event.request.url.clone());
            }
        });
        let mut entries = page.event_listener::<log::EventEntryAdded>().await.expect("events");
        let seen = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Some(event) = entries.next().await {
                seen.lock().expect("not poisoned").push(event.entry.text.clone());
            }
        });
        let mut thrown = page.event_listener::<runtime::EventExceptionThrown>().await.expect("events");
        let seen = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Some(event) = thrown.next().await {
                seen.lock().expect("not poisoned").push(format!("{:?}", event.exception_details));
            }
        });
        let mut called = page.event_listener::<runtime::EventConsoleApiCalled>().await.expect("events");
        let seen = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Some(event) = called.next().await {
                seen.lock().expect("not poisoned").push(format!("console: {:?}", event.args));
            }
        });
        let mut dialogs =
            page.event_listener::<page_protocol::EventJavascriptDialogOpening>().await.expect("events");
        let seen = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Some(event) = dialogs.next().await {
                seen.lock().expect("not poisoned").push(format!("dialog: {}", event.message));
            }
        });
        let agent = self.browser.user_agent().await.expect("a user agent");
        let reader = SetUserAgentOverrideParams::builder().user_agent(agent).accept_language(&self.languages);
        page.execute(reader.build().expect("a language")).await.expect("a language is set");
        let tab = Tab { page, requests, messages };
        tab.screen(WIDE, 900, "light").await;
        let navigation = tab.page.execute(NavigateParams::new(url)).await;
        navigation.unwrap_or_else(|error| panic!("{url} does not open: {error}"));
        let loaded =
            format!("document.readyState === 'complete' && location.href !== {}", Value::from(BLANK));
        tab.until("the page is loaded", &loaded).await;
        tab
    }

    /// Ends the browser in order.
    pub(crate) async fn close(mut self) {
        let _ = self.browser.close().await;
        let _ = self.browser.wait().await;
    }
}

impl Tab {
    /// Gives the tab a width and a colour scheme, and loads its page again.
    pub(crate) async fn shown(&self, width: i64, scheme: &str) {
        self.screen(width, 900, scheme).await;
        self.reload().await;
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) {
        // Waits for the document itself: an open stream of events is a request that never ends.
        self.ask("window.isOld = true").await;
        self.page.execute(ReloadParams::default()).await.expect("the page loads again");
        self.until("the page is loaded again", "!window.isOld && document.readyState === 'complete'").await;
    }

    /// Gives the tab a size and a colour scheme.
    pub(crate) async fn screen(&self, width: i64, height: i64, scheme: &str) {
        let metrics = SetDeviceMetricsOverrideParams::builder()
            .width(width)
            .height(height)
            .device_scale_factor(1.0)
            .mobile(width < 500)
            .build()
            .expect("metrics");
        self.page.execute(metrics).await.expect("a size");
        let scheme = MediaFeature::new("prefers-color-scheme", scheme);
        let media = SetEmulatedMediaParams::builder().feature(scheme).build();
        self.page.execute(media).await.expect("a colour scheme");
    }

    /// Goes to a view of the page, and loads it as a link to it would.
    pub(crate) async fn go(&self, hash: &str) {
        self.ask(&format!("location.hash = {}", Value::from(hash))).await;
        self.reload().await;
    }

    /// The value of an expression, which may be a promise.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.try_ask(script).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Like [`Self::ask`]; fails while a page makes room for the next one.
    async fn try_ask(&self, script: &str) -> Result<Value, chromiumoxide::error::CdpError> {
        let params = runtime::EvaluateParams::builder()
            .expression(script)
            .await_promise(true)
            .return_by_value(true)
            .build()
            .expect("an expression");
        let asked = tokio::time::timeout(PATIENCE, self.page.evaluate_expression(params)).await;
        Ok(asked.expect("an answer in time")?.value().cloned().unwrap_or(Value::Null))
    }

    /// Waits until an expression is true, and returns its value.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Value {
        let started = Instant::now();
        loop {
            let value = self.try_ask(script).await.unwrap_or(Value::Null);
            let is_true = !matches!(value, Value::Null | Value::Bool(false)) && value != 0 && value != "";
            if is_true {
                return value;
            }
            if started.elapsed() > PATIENCE {
                self.picture("page-screenshots", "waited-in-vain").await;
                let text = self.try_ask("document.body.innerText").await;
                panic!("waited {} s until {what}; the page says {text:?}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes a picture of the whole page to a folder in the target folder.
    pub(crate) async fn picture(&self, folder: &str, name: &str) {
        let folder = programs::folder().join(folder);
        fs::create_dir_all(&folder).expect("a folder for pictures");
        let whole = ScreenshotParams::builder().full_page(true).build();
        let picture = self.page.screenshot(whole).await.expect("a picture");
        fs::write(folder.join(format!("{name}.png")), picture).expect("a picture is written");
    }

    /// Presses a key that has no text, such as an arrow.
    pub(crate) async fn press(&self, key: &str, code: i64) {
        // Enter has a text: without it a form does not react.
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in [DispatchKeyEventType::KeyDown, DispatchKeyEventType::KeyUp] {
            let mut event = DispatchKeyEventParams::builder()
                .r#type(kind)
                .key(key)
                .code(key)
                .windows_virtual_key_code(code);
            if !text.is_empty() {
                event = event.text(text);
            }
            self.page.execute(event.build().expect("a key")).await.expect("a key is pressed");
        }
    }

    /// Types a text where the focus is.
    pub(crate) async fn write(&self, text: &str) {
        self.page.execute(InsertTextParams::new(text)).await.expect("text is typed");
    }

    /// Chooses files in a file input.
    pub(crate) async fn choose_files(&self, selector: &str, files: &[&Path]) {
        let document = self.page.execute(GetDocumentParams::default()).await.expect("the document");
        let query = QuerySelectorParams::new(document.root.node_id, selector);
        let node = self.page.execute(query).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        let files = files.iter().map(|file| file.to_str().expect("a path of text").to_owned());
        let choice = SetFileInputFilesParams::builder().files(files).node_id(node.node_id).build();
        self.page.execute(choice.expect("files")).await.expect("the files are chosen");
    }

    /// Asserts that the page requested only URLs with this beginning and caused no message.
    pub(crate) fn assert_own_requests_and_no_messages(&self, own: &str) {
        let requests = self.requests.lock().expect("not poisoned").clone();
        let strange: Vec<&String> =
            requests.iter().filter(|url| !url.starts_with(own) && !url.starts_with("data:")).collect();
        assert!(strange.is_empty() && !requests.is_empty(), "asked for {strange:?}");
        self.assert_no_messages();
    }

    /// Asserts that the page logged nothing, threw nothing and opened no dialog.
    pub(crate) fn assert_no_messages(&self) {
        let messages = self.messages.lock().expect("not poisoned").clone();
        assert!(messages.is_empty(), "{messages:#?}");
    }
}

/// Runs asynchronous work to its end.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}
