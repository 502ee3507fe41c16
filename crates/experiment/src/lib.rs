//! What one run of an experiment is, as data that the programs of the observed side share.
//!
//! - [`clock`]: times as the records have them.
//! - [`demo`]: what `lab demo` started, for the page.
//! - [`executables`]: where the programs are.
//! - [`exit_status`]: of the programs that end with an error.
//! - [`experiment`]: the experiments by name. A comparison is one row of the table in [`variant`].
//! - [`variant`]: the ways to run the two agents against each other.
//! - [`manifest`]: `NAME.manifest.json`, the capturer's record of a capture.
//! - [`files`]: the names of a run's files, and how they are written (mode 0600, whole or not at all).
//! - [`isolation`]: the files of the isolation experiment.
//! - [`random`]: run ids and decoys, read from the operating system.
//!
//! The observer (`dissect`, `analyze`) does not use this crate. It parses the manifest with a reader of its own, so that
//! one mistake cannot hide in both halves.

#![forbid(unsafe_code)]

pub mod clock;
pub mod demo;
pub mod executables;
pub mod exit_status;
pub mod experiment;
pub mod files;
pub mod isolation;
pub mod manifest;
pub mod program;
pub mod random;
pub mod variant;

pub use clock::unix_ns;
pub use executables::Executables;
pub use experiment::Experiment;
pub use files::RunFiles;
pub use manifest::{Backend, CaptureRecord, Manifest, Vantage, VariantRecord};
pub use program::ProgramRecord;
pub use random::RunId;
pub use variant::{ExpectedVerdict, SERVER_NAME, Scheme, UnknownName, VARIANTS, Variant};
