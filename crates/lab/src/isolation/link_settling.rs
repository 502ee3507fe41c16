//! The wait for silence on new links, on every backend.
//!
//! The verdict counts every frame outside the users' traffic as a sandbox's. So the captures must not contain frames
//! that the kernel sends by itself. Excluding such frames by their kind would also exclude frames that a sandbox made
//! to look like them.

use std::time::Duration;

/// Duplicate address detection of IPv6: a random delay of at most 1 s (RFC 4862 §5.4.2), then 1 s for an answer
/// (`RetransTimer`, RFC 4861 §10).
const ADDRESS_DETECTION: Duration = Duration::from_secs(2);

/// Multicast listener reports for the new addresses: two, each after at most 1 s (RFC 3810 §9.11 and §9.14).
const LISTENER_REPORTS: Duration = Duration::from_secs(2);

/// Timers fire late on a busy machine.
const MARGIN: Duration = Duration::from_secs(1);

/// Waits until the kernel no longer sends frames of its own on links that are up.
///
/// The lab's own veth pairs need only a part of this time, since they skip address detection. The links of a container
/// network need all of it, and a second or two do not matter to either.
pub(super) async fn settle_links() {
    tokio::time::sleep(ADDRESS_DETECTION + LISTENER_REPORTS + MARGIN).await;
}
