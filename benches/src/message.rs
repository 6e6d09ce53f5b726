//! The published message: a stamp at fixed places, so that reading it back costs next to nothing.
//!
//! ```text
//! {"data":{"n":"0000000007","s":"0000000003","t":"0000000123456789","p":"xxxx…"}}
//! ```
//!
//! `n` numbers the messages of a run, `s` those of a channel, `t` is the time of publishing in
//! nanoseconds since the run began, and `p` fills up to the workload's size.

/// The Redis key in front of every channel name.
pub const KEY: &str = "womack:ns:default:";

/// A channel's name is `c` and its number in five digits: all of one length.
const NAME_LEN: usize = 6;
/// Where the payload begins in `42["c00042",{…}]`.
const PAYLOAD_AT: usize = 4 + NAME_LEN + 2;

const SCAFFOLD: &[u8] =
    br#"{"data":{"n":"0000000000","s":"0000000000","t":"0000000000000000","p":""#;
const TAIL: &[u8] = br#""}}"#;
const NUMBER: Field = Field { at: 14, len: 10 };
const SEQUENCE: Field = Field { at: 31, len: 10 };
const NANOS: Field = Field { at: 48, len: 16 };

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
    /// Reads the stamp from a Socket.IO event packet, and checks the packet's form and length.
    #[must_use]
    #[inline]
    pub fn read(packet: &[u8], payload_len: usize) -> Option<Self> {
        if packet.len() != PAYLOAD_AT + payload_len + 1 {
            return None;
        }
        let (head, payload) = packet.split_at(PAYLOAD_AT);
        let payload = payload.strip_suffix(b"]")?;
        let intact = head.starts_with(br#"42["c"#)
            && head.ends_with(br#"","#)
            && payload.starts_with(&SCAFFOLD[..NUMBER.at])
            && payload.ends_with(TAIL);
        intact.then_some(())?;
        Some(Self {
            channel: digits(&head[5..PAYLOAD_AT - 2])? as u32,
            number: digits(NUMBER.of(payload))?,
            sequence: digits(SEQUENCE.of(payload))?,
            nanos: digits(NANOS.of(payload))?,
        })
    }
}

/// A `PUBLISH` command in Redis's protocol, built once and stamped for each message.
pub struct Template {
    command: Vec<u8>,
    channel_at: usize,
    payload_at: usize,
}

impl Template {
    /// A command with `payload_len` bytes of payload, or the least that a stamp needs.
    #[must_use]
    pub fn new(payload_len: usize) -> Self {
        let filling = payload_len.saturating_sub(SCAFFOLD.len() + TAIL.len());
        let length = SCAFFOLD.len() + filling + TAIL.len();
        let mut command =
            format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{KEY}", KEY.len() + NAME_LEN).into_bytes();
        let channel_at = command.len() + 1;
        command.extend_from_slice(format!("c00000\r\n${length}\r\n").as_bytes());
        let payload_at = command.len();
        command.extend_from_slice(SCAFFOLD);
        command.resize(command.len() + filling, b'x');
        command.extend_from_slice(TAIL);
        command.extend_from_slice(b"\r\n");
        Self {
            command,
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

    fn packet(payload_len: usize) -> Vec<u8> {
        let mut command = Vec::new();
        Template::new(payload_len).append(&STAMP, &mut command);
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
        [br#"42["c00042","#, payload, b"]"].concat()
    }

    #[test]
    fn stamp_survives_the_way_through_a_server() {
        for length in [128, 16_384] {
            assert_eq!(Stamp::read(&packet(length), length), Some(STAMP));
        }
    }

    #[test]
    fn damaged_packet_has_no_stamp() {
        let whole = packet(128);
        assert_eq!(Stamp::read(&whole[1..], 128), None);
        assert_eq!(Stamp::read(&whole[..whole.len() - 1], 128), None);
        let mut damaged = whole;
        damaged[PAYLOAD_AT + SEQUENCE.at] = b'x';
        assert_eq!(Stamp::read(&damaged, 128), None);
    }
}
