//! Commands by which clients come and go, in records and in server events.

use redis::{Pipeline, RedisError, RedisResult, Value};
use womack_engine::Count;

use super::{
    entry::Entry,
    keys::{Keys, LOCK, millis},
};

/// Writes an entry into the record of a node and into an index, if there is one, and says that the
/// client has come: `always`, or if the record did not know. A node whose record was ended, or which
/// another node has begun to end, does neither: nobody would take that back. An entry that Redis
/// refuses keeps nobody from hearing of the client.
const COME: &str = "
    local node, lock = ARGV[1], redis.call('GET', KEYS[3])
    local has_record = false
    for _, member in ipairs(redis.call('SMEMBERS', KEYS[2])) do
        has_record = has_record or member == node
    end
    if not has_record or (lock and lock ~= node) then return -1 end
    local new = redis.pcall('HSET', KEYS[1], ARGV[2], ARGV[3])
    local indexed = KEYS[4] and redis.pcall('HSET', KEYS[4], ARGV[7], ARGV[8])
    local tells = ARGV[6] == 'always' or new == 1
    if tells then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
    if type(new) == 'table' then return new end
    if type(indexed) == 'table' then return indexed end
    return tells and 1 or 0";
/// The answer of [`COME`] to a node that others take for dead.
const TAKEN_FOR_DEAD: i64 = -1;

/// The way in which Redis treats records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Records {
    /// It keeps them.
    Kept,
    /// It refuses to keep this node's. Clients come and go all the same.
    Refused,
    /// It has no keys.
    NoKeys,
}

/// Commands that travel together.
pub(super) struct Commands<'a> {
    pub(super) pipeline: Pipeline,
    keys: &'a Keys,
    records: Records,
    /// Clients that have come without a script.
    come: u64,
    /// Which of the commands are scripts, and whether each says that its client has come although
    /// the record knew.
    scripts: Vec<(usize, bool)>,
}

/// The outcome of commands.
#[derive(Default)]
pub(super) struct Sent {
    /// Clients that were said to have come.
    pub(super) come: u64,
    /// Whether this node was taken for dead, and some of its clients have not been written down.
    pub(super) is_taken_for_dead: bool,
    /// The error of one that Redis has refused.
    pub(super) refusal: Option<RedisError>,
}

impl<'a> Commands<'a> {
    pub(super) fn new(keys: &'a Keys, records: Records) -> Self {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        Self {
            pipeline,
            keys,
            records,
            come: 0,
            scripts: Vec::new(),
        }
    }

    /// A client of this node has come. With `presence` others may ask for it.
    pub(super) fn come(&mut self, entry: &Entry<'_>, count: Count, presence: bool) {
        if self.records == Records::Kept {
            return self.tell(entry, count, presence, true);
        }
        if self.records == Records::Refused {
            self.write(entry, count, presence);
        }
        self.publish("subscribe", &entry.event(&self.keys.node));
        self.come += 1;
    }

    /// A client of this node is there. If the record did not know, it has come.
    pub(super) fn confirm(&mut self, entry: &Entry<'_>, count: Count, presence: bool) {
        if self.records == Records::Kept {
            self.tell(entry, count, presence, false);
        }
    }

    fn tell(&mut self, entry: &Entry<'_>, count: Count, presence: bool, always: bool) {
        let (keys, node) = (self.keys, &self.keys.node);
        self.scripts.push((self.pipeline.len(), always));
        let script = self.pipeline.cmd("EVAL").arg(COME);
        script.arg(if presence { 4 } else { 3 });
        script.arg(keys.sessions(node)).arg(keys.nodes());
        script.arg(keys.lock(node));
        if presence {
            script.arg(keys.members(node, entry.namespace, entry.channel));
        }
        script.arg(node).arg(entry.field()).arg(entry.value(count));
        script.arg(keys.channel("subscribe")).arg(entry.event(node));
        script.arg(if always { "always" } else { "if new" });
        if presence {
            script.arg(entry.session).arg(entry.meta());
        }
    }

    fn write(&mut self, entry: &Entry<'_>, count: Count, presence: bool) {
        let (keys, node) = (self.keys, &self.keys.node);
        self.pipeline.cmd("HSET").arg(keys.sessions(node));
        self.pipeline.arg(entry.field()).arg(entry.value(count));
        if presence {
            let members = keys.members(node, entry.namespace, entry.channel);
            self.pipeline.cmd("HSET").arg(members);
            self.pipeline.arg(entry.session).arg(entry.meta());
        }
    }

    /// A client of `node` has gone.
    pub(super) fn go(&mut self, node: &str, entry: &Entry<'_>, presence: bool) {
        let has_keys = self.records != Records::NoKeys;
        if has_keys {
            self.forget(node, &entry.field());
        }
        if has_keys && presence {
            let members = self.keys.members(node, entry.namespace, entry.channel);
            self.pipeline.cmd("HDEL").arg(members);
            self.pipeline.arg(entry.session);
        }
        self.publish("unsubscribe", &entry.event(node));
    }

    /// Takes an entry out of the record of `node`.
    pub(super) fn forget(&mut self, node: &str, field: &str) {
        self.pipeline.cmd("HDEL").arg(self.keys.sessions(node));
        self.pipeline.arg(field);
    }

    /// Holds the lock of a node's record for longer.
    pub(super) fn hold(&mut self, node: &str) {
        self.pipeline.cmd("PEXPIRE").arg(self.keys.lock(node));
        self.pipeline.arg(millis(LOCK));
    }

    /// Publishes an event of one kind.
    pub(super) fn publish(&mut self, kind: &str, event: &str) {
        self.pipeline.cmd("PUBLISH").arg(self.keys.channel(kind));
        self.pipeline.arg(event);
    }

    /// The outcome, by the replies to all commands.
    pub(super) fn read(&self, replies: Vec<RedisResult<Value>>) -> Sent {
        let mut sent = Sent {
            come: self.come,
            ..Sent::default()
        };
        for (at, reply) in replies.into_iter().enumerate() {
            let script = self
                .scripts
                .binary_search_by_key(&at, |(script, _)| *script);
            let always = script.ok().map(|script| self.scripts[script].1);
            match (always, reply) {
                (Some(_), Ok(Value::Int(TAKEN_FOR_DEAD))) => sent.is_taken_for_dead = true,
                (Some(_), Ok(Value::Int(1))) => sent.come += 1,
                (_, Ok(_)) => {}
                (always, Err(error)) => {
                    sent.come += u64::from(always == Some(true));
                    sent.refusal = Some(error);
                }
            }
        }
        sent
    }
}
