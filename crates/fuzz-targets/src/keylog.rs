use dissect::keylog::KeyLog;

/// A key log: reading it twice adds no connection, and no line is counted twice.
pub fn keylog(data: &[u8]) {
    let once = KeyLog::parse(data);
    assert!(once.problems().len() as u64 <= once.problems_total());
    let mut twice = KeyLog::parse(data);
    twice.extend(data);
    assert_eq!(twice.len(), once.len());
    assert_eq!(twice.unknown_labels(), 2 * once.unknown_labels());
    assert!(twice.problems_total() >= once.problems_total());
}
