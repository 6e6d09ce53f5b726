//! How a cluster's slots lie on its masters (Redis documentation, "Redis cluster specification").

use futures_util::future::select_ok;
use redis::{FromRedisValue, Value, cmd};

use super::{Address, Backend, Kind, Unreachable};

/// How many slots every cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a key, or of a channel that one shard has for itself. If there is something between
/// the first brace and the next that closes it, only that counts.
pub(crate) fn slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let counted = match tag {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => key,
    };
    crc16(counted.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, which the specification gives as code.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

/// Which master has which slots.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Slots {
    /// First and last slot, and their master; in order.
    ranges: Vec<(u16, u16, Address)>,
}

impl Slots {
    /// Slots of which the first `count` are at one master, and the others at another.
    #[cfg(test)]
    pub(crate) fn divided(count: u16, one: Address, other: Address) -> Self {
        Self {
            ranges: vec![(0, count - 1, one), (count, SLOTS - 1, other)],
        }
    }

    /// The master of a slot, if there is one.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let (first, _, owner) = self.ranges.get(at)?;
        (*first <= slot).then_some(owner)
    }

    /// Every master, once.
    pub(crate) fn owners(&self) -> Vec<&Address> {
        let mut owners: Vec<&Address> = Vec::new();
        for (_, _, owner) in &self.ranges {
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        owners
    }

    /// Whether every slot has a master.
    pub(crate) fn are_whole(&self) -> bool {
        let count = |(first, last, _): &(u16, u16, _)| u32::from(last - first) + 1;
        self.ranges.iter().map(count).sum::<u32>() == u32::from(SLOTS)
    }

    /// Reads the answer to `CLUSTER SLOTS`. A master that names no host is the one that was asked.
    fn decode(answer: Value, asked: &Address) -> Option<Self> {
        type Node = (Option<String>, u16);
        let asked_host = match asked {
            Address::Tcp { host, .. } => host.clone(),
            Address::Unix(_) => return None,
        };
        let Value::Array(found) = answer else {
            return None;
        };
        let mut ranges = Vec::new();
        for range in found {
            let Value::Array(parts) = range else {
                return None;
            };
            let mut parts = parts.into_iter();
            let first = u16::from_redis_value(parts.next()?).ok()?;
            let last = u16::from_redis_value(parts.next()?).ok()?;
            // A node is its host, its port, its id and more.
            let Value::Array(node) = parts.next()? else {
                return None;
            };
            let mut node = node.into_iter();
            let (host, port): Node = (
                Option::from_redis_value(node.next()?).ok()?,
                u16::from_redis_value(node.next()?).ok()?,
            );
            let host = host.filter(|host| !host.is_empty() && host != "?");
            let host = host.unwrap_or_else(|| asked_host.clone());
            if first > last || last >= SLOTS {
                return None;
            }
            ranges.push((first, last, Address::Tcp { host, port }));
        }
        ranges.sort_unstable_by_key(|(first, ..)| *first);
        let overlap = ranges.windows(2).any(|pair| pair[0].1 >= pair[1].0);
        (!overlap).then_some(Self { ranges })
    }
}

impl Backend {
    /// Asks how the cluster is laid out: the nodes that are `connected`, all at once, and if none
    /// of them tells, those of the URL and those that are `known`. A node that does not answer
    /// keeps nobody waiting as long as another does.
    ///
    /// # Errors
    /// None of them answers.
    pub(crate) async fn slots(
        &self,
        connected: &[Address],
        known: &[Address],
    ) -> Result<Slots, Unreachable> {
        let Kind::Cluster(seeds) = &self.kind else {
            return Err(Unreachable::NoCluster("it is none".to_owned()));
        };
        if let Ok(slots) = self.slots_of_any(connected.iter()).await {
            return Ok(slots);
        }
        let others = known.iter().filter(|address| !seeds.contains(address));
        self.slots_of_any(seeds.iter().chain(others)).await
    }

    /// Asks nodes at once and takes the first answer.
    async fn slots_of_any(
        &self,
        nodes: impl Iterator<Item = &Address>,
    ) -> Result<Slots, Unreachable> {
        let asked: Vec<_> = nodes.map(|node| Box::pin(self.slots_of(node))).collect();
        if asked.is_empty() {
            return Err(Unreachable::NoCluster("it is not connected".to_owned()));
        }
        let first = select_ok(asked).await;
        let told = first.map(|(slots, _)| slots);
        told.map_err(|error| Unreachable::NoCluster(error.to_string()))
    }

    async fn slots_of(&self, address: &Address) -> Result<Slots, Unreachable> {
        let mut node = self.commands(address).await?;
        let refused = |reason: String| Unreachable::Refused(address.clone(), reason);
        let mut slots = cmd("CLUSTER");
        slots.arg("SLOTS");
        let answer: Value = slots
            .query_async(&mut node.connection)
            .await
            .map_err(|error| refused(super::one_line(&error)))?;
        let slots = Slots::decode(answer, address);
        // A node that was just reset knows of no slots, and is no witness.
        let slots = slots.filter(|slots| !slots.ranges.is_empty());
        slots.ok_or_else(|| refused("it knows of no slots".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        let host = Value::BulkString(host.as_bytes().to_vec());
        let id = Value::BulkString(b"id".to_vec());
        Value::Array(vec![host, Value::Int(port), id])
    }

    fn range(first: i64, last: i64, node: Value) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    fn address(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // The specification's own example, and what `CLUSTER KEYSLOT` says.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, expected) in [
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("bar{foo}{x}", 12_182),
            ("{}foo", 9_500),
        ] {
            assert_eq!(slot(key), expected, "{key}");
        }
    }

    #[test]
    fn every_slot_has_its_master() {
        let answer = Value::Array(vec![
            range(8000, 16_383, node("b", 2)),
            range(0, 7_998, node("", 1)),
        ]);
        let slots = Slots::decode(answer, &address("a", 9)).unwrap();
        assert_eq!(slots.owner(0), Some(&address("a", 1)));
        assert_eq!(slots.owner(7_998), Some(&address("a", 1)));
        assert_eq!(slots.owner(7_999), None);
        assert_eq!(slots.owner(16_383), Some(&address("b", 2)));
        assert_eq!(slots.owners().len(), 2);
        assert!(!slots.are_whole());
    }

    #[test]
    fn answers_that_cannot_be_are_none() {
        for answer in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(2, 1, node("a", 1))]),
            Value::Array(vec![range(0, 16_384, node("a", 1))]),
            Value::Array(vec![range(0, 5, node("a", 1)), range(5, 6, node("b", 1))]),
        ] {
            assert_eq!(Slots::decode(answer, &address("a", 1)), None);
        }
    }
}
