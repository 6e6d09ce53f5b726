//! The published message: a stamp at fixed places, so that reading it back costs next to nothing.
//!
//! ```text
//! {"data":["0000000007","0000000003","0000000123456789","xxxx…"]}
//! ```
//!
//! The first number counts the messages of a run, the second those of a channel, the third is the
//! time of publishing in nanoseconds since the run began; the rest fills up to the workload's
//! size, 64 bytes at least.

use crate::dialect::Dialect;

/// A channel's name is `c` and its number in five digits: all of one length.
const NAME_LEN: usize = 6;
/// What an event has before the channel's name, before the payload, and after it: in Socket.IO 4
/// `42["c00042",{…}]`.
const EVENT: [&[u8]; 3] = [br#"42[""#, br#"","#, b"]"];
/// The same in Socket.IO 0.9: `5:::{"name":"c00042","args":[{…}]}`.
const EVENT_09: [&[u8]; 3] = [br#"5:::{"name":""#, br#"","args":["#, b"]}"];

const SCAFFOLD: &[u8] = br#"{"data":["0000000000","0000000000","0000000000000000",""#;
const TAIL: &[u8] = br#""]}"#;
const NUMBER: Field = Field { at: 10, len: 10 };
const SEQUENCE: Field = Field { at: 23, len: 10 };
const NANOS: Field = Field { at: 36, len: 16 };

/// The name of the channel with this number, at most 99,999.
#[must_use]
pub fn channel_name(channel: u32) -> String {
    format!("c{channel:05}")
}

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The channel's number.
    pub channel: u32,
    /// The message's place among all messages of the run.
    pub number: u64,
    /// Its place among the messages of its channel.
    pub sequence: u64,
    /// When it was published, in nanoseconds since the run began.
    pub nanos: u64,
}

impl Stamp {
    /// Reads the stamp from an event packet of Socket.IO 4, and checks the packet's form and length.
    #[must_use]
    #[inline]
    pub fn of_packet(packet: &[u8], payload_len: usize) -> Option<Self> {
        Self::of_event(EVENT, packet, payload_len)
    }

    /// The same for Socket.IO 0.9.
    #[must_use]
    #[inline]
    pub fn of_packet_09(packet: &[u8], payload_len: usize) -> Option<Self> {
        Self::of_event(EVENT_09, packet, payload_len)
    }

    #[inline]
    fn of_event(
        [head, middle, tail]: [&[u8]; 3],
        packet: &[u8],
        payload_len: usize,
    ) -> Option<Self> {
        let rest = packet.strip_prefix(head)?.strip_suffix(tail)?;
        let (name, rest) = rest.split_at_checked(NAME_LEN)?;
        Self::of_payload(name, rest.strip_prefix(middle)?, payload_len)
    }

    /// Reads the stamp from a payload that came on the channel with this name, and checks the
    /// form and length of both.
    #[must_use]
    #[inline]
    pub fn of_payload(name: &[u8], payload: &[u8], payload_len: usize) -> Option<Self> {
        let (b"c", channel) = name.split_at_checked(1)? else {
            return None;
        };
        let channel = digits(channel)? as u32;
        (name.len() == NAME_LEN).then_some(())?;
        Self::of_channel(channel, payload, payload_len)
    }

    /// Reads the stamp from a payload that came on a known channel.
    #[must_use]
    #[inline]
    pub fn of_channel(channel: u32, payload: &[u8], payload_len: usize) -> Option<Self> {
        let intact = payload.len() == payload_len
            && payload.starts_with(&SCAFFOLD[..NUMBER.at])
            && payload.ends_with(TAIL);
        intact.then_some(())?;
        Some(Self {
            channel,
            number: digits(NUMBER.of(payload))?,
            sequence: digits(SEQUENCE.of(payload))?,
            nanos: digits(NANOS.of(payload))?,
        })
    }
}

/// The command that publishes, built once and stamped for each message.
pub struct Template {
    command: Vec<u8>,
    channel_at: usize,
    payload_at: usize,
}

impl Template {
    /// A command with `payload_len` bytes of payload, or the least that a stamp needs.
    #[must_use]
    pub fn new(dialect: Dialect, payload_len: usize) -> Self {
        let filling = payload_len.saturating_sub(SCAFFOLD.len() + TAIL.len());
        let length = SCAFFOLD.len() + filling + TAIL.len();
        let command = dialect.publish(NAME_LEN, length);
        let mut bytes = [command.before.as_bytes(), b"c00000"].concat();
        let channel_at = command.before.len() + 1;
        bytes.extend_from_slice(command.between.as_bytes());
        let payload_at = bytes.len();
        bytes.extend_from_slice(SCAFFOLD);
        bytes.resize(bytes.len() + filling, b'x');
        bytes.extend_from_slice(TAIL);
        bytes.extend_from_slice(command.after.as_bytes());
        Self {
            command: bytes,
            channel_at,
            payload_at,
        }
    }

    /// Stamps the command and appends it.
    pub fn append(&mut self, stamp: &Stamp, out: &mut Vec<u8>) {
        write_digits(
            u64::from(stamp.channel),
            &mut self.command[self.channel_at..self.channel_at + NAME_LEN - 1],
        );
        let payload = &mut self.command[self.payload_at..];
        write_digits(stamp.number, NUMBER.of_mut(payload));
        write_digits(stamp.sequence, SEQUENCE.of_mut(payload));
        write_digits(stamp.nanos, NANOS.of_mut(payload));
        out.extend_from_slice(&self.command);
    }
}

/// A number of fixed width in the payload.
struct Field {
    at: usize,
    len: usize,
}

impl Field {
    fn of<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        &payload[self.at..self.at + self.len]
    }

    fn of_mut<'a>(&self, payload: &'a mut [u8]) -> &'a mut [u8] {
        &mut payload[self.at..self.at + self.len]
    }
}

#[inline]
fn digits(bytes: &[u8]) -> Option<u64> {
    let mut value = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

fn write_digits(mut value: u64, out: &mut [u8]) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp;

    const STAMP: Stamp = Stamp {
        channel: 42,
        number: 7,
        sequence: 3,
        nanos: 123_456_789,
    };

    const PAYLOAD_AT: usize = br#"42["c00042","#.len();

    fn packet(payload_len: usize) -> Vec<u8> {
        let mut command = Vec::new();
        Template::new(Dialect::SocketIo, payload_len).append(&STAMP, &mut command);
        // A subscriber's push differs from a publisher's command in this one word.
        let at = memchr::memmem::find(&command, b"PUBLISH").unwrap();
        command[at..at + 7].copy_from_slice(b"message");
        let (reply, end) = resp::scan(&command).unwrap();
        assert_eq!(end, command.len());
        let resp::Reply::Message { channel, payload } = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(channel, b"womack:ns:default:c00042");
        assert_eq!(payload.len(), payload_len);
        event(EVENT, payload)
    }

    fn event([head, middle, tail]: [&[u8]; 3], payload: &[u8]) -> Vec<u8> {
        [head, b"c00042", middle, payload, tail].concat()
    }

    #[test]
    fn stamp_survives_the_way_through_a_server() {
        for length in [64, 128, 16_384] {
            let packet = packet(length);
            assert_eq!(Stamp::of_packet(&packet, length), Some(STAMP));
            let packet = event(EVENT_09, &packet[PAYLOAD_AT..][..length]);
            assert_eq!(Stamp::of_packet_09(&packet, length), Some(STAMP));
            assert_eq!(Stamp::of_packet(&packet, length), None);
        }
    }

    #[test]
    fn command_holds_the_same_message_in_every_dialect() {
        let expected = &packet(128)[PAYLOAD_AT..][..128];
        for dialect in [Dialect::SocketIo, Dialect::Nats, Dialect::Nchan] {
            let mut command = Vec::new();
            Template::new(dialect, 128).append(&STAMP, &mut command);
            assert!(memchr::memmem::find(&command, b"c00042").is_some());
            let at = memchr::memmem::find(&command, expected).unwrap();
            let end = if dialect == Dialect::Nchan { 0 } else { 2 };
            assert_eq!(command.len(), at + 128 + end);
            assert_eq!(
                Stamp::of_payload(b"c00042", &command[at..at + 128], 128),
                Some(STAMP)
            );
        }
    }

    #[test]
    fn damaged_packet_has_no_stamp() {
        let whole = packet(128);
        assert_eq!(Stamp::of_packet(&whole[1..], 128), None);
        assert_eq!(Stamp::of_packet(&whole[..whole.len() - 1], 128), None);
        let mut damaged = whole;
        damaged[PAYLOAD_AT + SEQUENCE.at] = b'x';
        assert_eq!(Stamp::of_packet(&damaged, 128), None);
    }
}
