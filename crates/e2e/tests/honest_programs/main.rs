//! Honest runs of other programs: clients and servers of several TLS libraries on loopback, in a network namespace. Each is
//! "sealed", or has the doubt that docs/own-traffic.md justifies.

mod programs;
mod run;

use run::Run;
