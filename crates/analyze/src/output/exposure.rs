//! The whole document.

use exposure_schema::{Capture, Exposure, Isolation, Program, SCHEMA};

use crate::verdict::conclusion::{self, Comparison};

/// The document with these results, the conclusion that compares them, and no errors.
pub fn of(captures: Vec<Capture>, isolation: Vec<Isolation>) -> Exposure {
    let Comparison { conclusion, reasons, compared, not_compared } = conclusion::compare(&captures);
    let program = Program { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() };
    Exposure {
        schema: SCHEMA.into(),
        program,
        captures,
        conclusion,
        reasons,
        compared,
        not_compared,
        isolation,
        errors: Vec::new(),
    }
}
