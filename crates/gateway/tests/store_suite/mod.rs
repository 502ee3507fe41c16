//! The test suite of all stores.

use std::sync::Arc;

use gateway::store::{Added, Place, Store, Summary, To, Turn};
use gateway::user::UserId;
use uuid::Uuid;

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(crate) fn turn(message: &str, at: i64) -> Turn {
    Turn {
        message: message.into(),
        answer: format!("answer to {message}"),
        asked_at_unix_ns: at,
        answered_at_unix_ns: at + 1,
    }
}

/// Runs all tests. They use new users, so the store need not be empty.
pub(crate) async fn suite(store: Arc<dyn Store>) {
    let fresh = |name: &str| user(&format!("{name}-{}", Uuid::new_v4()));
    returns_turns_unchanged(&*store, &fresh("a")).await;
    separates_users(&*store, &fresh("a"), &fresh("b")).await;
    lists_in_order_and_by_page(&*store, &fresh("a")).await;
    deletes_conversations(&*store, &fresh("a")).await;
    keeps_all_turns_added_at_once(&store, &fresh("a")).await;
    stores_the_largest_conversation(&*store, &fresh("a")).await;
}

async fn returns_turns_unchanged(store: &dyn Store, user: &UserId) {
    let id = Uuid::new_v4();
    let odd = "null \0, bell \u{7}, '\"\\`, $(x), 한국어, \u{1f469}\u{200d}\u{1f4bb}, \u{10ffff}, \r\n";
    let turns = [turn(odd, i64::MAX - 9), turn("", 5), turn(&"x".repeat(64 * 1024), 7)];
    assert_eq!(store.add(user, id, To::New, turns[0].clone()).await.unwrap(), Added::Kept);
    for turn in &turns[1..] {
        assert_eq!(store.add(user, id, To::Existing, turn.clone()).await.unwrap(), Added::Kept);
    }
    let read = store.conversation(user, id).await.unwrap().unwrap();
    assert_eq!(read.turns, turns);
    let expected = Summary {
        id,
        created_at_unix_ns: i64::MAX - 8,
        updated_at_unix_ns: 8,
        turns: 3,
        bytes: turns.iter().map(Turn::bytes).sum(),
    };
    assert_eq!(read.summary, expected);
    assert_eq!(store.summary(user, id).await.unwrap(), Some(expected));
}

async fn separates_users(store: &dyn Store, one: &UserId, other: &UserId) {
    let id = Uuid::new_v4();
    store.add(one, id, To::New, turn("mine", 1)).await.unwrap();
    assert_eq!(store.conversation(other, id).await.unwrap(), None);
    assert_eq!(store.summary(other, id).await.unwrap(), None);
    assert_eq!(store.add(other, id, To::Existing, turn("mine, too", 2)).await.unwrap(), Added::Gone);
    assert!(!store.delete(other, id).await.unwrap());
    assert_eq!(store.list(other, None, 10).await.unwrap(), []);
    assert_eq!(store.conversation(one, id).await.unwrap().unwrap().turns, [turn("mine", 1)]);
}

async fn lists_in_order_and_by_page(store: &dyn Store, user: &UserId) {
    assert_eq!(store.list(user, None, 10).await.unwrap(), []);
    let mut ids: Vec<_> = (0..9).map(|_| Uuid::new_v4()).collect();
    ids.sort();
    // The first three have the same time, so their ids decide the order.
    for (index, id) in ids.iter().enumerate() {
        let at = i64::try_from(index).unwrap().max(2) * 1_000_000_000_000_000_000;
        store.add(user, *id, To::New, turn("hello", at)).await.unwrap();
    }
    // Adding a turn does not change the order.
    store.add(user, ids[0], To::Existing, turn("more", i64::MAX - 1)).await.unwrap();
    ids.reverse();
    let all = store.list(user, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|summary| summary.id).collect::<Vec<_>>(), ids);
    assert_eq!((all[8].turns, all[8].updated_at_unix_ns), (2, i64::MAX));
    let mut paged = Vec::new();
    let mut after: Option<Place> = None;
    loop {
        let page = store.list(user, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.place());
        // The place stays valid when its conversation is deleted.
        assert!(store.delete(user, last.id).await.unwrap());
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

async fn deletes_conversations(store: &dyn Store, user: &UserId) {
    let (id, other) = (Uuid::new_v4(), Uuid::new_v4());
    assert!(!store.delete(user, id).await.unwrap());
    store.add(user, other, To::New, turn("stays", 1)).await.unwrap();
    store.add(user, id, To::New, turn("one", 1)).await.unwrap();
    store.add(user, id, To::Existing, turn("two", 2)).await.unwrap();
    assert!(store.delete(user, id).await.unwrap());
    assert!(!store.delete(user, id).await.unwrap());
    assert_eq!(store.conversation(user, id).await.unwrap(), None);
    assert_eq!(store.add(user, id, To::Existing, turn("three", 3)).await.unwrap(), Added::Gone);
    assert_eq!(store.list(user, None, 10).await.unwrap().len(), 1);
    // A new conversation with the same id does not have the old turns.
    store.add(user, id, To::New, turn("anew", 4)).await.unwrap();
    assert_eq!(store.conversation(user, id).await.unwrap().unwrap().turns, [turn("anew", 4)]);
}

async fn keeps_all_turns_added_at_once(store: &Arc<dyn Store>, user: &UserId) {
    let id = Uuid::new_v4();
    store.add(user, id, To::New, turn("first", 0)).await.unwrap();
    let adding: Vec<_> = (0..8)
        .map(|number| {
            let (store, user) = (Arc::clone(store), user.clone());
            tokio::spawn(async move {
                store.add(&user, id, To::Existing, turn(&number.to_string(), number)).await.unwrap()
            })
        })
        .collect();
    for added in adding {
        assert_eq!(added.await.unwrap(), Added::Kept);
    }
    let read = store.conversation(user, id).await.unwrap().unwrap();
    assert_eq!((read.summary.turns, read.turns.len()), (9, 9));
    let mut said: Vec<_> = read.turns[1..].iter().map(|turn| turn.message.clone()).collect();
    said.sort();
    assert_eq!(said, (0..8).map(|number| number.to_string()).collect::<Vec<_>>());
}

async fn stores_the_largest_conversation(store: &dyn Store, user: &UserId) {
    let id = Uuid::new_v4();
    let longest = Turn { answer: "y".repeat(768 * 1024), ..turn(&"x".repeat(64 * 1024), 1) };
    store.add(user, id, To::New, longest.clone()).await.unwrap();
    for number in 1..gateway::store::MAX_TURNS {
        store.add(user, id, To::Existing, turn(&"z".repeat(10_000), number.into())).await.unwrap();
    }
    let read = store.conversation(user, id).await.unwrap().unwrap();
    assert!(read.summary.is_full());
    assert_eq!((read.turns.len(), &read.turns[0]), (200, &longest));
    assert!(store.delete(user, id).await.unwrap());
}
