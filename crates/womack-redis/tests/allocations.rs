//! What the bytes of Redis may allocate.

use allocation_counter::measure;
use bytes::BytesMut;
use womack_redis::resp;

#[test]
fn messages_from_redis_share_the_buffer_they_came_in() {
    for mark in ["*", ">"] {
        let message = format!("{mark}3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\n[1]\r\n");
        let mut input = BytesMut::from(message.repeat(1_000).as_bytes());
        let mut decoder = resp::Decoder::default();
        let info = measure(|| {
            for _ in 0..1_000 {
                assert!(matches!(decoder.decode(&mut input, 100), Ok(Some(_))));
            }
        });
        assert_eq!(info.count_total, 1, "the buffer's count of users");
    }
}

#[test]
fn what_redis_only_announces_allocates_nothing() {
    for announced in [
        "$1048576\r\n",
        "=1048576\r\n",
        "%2048\r\n",
        "*4096\r\n",
        ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$536870912\r\n",
    ] {
        let mut input = BytesMut::from(announced);
        let mut decoder = resp::Decoder::default();
        let most = 512 << 20;
        let info = measure(|| assert_eq!(decoder.decode(&mut input, most), Ok(None)));
        assert_eq!(info.count_total, 0, "{announced:?}");
    }
}
