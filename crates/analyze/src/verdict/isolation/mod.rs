//! The verdict on an isolation run.

pub(crate) mod cross_tenant;
pub(crate) mod judge;
pub(crate) mod preconditions;
