//! The keys of a model of Redis, as far as records of clients need them.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use tokio::time::Instant;

use super::answers::Answers;

/// The answer to a command for a key of another type.
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Keys, and when they expire.
pub(super) struct Keys {
    keys: BTreeMap<String, Key>,
    /// When there was no key yet.
    start: Instant,
}

struct Key {
    value: Value,
    /// In milliseconds.
    expires: Option<u64>,
}

enum Value {
    Text(String),
    Set(BTreeSet<String>),
    Hash(BTreeMap<String, String>),
}

/// The outcome of a command.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Done {
    pub(super) reply: Vec<u8>,
    /// The channel and the message that a script has published.
    pub(super) published: Option<(String, String)>,
}

impl Done {
    /// A command was refused.
    pub(super) fn refused(error: &str) -> Self {
        let mut answers = Answers::default();
        answers.error(error);
        Self {
            reply: answers.bytes,
            published: None,
        }
    }
}

/// The key of a command; `None` if the command is for none.
pub(super) fn key_of(words: &[String]) -> Option<&str> {
    let place = match words[0].to_ascii_uppercase().as_str() {
        "SET" | "GET" | "DEL" | "EXISTS" | "PEXPIRE" | "SADD" | "SREM" | "SMEMBERS" | "HSET"
        | "HDEL" | "HLEN" | "HSCAN" | "HRANDFIELD" => 1,
        "EVAL" => 3,
        _ => return None,
    };
    words.get(place).map(String::as_str)
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            keys: BTreeMap::new(),
            start: Instant::now(),
        }
    }

    /// The time by which keys expire, in milliseconds.
    pub(super) fn now(&self) -> u64 {
        let passed = Instant::now() - self.start;
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Does what a command asks for, at a time in milliseconds; `None` if it is not known.
    pub(super) fn command(&mut self, now: u64, words: &[String]) -> Option<Done> {
        self.keys
            .retain(|_, key| key.expires.is_none_or(|expires| now < expires));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let (verb, rest) = words.split_first()?;
        let mut answers = Answers::default();
        let mut published = None;
        match (verb.to_ascii_uppercase().as_str(), rest) {
            ("SET", [key, value, options @ ..]) => {
                self.set(now, (key, value), options, &mut answers);
            }
            ("GET", [key]) => match self.keys.get(*key).map(|key| &key.value) {
                None => answers.add("$-1\r\n"),
                Some(Value::Text(text)) => answers.bulk(text),
                Some(_) => answers.error(WRONG_TYPE),
            },
            ("DEL", keys) => {
                let there = keys.iter().filter(|key| self.keys.remove(**key).is_some());
                answers.number(there.count() as u64);
            }
            ("EXISTS", [key]) => answers.number(u64::from(self.keys.contains_key(*key))),
            ("PEXPIRE", [key, time]) => {
                let expires = now + time.parse::<u64>().ok()?;
                let key = self.keys.get_mut(*key);
                answers.number(u64::from(key.is_some()));
                if let Some(key) = key {
                    key.expires = Some(expires);
                }
            }
            ("SADD" | "SREM" | "SMEMBERS", [key, members @ ..]) => {
                self.set_command(verb, key, members, &mut answers);
            }
            // The only script: an entry is written and told if nobody has ended the node's record.
            ("EVAL", [_, "3", _, nodes, lock, node, ..]) if !self.has_record(nodes, lock, node) => {
                answers.add(":-1\r\n");
            }
            ("EVAL", [_, "3", key, _, _, _, field, value, channel, event, tells]) => {
                let is_new = self.hash_set(key, field, value, &mut Answers::default());
                let is_told = is_new || *tells == "always";
                answers.number(u64::from(is_told));
                published = is_told.then(|| ((*channel).to_owned(), (*event).to_owned()));
            }
            ("HSET", [key, field, value]) => {
                self.hash_set(key, field, value, &mut answers);
            }
            ("HDEL" | "HLEN" | "HSCAN" | "HRANDFIELD", [key, rest @ ..]) => {
                self.hash_command(verb, key, rest, &mut answers)?;
            }
            _ => return None,
        }
        let reply = answers.bytes;
        Some(Done { reply, published })
    }

    /// The fields and values of a hash.
    pub(super) fn hash(&self, now: u64, key: &str) -> BTreeMap<String, String> {
        let key = self.keys.get(key);
        let key = key.filter(|key| key.expires.is_none_or(|expires| now < expires));
        match key.map(|key| &key.value) {
            Some(Value::Hash(fields)) => fields.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// The members of a set.
    pub(super) fn members(&self, key: &str) -> BTreeSet<String> {
        match self.keys.get(key).map(|key| &key.value) {
            Some(Value::Set(members)) => members.clone(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether a node has a record that no other node has begun to end.
    fn has_record(&self, nodes: &str, lock: &str, node: &str) -> bool {
        let is_locked = match self.keys.get(lock).map(|key| &key.value) {
            Some(Value::Text(owner)) => owner != node,
            _ => false,
        };
        self.members(nodes).contains(node) && !is_locked
    }

    fn set(
        &mut self,
        now: u64,
        (key, value): (&str, &str),
        options: &[&str],
        answers: &mut Answers,
    ) {
        let is_set = self.keys.contains_key(key);
        if options.contains(&"NX") && is_set {
            return answers.add("$-1\r\n");
        }
        let mut options = options.iter().skip_while(|option| **option != "PX");
        let time = options.nth(1).and_then(|time| time.parse::<u64>().ok());
        let key_of = Key {
            value: Value::Text(value.to_owned()),
            expires: time.map(|time| now + time),
        };
        self.keys.insert(key.to_owned(), key_of);
        answers.add("+OK\r\n");
    }

    fn set_command(&mut self, verb: &str, key: &str, members: &[&str], answers: &mut Answers) {
        let found = self.keys.entry(key.to_owned()).or_insert_with(|| Key {
            value: Value::Set(BTreeSet::new()),
            expires: None,
        });
        let Value::Set(set) = &mut found.value else {
            return answers.error(WRONG_TYPE);
        };
        match verb {
            "SADD" => {
                let new = members
                    .iter()
                    .filter(|member| set.insert((**member).to_owned()));
                answers.number(new.count() as u64);
            }
            "SREM" => {
                let there = members.iter().filter(|member| set.remove(**member));
                answers.number(there.count() as u64);
            }
            _ => {
                answers.array(set.len());
                set.iter().for_each(|member| answers.bulk(member));
            }
        }
        if set.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Sets a field of a hash, and answers 1 if there was none.
    fn hash_set(&mut self, key: &str, field: &str, value: &str, answers: &mut Answers) -> bool {
        let found = self.keys.entry(key.to_owned()).or_insert_with(|| Key {
            value: Value::Hash(BTreeMap::new()),
            expires: None,
        });
        let Value::Hash(fields) = &mut found.value else {
            answers.error(WRONG_TYPE);
            return false;
        };
        let is_new = fields.insert(field.to_owned(), value.to_owned()).is_none();
        answers.number(u64::from(is_new));
        is_new
    }

    fn hash_command(
        &mut self,
        verb: &str,
        key: &str,
        rest: &[&str],
        answers: &mut Answers,
    ) -> Option<()> {
        let mut none = BTreeMap::new();
        let fields = match self.keys.get_mut(key).map(|key| &mut key.value) {
            None => &mut none,
            Some(Value::Hash(fields)) => fields,
            Some(Value::Text(_) | Value::Set(_)) => {
                answers.error(WRONG_TYPE);
                return Some(());
            }
        };
        match (verb, rest) {
            ("HDEL", names) => {
                let there = names.iter().filter(|name| fields.remove(**name).is_some());
                answers.number(there.count() as u64);
                if fields.is_empty() {
                    self.keys.remove(key);
                }
            }
            ("HLEN", []) => answers.number(fields.len() as u64),
            ("HSCAN", [cursor, "COUNT", count]) => {
                scan(fields, cursor.parse().ok()?, count.parse().ok()?, answers);
            }
            ("HRANDFIELD", [count, "WITHVALUES"]) => {
                let count = count.parse::<usize>().ok()?.min(fields.len());
                answers.array(2 * count);
                for (field, value) in fields.iter().take(count) {
                    answers.bulk(field);
                    answers.bulk(value);
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// Answers the fields behind a cursor. They come in an order of their own, so that a field that is
/// there all the time is never passed over, whatever becomes of others.
fn scan(fields: &BTreeMap<String, String>, cursor: u64, count: usize, answers: &mut Answers) {
    let place = |field: &String| {
        let mut hasher = DefaultHasher::new();
        field.hash(&mut hasher);
        hasher.finish().max(1)
    };
    let mut behind: Vec<_> = fields
        .iter()
        .map(|(field, value)| (place(field), field, value))
        .filter(|(place, ..)| *place > cursor)
        .collect();
    behind.sort();
    let is_last = behind.len() <= count;
    behind.truncate(count);
    let next = match behind.last() {
        Some((place, ..)) if !is_last => *place,
        _ => 0,
    };
    answers.array(2);
    answers.bulk(&next.to_string());
    answers.array(2 * behind.len());
    for (_, field, value) in behind {
        answers.bulk(field);
        answers.bulk(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(keys: &mut Keys, now: u64, command: &str) -> String {
        let words: Vec<_> = command.split(' ').map(ToOwned::to_owned).collect();
        let done = keys.command(now, &words).expect("it is known");
        String::from_utf8(done.reply).expect("it is text")
    }

    #[test]
    fn a_lock_is_taken_once_until_it_expires_or_is_given_back() {
        let mut keys = Keys::new();
        assert_eq!(run(&mut keys, 0, "SET lock a NX PX 100"), "+OK\r\n");
        assert_eq!(run(&mut keys, 50, "SET lock b NX PX 100"), "$-1\r\n");
        assert_eq!(run(&mut keys, 50, "GET lock"), "$1\r\na\r\n");
        assert_eq!(run(&mut keys, 60, "PEXPIRE lock 100"), ":1\r\n");
        assert_eq!(run(&mut keys, 150, "EXISTS lock"), ":1\r\n");
        assert_eq!(run(&mut keys, 160, "SET lock b NX PX 100"), "+OK\r\n");
        assert_eq!(run(&mut keys, 161, "DEL lock other"), ":1\r\n");
        assert_eq!(run(&mut keys, 162, "PEXPIRE lock 100"), ":0\r\n");
    }

    #[test]
    fn sets_and_hashes_end_with_their_last_member() {
        let mut keys = Keys::new();
        assert_eq!(run(&mut keys, 0, "SADD nodes b a"), ":2\r\n");
        assert_eq!(
            run(&mut keys, 0, "SMEMBERS nodes"),
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n"
        );
        assert_eq!(run(&mut keys, 0, "SREM nodes a b c"), ":2\r\n");
        assert_eq!(run(&mut keys, 0, "EXISTS nodes"), ":0\r\n");
        assert_eq!(run(&mut keys, 0, "HSET record f 1"), ":1\r\n");
        assert_eq!(run(&mut keys, 0, "HSET record f 2"), ":0\r\n");
        assert_eq!(run(&mut keys, 0, "HLEN record"), ":1\r\n");
        assert!(run(&mut keys, 0, "SADD record a").starts_with("-WRONGTYPE"));
        assert_eq!(
            run(&mut keys, 0, "HRANDFIELD record 3 WITHVALUES"),
            "*2\r\n$1\r\nf\r\n$1\r\n2\r\n"
        );
        assert_eq!(run(&mut keys, 0, "HDEL record f g"), ":1\r\n");
        assert_eq!(run(&mut keys, 0, "EXISTS record"), ":0\r\n");
    }

    #[test]
    fn a_script_tells_of_entries_always_or_if_they_are_new_unless_the_record_ends() {
        let mut keys = Keys::new();
        let mut run_script = |before: &str, tells: &str| {
            run(&mut keys, 0, before);
            let words = format!("EVAL script 3 record nodes lock n f 1 events come {tells}");
            let words: Vec<_> = words.split(' ').map(ToOwned::to_owned).collect();
            let done = keys.command(0, &words).expect("it is known");
            let told = done.published.is_some();
            (String::from_utf8(done.reply).expect("it is text"), told)
        };
        let refused = (":-1\r\n".to_owned(), false);
        assert_eq!(run_script("SADD nodes m", "always"), refused);
        assert_eq!(
            run_script("SADD nodes n", "new"),
            (":1\r\n".to_owned(), true)
        );
        assert_eq!(
            run_script("SET lock n", "new"),
            (":0\r\n".to_owned(), false)
        );
        assert_eq!(
            run_script("SET lock n", "always"),
            (":1\r\n".to_owned(), true)
        );
        assert_eq!(run_script("SET lock m", "always"), refused);
    }

    #[test]
    fn a_scan_meets_whatever_is_there_all_the_time() {
        let mut keys = Keys::new();
        for number in 0..10 {
            run(&mut keys, 0, &format!("HSET record f{number} v"));
        }
        let (mut cursor, mut found) = ("0".to_owned(), String::new());
        loop {
            let page = run(&mut keys, 0, &format!("HSCAN record {cursor} COUNT 3"));
            found.push_str(&page);
            cursor = page.split("\r\n").nth(2).unwrap_or("0").to_owned();
            if cursor == "0" {
                break;
            }
            run(&mut keys, 0, &format!("HSET record new{cursor} v"));
            run(&mut keys, 0, "HDEL record f3");
        }
        let stays = (0..10).filter(|number| *number != 3);
        assert!(
            stays
                .into_iter()
                .all(|number| found.contains(&format!("f{number}\r\n")))
        );
    }
}
