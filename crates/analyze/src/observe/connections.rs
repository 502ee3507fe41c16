//! The account of all TCP streams of a capture.

use dissect::flow::Direction;
use dissect::tcp;
use dissect::tls;

use crate::observe::connection_stats::ConnectionStats;
use crate::pipeline::connection::{Endpoint, Summary};
use crate::pipeline::detect::Protocol;
use crate::pipeline::tls::Facts;

/// Most streams that are described one by one: the first of all, of those with trouble, and of those of TLS. The sums
/// hold all.
pub(crate) const MAX_DESCRIBED: usize = 256;

/// Sums over all streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    /// TCP connections.
    pub total: u64,
    /// Those that carried payload.
    pub with_data: u64,
    /// Those of them of which nothing is missing or doubtful.
    pub whole: u64,
    /// Those of them whose SYN or SYN-ACK was not captured.
    pub handshake_missing: u64,
    /// Those that spoke HTTP/1 in the clear.
    pub http: u64,
    /// Those that spoke TLS.
    pub tls: u64,
    /// TLS connections of which one side sent no record that authenticates: nobody answered for what it said.
    pub(crate) tls_unopened: u64,
    /// Those that spoke something else.
    pub unknown: u64,
    /// The accounts of both directions of all streams, added up.
    pub tcp: tcp::Counters,
    /// The TLS accounts, added up.
    pub tls_records: TlsRecords,
    /// The first [`MAX_DESCRIBED`] streams.
    pub described: Vec<Described>,
    /// The first [`MAX_DESCRIBED`] streams that are not whole, and why.
    pub troubled: Vec<Troubled>,
    /// The first [`MAX_DESCRIBED`] TLS connections.
    pub tls_connections: Vec<TlsConnection>,
}

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// Its number.
    pub index: u32,
    /// Who opened it.
    pub client: Endpoint,
    /// Who accepted it.
    pub server: Endpoint,
    /// Whether SYN and SYN-ACK were captured.
    pub handshake_seen: bool,
    /// Its frames, and what they show.
    pub course: ConnectionStats,
}

/// A stream of which something is missing or doubtful.
#[derive(Clone, Debug)]
pub(crate) struct Troubled {
    /// Its number.
    pub index: u32,
    /// Why.
    pub reasons: Vec<String>,
}

/// TLS records, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TlsRecords {
    /// All records.
    pub total: u64,
    /// Records of the outer type `application_data`.
    pub application_data: u64,
    /// Records that the key log opened.
    pub authenticated: u64,
    /// Records that it did not open although it names the connection.
    pub failed: u64,
    /// Records that could not be tried.
    pub not_opened: u64,
    /// Openings tried with a wrong key.
    pub control_tries: u64,
    /// Of these, how many opened.
    pub control_opened: u64,
}

/// One TLS connection.
#[derive(Clone, Debug)]
pub(crate) struct TlsConnection {
    /// Number of its TCP stream.
    pub index: u32,
    /// Who opened it.
    pub client: Endpoint,
    /// Who accepted it.
    pub server: Endpoint,
    /// What it shows.
    pub facts: Facts,
    /// Records of the client and of the server.
    pub records: [u64; 2],
    /// Bytes of application data as the ciphertext's length gives them away, client and server.
    pub protected_bytes: [u64; 2],
}

impl Streams {
    /// Adds a connection that is over.
    pub(crate) fn add(&mut self, summary: Summary) {
        self.total += 1;
        for account in &summary.accounts {
            add_tcp(&mut self.tcp, account);
        }
        if (summary.index as usize) < MAX_DESCRIBED {
            let Summary { index, client, server, handshake_seen, course, .. } = summary;
            self.described.push(Described { index, client, server, handshake_seen, course });
        }
        if !summary.has_data {
            return;
        }
        self.with_data += 1;
        match summary.protocol {
            Protocol::Http1 => self.http += 1,
            Protocol::Tls => self.tls += 1,
            Protocol::Unknown => self.unknown += 1,
        }
        self.handshake_missing += u64::from(!summary.handshake_seen);
        let reasons = troubles(&summary);
        if reasons.is_empty() {
            self.whole += 1;
        } else if self.troubled.len() < MAX_DESCRIBED {
            self.troubled.push(Troubled { index: summary.index, reasons });
        }
        if let Some(tls) = summary.tls {
            let accounts = Direction::BOTH.map(|side| tls.session().counters(side));
            self.tls_unopened += u64::from(accounts.iter().any(|account| account.authenticated == 0));
            for account in accounts {
                self.tls_records.add(account);
            }
            if self.tls_connections.len() < MAX_DESCRIBED {
                self.tls_connections.push(TlsConnection {
                    index: summary.index,
                    client: summary.client,
                    server: summary.server,
                    facts: tls.facts().clone(),
                    records: accounts.map(|account| account.records),
                    protected_bytes: accounts.map(|account| account.bytes),
                });
            }
        }
    }

    /// Brings the described streams into their order in the capture: they are added as they end.
    pub(crate) fn sort(&mut self) {
        self.described.sort_by_key(|stream| stream.index);
        self.troubled.sort_by_key(|stream| stream.index);
        self.tls_connections.sort_by_key(|stream| stream.index);
    }
}

impl TlsRecords {
    fn add(&mut self, account: &tls::RecordCounters) {
        self.total += account.records;
        self.application_data += account.application_data_records;
        self.authenticated += account.authenticated;
        self.failed += account.failed;
        self.not_opened += account.not_decrypted;
        self.control_tries += account.control_tries;
        self.control_opened += account.control_opened;
    }
}

fn add_tcp(sum: &mut tcp::Counters, one: &tcp::Counters) {
    sum.delivered_bytes += one.delivered_bytes;
    sum.gaps = sum.gaps.saturating_add(one.gaps);
    sum.gap_bytes += one.gap_bytes;
    sum.repeated = sum.repeated.saturating_add(one.repeated);
    sum.conflicts = sum.conflicts.saturating_add(one.conflicts);
    sum.unverified = sum.unverified.saturating_add(one.unverified);
    sum.out_of_window = sum.out_of_window.saturating_add(one.out_of_window);
    sum.truncated = sum.truncated.saturating_add(one.truncated);
    sum.early = sum.early.saturating_add(one.early);
}

/// Why a stream is not whole.
fn troubles(summary: &Summary) -> Vec<String> {
    let mut reasons = Vec::new();
    if !summary.handshake_seen {
        reasons.push("its handshake was not captured".to_owned());
    }
    for (account, who) in summary.accounts.iter().zip(["client", "server"]) {
        let mut count = |count: u32, what: &str| {
            if count > 0 {
                reasons.push(format!("{count} {what} of the {who}"));
            }
        };
        count(account.truncated, "segment(s) cut by the snaplen");
        count(account.conflicts, "segment(s) contradicting others");
        count(account.unverified, "repeated segment(s) that could not be compared");
        count(account.out_of_window, "segment(s) outside any window");
        if account.gaps > 0 {
            let (gaps, bytes) = (account.gaps, account.gap_bytes);
            reasons.push(format!("{gaps} gap(s) of {bytes} bytes in what the {who} sent"));
        }
    }
    reasons
}
