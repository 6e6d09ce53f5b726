//! The slots of a cluster, as Redis computes them.

const SLOTS: usize = 16_384;

/// The node, of some that share the slots in order, to which a name belongs.
pub(super) fn node_of(name: &str, nodes: usize) -> usize {
    let slot = usize::from(crc16(name.as_bytes())) % SLOTS;
    let mut all = 0..nodes;
    all.find(|node| slot < (node + 1) * SLOTS / nodes)
        .unwrap_or(0)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

#[test]
fn slots_are_those_of_redis() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
}
