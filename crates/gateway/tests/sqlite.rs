//! The store in a file: the suite of all stores, and properties of the file.

mod store_suite;

use std::sync::Arc;

use gateway::store::sqlite::{OpenError, Sqlite};
use gateway::store::{Store, To};
use store_suite::{suite, turn, user};
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
    store.add(&alice, id, To::New, turn("hello", 1)).await.unwrap();
    drop(store);
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.conversation(&alice, id).await.unwrap().unwrap().turns, [turn("hello", 1)]);
    let pragma = |name: &str| -> String {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| format!("{value:?}"))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("user_version"), "Integer(1)");
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
    database("foreign-empty", "PRAGMA application_id = 7");
    drop(Sqlite::open(&path("newer")).unwrap());
    database("newer", "PRAGMA user_version = 2");
    for name in ["text", "foreign", "foreign-empty", "newer"] {
        let before = std::fs::read(path(name)).unwrap();
        let error = Sqlite::open(&path(name)).unwrap_err();
        match name {
            "text" => assert!(matches!(error, OpenError::Sqlite { .. }), "{error}"),
            "newer" => assert!(matches!(error, OpenError::Newer { found: 2, .. }), "{error}"),
            _ => assert!(matches!(error, OpenError::Foreign(_)), "{error}"),
        }
        assert!(error.to_string().contains(name), "{error}");
        assert!(std::fs::read(path(name)).unwrap() == before, "{name} was changed");
    }
}
