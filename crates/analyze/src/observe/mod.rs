//! Facts in, results out.

pub(crate) mod byte_counts;
pub(crate) mod cleartext;
pub(crate) mod connection_stats;
pub(crate) mod connections;
pub(crate) mod evidence;
pub(crate) mod frame_times;
pub(crate) mod hits;
pub(crate) mod packet_list;
