//! What one run of the experiment *is*, as data that every program of the observed side shares.
//!
//! - [`variant`]: the table of variants. A variant is a row; nothing else in the project knows their names.
//! - [`manifest`]: `NAME.manifest.json`, what the capturer says about a capture.
//! - [`files`]: how the files of a run are called, and how they are written (mode 0600, whole or not at all).
//! - [`isolation`]: the files of the isolation experiment.
//! - [`random`]: run ids and decoys, straight from the operating system.
//!
//! The observer (`dissect`, `analyze`) does not use this crate: it reads the manifest as text, with its own reader, so
//! that one mistake cannot hide in both halves.

#![forbid(unsafe_code)]

pub mod files;
pub mod isolation;
pub mod manifest;
pub mod random;
pub mod variant;

pub use files::RunFiles;
pub use manifest::{Backend, CaptureRecord, Manifest, ProgramRecord, Vantage, VariantRecord};
pub use random::RunId;
pub use variant::{ExpectedVerdict, ISOLATION, Scheme, UnknownName, VARIANTS, Variant};
