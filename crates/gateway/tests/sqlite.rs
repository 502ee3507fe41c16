//! The store in a file: the suite of all stores, and properties of the file.

mod store_suite;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use gateway::store::To;
use gateway::store::sqlite::{OpenError, Sqlite};
use store_suite::{add, suite, turn, user, whole};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_of_all_stores() {
    let folder = tempfile::tempdir().unwrap();
    suite(Arc::new(Sqlite::open(&folder.path().join("store")).unwrap())).await;
}

#[tokio::test]
async fn reopened_store_has_its_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (id, alice) = (Uuid::new_v4(), user("alice"));
    let store = Sqlite::open(&path).unwrap();
    add(&store, &alice, id, To::New, turn("hello", 1)).await.unwrap();
    drop(store);
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(whole(&store, &alice, id).await.unwrap().1, [turn("hello", 1)]);
    let pragma = |name: &str| -> String {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| format!("{value:?}"))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("user_version"), "Integer(2)");
}

#[test]
fn rejects_other_files_and_leaves_them_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let database = |name: &str, sql: &str| {
        rusqlite::Connection::open(path(name)).unwrap().execute_batch(sql).unwrap();
    };
    std::fs::write(
        path("text"),
        "not a database, but long enough to be taken for the header of one. ".repeat(20),
    )
    .unwrap();
    database("foreign", "CREATE TABLE theirs (x)");
    database("foreign-wal", "PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)");
    database("foreign-empty", "PRAGMA application_id = 7");
    drop(Sqlite::open(&path("newer")).unwrap());
    database("newer", "PRAGMA user_version = 3");
    for name in ["text", "foreign", "foreign-wal", "foreign-empty", "newer"] {
        let before = std::fs::read(path(name)).unwrap();
        let mode = || std::fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
        std::fs::set_permissions(path(name), Permissions::from_mode(0o640)).unwrap();
        let error = Sqlite::open(&path(name)).unwrap_err();
        match name {
            "newer" => assert!(matches!(error, OpenError::Newer { found: 3, .. }), "{error}"),
            _ => assert!(matches!(error, OpenError::Foreign(_)), "{error}"),
        }
        assert!(error.to_string().contains(name), "{error}");
        assert!(std::fs::read(path(name)).unwrap() == before, "{name} was changed");
        assert_eq!(mode(), 0o640, "{name}");
        if name != "newer" {
            assert!(!path(&format!("{name}.lock")).exists(), "{name} got a lock file");
        }
    }
}

#[tokio::test]
async fn a_file_of_layout_1_gets_the_newer_tables_and_keeps_its_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (id, alice) = (Uuid::new_v4(), user("alice"));
    let store = Sqlite::open(&path).unwrap();
    add(&store, &alice, id, To::New, turn("hello", 1)).await.unwrap();
    drop(store);
    let back =
        "DROP TABLE request_key; DROP TABLE probe; DROP INDEX conversation_by_use; PRAGMA user_version = 1";
    rusqlite::Connection::open(&path).unwrap().execute_batch(back).unwrap();
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(whole(&store, &alice, id).await.unwrap().1, [turn("hello", 1)]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    store_suite::suite(Arc::new(store)).await;
}
