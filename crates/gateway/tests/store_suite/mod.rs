//! The test suite of all stores.

use std::sync::Arc;

use gateway::store::{
    Added, KeptAnswer, Part, Place, RequestKey, Store, StoreError, Summary, To, Turn, Usage,
};
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

/// All turns of a part of a conversation, page by page.
pub(crate) async fn whole(store: &dyn Store, user: &UserId, id: Uuid) -> Option<(Summary, Vec<Turn>)> {
    let summary = store.summary(user, id).await.unwrap()?;
    let mut turns = Vec::new();
    while turns.len() < summary.turns as usize {
        let part = Part { after: turns.len() as u32, through: summary.turns, bytes: 50_000 };
        let page = store.turns(user, id, part).await.unwrap()?;
        let bytes: u64 = page.iter().map(Turn::bytes).sum();
        assert!(
            page.len() == 1 || !page.is_empty() && bytes <= 50_000,
            "{} turns, {bytes} bytes",
            page.len()
        );
        turns.extend(page);
    }
    Some((summary, turns))
}

/// Adds a turn without a key.
pub(crate) async fn add(
    store: &dyn Store,
    user: &UserId,
    id: Uuid,
    to: To,
    turn: Turn,
) -> Result<Added, StoreError> {
    store.add(user, id, to, turn, None).await
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
    reads_parts_and_the_latest_turns(&*store, &fresh("a")).await;
    finds_answers_by_their_keys(&*store, &fresh("a"), &fresh("b")).await;
    adds_up_what_a_user_has(&*store, &fresh("a"), &fresh("b")).await;
    deletes_what_is_not_used(&*store, &fresh("a")).await;
    store.probe().await.unwrap();
    store.probe().await.unwrap();
}

async fn returns_turns_unchanged(store: &dyn Store, user: &UserId) {
    let id = Uuid::new_v4();
    let odd = "null \0, bell \u{7}, '\"\\`, $(x), 한국어, \u{1f469}\u{200d}\u{1f4bb}, \u{10ffff}, \r\n";
    let turns = [turn(odd, i64::MAX - 9), turn("", 5), turn(&"x".repeat(64 * 1024), 7)];
    assert_eq!(add(store, user, id, To::New, turns[0].clone()).await.unwrap(), Added::Kept);
    for turn in &turns[1..] {
        assert_eq!(add(store, user, id, To::Existing, turn.clone()).await.unwrap(), Added::Kept);
    }
    let (summary, read) = whole(store, user, id).await.unwrap();
    assert_eq!(read, turns);
    let expected = Summary {
        id,
        created_at_unix_ns: i64::MAX - 8,
        updated_at_unix_ns: 8,
        turns: 3,
        bytes: turns.iter().map(Turn::bytes).sum(),
    };
    assert_eq!(summary, expected);
    assert_eq!(store.summary(user, id).await.unwrap(), Some(expected));
}

async fn separates_users(store: &dyn Store, one: &UserId, other: &UserId) {
    let id = Uuid::new_v4();
    add(store, one, id, To::New, turn("mine", 1)).await.unwrap();
    assert_eq!(whole(store, other, id).await, None);
    assert_eq!(store.summary(other, id).await.unwrap(), None);
    assert_eq!(add(store, other, id, To::Existing, turn("mine, too", 2)).await.unwrap(), Added::Gone);
    assert!(!store.delete(other, id).await.unwrap());
    assert_eq!(store.list(other, None, 10).await.unwrap(), []);
    assert_eq!(whole(store, one, id).await.unwrap().1, [turn("mine", 1)]);
}

async fn lists_in_order_and_by_page(store: &dyn Store, user: &UserId) {
    assert_eq!(store.list(user, None, 10).await.unwrap(), []);
    let mut ids: Vec<_> = (0..9).map(|_| Uuid::new_v4()).collect();
    ids.sort();
    // The first three have the same time, so their ids decide the order.
    for (index, id) in ids.iter().enumerate() {
        let at = i64::try_from(index).unwrap().max(2) * 1_000_000_000_000_000_000;
        add(store, user, *id, To::New, turn("hello", at)).await.unwrap();
    }
    // Adding a turn does not change the order.
    add(store, user, ids[0], To::Existing, turn("more", i64::MAX - 1)).await.unwrap();
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
    add(store, user, other, To::New, turn("stays", 1)).await.unwrap();
    add(store, user, id, To::New, turn("one", 1)).await.unwrap();
    add(store, user, id, To::Existing, turn("two", 2)).await.unwrap();
    assert!(store.delete(user, id).await.unwrap());
    assert!(!store.delete(user, id).await.unwrap());
    assert_eq!(whole(store, user, id).await, None);
    assert_eq!(add(store, user, id, To::Existing, turn("three", 3)).await.unwrap(), Added::Gone);
    assert_eq!(store.list(user, None, 10).await.unwrap().len(), 1);
    // A new conversation with the same id does not have the old turns.
    add(store, user, id, To::New, turn("anew", 4)).await.unwrap();
    assert_eq!(whole(store, user, id).await.unwrap().1, [turn("anew", 4)]);
}

async fn keeps_all_turns_added_at_once(store: &Arc<dyn Store>, user: &UserId) {
    let id = Uuid::new_v4();
    add(&**store, user, id, To::New, turn("first", 0)).await.unwrap();
    let adding: Vec<_> = (0..8)
        .map(|number| {
            let (store, user) = (Arc::clone(store), user.clone());
            tokio::spawn(async move {
                add(&*store, &user, id, To::Existing, turn(&number.to_string(), number)).await.unwrap()
            })
        })
        .collect();
    for added in adding {
        assert_eq!(added.await.unwrap(), Added::Kept);
    }
    let (summary, read) = whole(&**store, user, id).await.unwrap();
    assert_eq!((summary.turns, read.len()), (9, 9));
    let mut said: Vec<_> = read[1..].iter().map(|turn| turn.message.clone()).collect();
    said.sort();
    assert_eq!(said, (0..8).map(|number| number.to_string()).collect::<Vec<_>>());
}

async fn stores_the_largest_conversation(store: &dyn Store, user: &UserId) {
    let id = Uuid::new_v4();
    let longest = Turn { answer: "y".repeat(768 * 1024), ..turn(&"x".repeat(64 * 1024), 1) };
    add(store, user, id, To::New, longest.clone()).await.unwrap();
    for number in 1..gateway::store::MAX_TURNS {
        add(store, user, id, To::Existing, turn(&"z".repeat(10_000), number.into())).await.unwrap();
    }
    let (summary, read) = whole(store, user, id).await.unwrap();
    assert!(summary.is_full());
    assert_eq!((read.len(), &read[0]), (200, &longest));
    assert!(store.delete(user, id).await.unwrap());
}

async fn reads_parts_and_the_latest_turns(store: &dyn Store, user: &UserId) {
    let id = Uuid::new_v4();
    let turns: Vec<_> = (0..5).map(|number| turn(&number.to_string().repeat(100), number)).collect();
    for (index, turn) in turns.iter().enumerate() {
        let to = if index == 0 { To::New } else { To::Existing };
        add(store, user, id, to, turn.clone()).await.unwrap();
    }
    let each = turns[0].bytes();
    let part = |after, through, bytes| store.turns(user, id, Part { after, through, bytes });
    assert_eq!(part(1, 3, u64::MAX).await.unwrap().unwrap(), turns[1..3]);
    assert_eq!(part(1, 5, 2 * each).await.unwrap().unwrap(), turns[1..3]);
    assert_eq!(part(1, 5, 0).await.unwrap().unwrap(), turns[1..2], "at least one");
    assert_eq!(part(5, 5, 9).await.unwrap().unwrap(), []);
    assert_eq!(part(0, 6, 9).await.unwrap(), None, "there is no sixth");
    let latest = |bytes| store.latest(user, id, bytes);
    let (summary, last) = latest(3 * each - 1).await.unwrap().unwrap();
    assert_eq!((summary.turns, &last[..]), (5, &turns[3..]));
    assert_eq!(latest(0).await.unwrap().unwrap().1, []);
    assert_eq!(latest(u64::MAX).await.unwrap().unwrap().1, turns);
    assert_eq!(store.latest(user, Uuid::new_v4(), 9).await.unwrap(), None);
}

async fn finds_answers_by_their_keys(store: &dyn Store, user: &UserId, other: &UserId) {
    let id = Uuid::new_v4();
    let key = |fingerprint: &str| Some(RequestKey { key: "k/1".into(), fingerprint: fingerprint.into() });
    assert_eq!(store.kept_answer(user, "k/1").await.unwrap(), None);
    let now = gateway::store::now_unix_ns();
    store.add(user, id, To::New, turn("one", now), key("f")).await.unwrap();
    store.add(user, id, To::Existing, turn("two", now), None).await.unwrap();
    let kept = KeptAnswer { fingerprint: "f".into(), conversation: id, answer: "answer to one".into() };
    assert_eq!(store.kept_answer(user, "k/1").await.unwrap(), Some(kept));
    assert_eq!(store.kept_answer(user, "k/2").await.unwrap(), None);
    assert_eq!(store.kept_answer(other, "k/1").await.unwrap(), None);
    assert!(store.delete(user, id).await.unwrap());
    assert_eq!(store.kept_answer(user, "k/1").await.unwrap(), None);
}

async fn adds_up_what_a_user_has(store: &dyn Store, user: &UserId, other: &UserId) {
    assert_eq!(store.usage(user).await.unwrap(), Usage::default());
    let id = Uuid::new_v4();
    let turns = [turn("one", 1), turn("two and more", 2), turn("", 3)];
    add(store, user, id, To::New, turns[0].clone()).await.unwrap();
    add(store, user, id, To::Existing, turns[1].clone()).await.unwrap();
    add(store, user, Uuid::new_v4(), To::New, turns[2].clone()).await.unwrap();
    let bytes = turns.iter().map(Turn::bytes).sum();
    let usage = Usage { conversations: 2, turns: 3, bytes };
    assert_eq!(store.usage(user).await.unwrap(), usage);
    assert_eq!(usage.counted_bytes(), bytes + 5 * 256);
    assert_eq!(store.usage(other).await.unwrap(), Usage::default());
}

async fn deletes_what_is_not_used(store: &dyn Store, user: &UserId) {
    let (old, renewed) = (Uuid::new_v4(), Uuid::new_v4());
    // Before all times of the other tests.
    let long_ago = -1_000_000;
    add(store, user, old, To::New, turn("old", long_ago)).await.unwrap();
    add(store, user, renewed, To::New, turn("old too", long_ago)).await.unwrap();
    add(store, user, renewed, To::Existing, turn("new", long_ago + 1000)).await.unwrap();
    assert_eq!(store.delete_some_unused(long_ago).await.unwrap(), 0);
    assert_eq!(store.delete_some_unused(long_ago + 1000).await.unwrap(), 1);
    assert_eq!(store.delete_some_unused(long_ago + 1000).await.unwrap(), 0);
    let left: Vec<_> = store.list(user, None, 10).await.unwrap().iter().map(|summary| summary.id).collect();
    assert_eq!(left, [renewed]);
}
