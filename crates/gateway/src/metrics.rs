//! Measurements for operators, in Prometheus' text format (OpenMetrics).

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sandbox::Exit;

use crate::queue::Load;

/// The media type of the answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the gateway has done since its start.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    refusals: Family<Refused, Counter>,
    boxes: Family<Ended, Counter>,
    waiting: Gauge,
    running: Gauge,
    wait: Histogram,
    run: Histogram,
    cpu: Counter<f64, AtomicU64>,
    output: Counter,
    store_errors: Family<Failed, Counter>,
}

/// The labels of a request that was answered. No label has a user's text: its values are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    action: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        // From 1 ms to 65 s.
        let times = || Histogram::new(exponential_buckets(0.001, 2.0, 17));
        let mut this = Self {
            registry: Registry::with_prefix("gateway"),
            requests: Family::default(),
            refusals: Family::default(),
            boxes: Family::default(),
            waiting: Gauge::default(),
            running: Gauge::default(),
            wait: times(),
            run: times(),
            cpu: Counter::default(),
            output: Counter::default(),
            store_errors: Family::default(),
        };
        let registry = &mut this.registry;
        registry.register("requests", "Requests, by method, route and status", this.requests.clone());
        registry.register("refusals", "Refused requests, by the error's code", this.refusals.clone());
        registry.register("queue_waiting", "Requests that wait for a sandbox", this.waiting.clone());
        registry.register("boxes_running", "Requests in sandboxes", this.running.clone());
        registry.register("boxes", "Sandboxes that ended, by outcome", this.boxes.clone());
        let seconds = || Unit::Seconds;
        let start = "Time from a message's arrival to the start of its sandbox";
        registry.register_with_unit("box_start", start, seconds(), this.wait.clone());
        let run = "Time from the start of a sandbox to its end, with its making and removal";
        registry.register_with_unit("box_run", run, seconds(), this.run.clone());
        registry.register_with_unit("box_cpu", "CPU time of all sandboxes", seconds(), this.cpu.clone());
        let output = "Output of all sandboxes";
        registry.register_with_unit("box_output", output, Unit::Bytes, this.output.clone());
        registry.register("store_errors", "Failures of the store, by action", this.store_errors.clone());
        this
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, method: &axum::http::Method, route: Option<&str>, status: u16) {
        // Any token is a method (RFC 9110 §9.1): the others count as one.
        let method = ["GET", "POST", "DELETE", "HEAD", "OPTIONS"].into_iter().find(|known| method == known);
        let labels =
            Answered { method: method.unwrap_or("other"), route: route.unwrap_or("none").to_owned(), status };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a refusal.
    pub fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&Refused { code }).inc();
    }

    /// Counts a failure of the store.
    pub fn store_failed(&self, action: &'static str) {
        self.store_errors.get_or_create(&Failed { action }).inc();
    }

    /// Notes how long a request waited for its sandbox.
    pub fn box_started(&self, after: Duration) {
        self.wait.observe(after.as_secs_f64());
    }

    /// Notes a sandbox that has ended.
    pub fn box_ended(&self, outcome: &sandbox::Outcome) {
        let ended = match outcome.exit {
            Exit::Code(0) => "success",
            Exit::Code(_) => "error",
            Exit::Signal(_) => "signal",
            Exit::OutOfMemory => "out_of_memory",
            Exit::TimedOut => "timed_out",
            Exit::TooMuchOutput => "too_much_output",
        };
        self.boxes.get_or_create(&Ended { outcome: ended }).inc();
        self.run.observe(outcome.duration.as_secs_f64());
        self.output.inc_by((outcome.stdout.len() + outcome.stderr.len()) as u64);
        self.cpu.inc_by(outcome.cpu_time.unwrap_or_default().as_secs_f64());
    }

    /// Notes a sandbox that could not be made.
    pub fn box_not_started(&self) {
        self.boxes.get_or_create(&Ended { outcome: "not_started" }).inc();
    }

    /// All measurements as text.
    pub fn text(&self, load: Load) -> String {
        self.waiting.set(i64::try_from(load.waiting).unwrap_or(i64::MAX));
        self.running.set(i64::try_from(load.running).unwrap_or(i64::MAX));
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            let _ = writeln!(text, "# the rest cannot be written");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_every_measurement() {
        let metrics = Metrics::default();
        metrics.answered(&axum::http::Method::POST, Some("/api/conversation"), 200);
        metrics.answered(&"X\u{7e}Y".parse().unwrap(), None, 404);
        metrics.refused("not_found");
        metrics.store_failed("keep an answer");
        metrics.box_started(Duration::from_millis(3));
        metrics.box_not_started();
        let text = metrics.text(Load { running: 2, waiting: 7 });
        for line in [
            "gateway_requests_total{method=\"POST\",route=\"/api/conversation\",status=\"200\"} 1",
            "gateway_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1",
            "gateway_refusals_total{code=\"not_found\"} 1",
            "gateway_store_errors_total{action=\"keep an answer\"} 1",
            "gateway_boxes_running 2",
            "gateway_queue_waiting 7",
            "gateway_boxes_total{outcome=\"not_started\"} 1",
            "gateway_box_start_seconds_count 1",
            "gateway_box_start_seconds_bucket{le=\"0.002\"} 0",
            "gateway_box_start_seconds_bucket{le=\"0.004\"} 1",
            "gateway_box_run_seconds_count 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
