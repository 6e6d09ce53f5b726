//! The sends of a whole round in a few system calls, through io_uring.
//!
//! Why: what a send costs is the kernel's, and a good part of it is the way into the kernel and
//! out again. A round for a thousand clients goes in and out once. `benches/README.md` has the
//! figures.
//!
//! How it was checked: the kernel is given pointers to bytes and numbers of sockets, both of which
//! must stay valid until it is done with them. [`Ring::send`] borrows both, and does not return
//! while a send that the kernel has taken is unanswered. None is answered late, since none may wait
//! (`MSG_DONTWAIT`): the kernel completes each while it takes it. When it fails to take more, the
//! answers that are there are collected and the error is returned; what it did not take it never
//! saw, and the caller drops the ring. `tests/it/egress.rs` runs the server with and without it,
//! and where the system forbids it. `make sanitize` has AddressSanitizer watch it; since that does
//! not see the kernel read, freed memory is filled, and random clients would notice that.

#![expect(unsafe_code, reason = "see above")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use io_uring::{IoUring, Probe, opcode, types};
use rustix::net::SendFlags;

/// Sends that are submitted with one system call.
const ENTRIES: u32 = 1024;

/// A shard's queue of sends to the kernel.
pub struct Ring {
    ring: IoUring,
}

/// What one socket is sent.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Job<'a> {
    pub(in crate::shard) socket: BorrowedFd<'a>,
    pub(in crate::shard) bytes: &'a [u8],
}

/// What became of a job: the kernel's number, or none if the kernel never took it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::shard) struct Answer(Option<i32>);

impl Answer {
    /// How many bytes the socket took, none if it is full. `None` if the kernel never saw the job.
    pub(in crate::shard) fn taken(self) -> Option<io::Result<usize>> {
        let number = self.0?;
        let Ok(count) = usize::try_from(number) else {
            let error = io::Error::from_raw_os_error(-number);
            return Some(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            });
        };
        Some(Ok(count))
    }
}

impl Ring {
    /// Opens a ring for the calling thread.
    ///
    /// # Errors
    /// The system's: it may be too old for this use of io_uring, or forbid it.
    pub fn open() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .build(ENTRIES)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self { ring })
    }

    /// Sends each job, without waiting for sockets that are full, and puts what became of it at
    /// the end of `answers`, in the order of the jobs.
    ///
    /// # Errors
    /// The kernel takes no more jobs: the last of `answers` are then missing, or say that their
    /// jobs were not taken. The ring is of no use afterwards.
    pub(in crate::shard) fn send<'a>(
        &mut self,
        mut jobs: impl Iterator<Item = Job<'a>>,
        answers: &mut Vec<Answer>,
    ) -> io::Result<()> {
        loop {
            let first = answers.len();
            self.fill(&mut jobs, answers);
            if answers.len() == first {
                return Ok(());
            }
            self.submit(&mut answers[first..])?;
        }
    }

    /// Queues as many jobs as there is room for. The number that each carries is its place among
    /// the answers that are added here.
    fn fill<'a>(&mut self, jobs: &mut impl Iterator<Item = Job<'a>>, answers: &mut Vec<Answer>) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut queue = self.ring.submission();
        for (number, job) in (0..u64::from(ENTRIES)).zip(jobs) {
            let socket = types::Fd(job.socket.as_raw_fd());
            let length = u32::try_from(job.bytes.len()).unwrap_or(u32::MAX);
            let send = opcode::Send::new(socket, job.bytes.as_ptr(), length)
                .flags(flags.bits().cast_signed())
                .build()
                .user_data(number);
            // SAFETY: the bytes and the socket are borrowed by the caller for longer than
            // `submit` takes, and are not used by the kernel afterwards; see the head of this file.
            let queued = unsafe { queue.push(&send) };
            queued.expect("the queue is empty, and has room for as many as it is given");
            answers.push(Answer(None));
        }
    }

    /// Lets the kernel do what is queued, and takes its answers.
    fn submit(&mut self, answers: &mut [Answer]) -> io::Result<()> {
        let mut missing = answers.len();
        loop {
            let submitted = self.ring.submit_and_wait(missing);
            for completion in self.ring.completion() {
                let place = usize::try_from(completion.user_data()).ok();
                if let Some(answer) = place.and_then(|place| answers.get_mut(place)) {
                    *answer = Answer(Some(completion.result()));
                    missing -= 1;
                }
            }
            match submitted {
                _ if missing == 0 => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    fn send(ring: &mut Ring, jobs: &[(&TcpStream, &[u8])]) -> Vec<Answer> {
        let jobs = jobs.iter().map(|(socket, bytes)| Job {
            socket: socket.as_fd(),
            bytes,
        });
        let mut answers = Vec::new();
        ring.send(jobs, &mut answers).unwrap();
        answers
    }

    /// Where the system forbids io_uring there is nothing to test; `tests/it/egress.rs` tests that.
    fn ring() -> Option<Ring> {
        Ring::open().ok()
    }

    #[test]
    fn more_jobs_than_entries_are_answered_in_their_order() {
        let Some(mut ring) = ring() else { return };
        let (server, mut client) = pair();
        let bytes: Vec<Vec<u8>> = (0..3 * ENTRIES as usize)
            .map(|number| vec![number as u8; 1 + number % 3])
            .collect();
        let jobs: Vec<_> = bytes.iter().map(|bytes| (&server, &bytes[..])).collect();
        let answers = send(&mut ring, &jobs);
        for (answer, bytes) in answers.iter().zip(&bytes) {
            assert_eq!(answer.taken().unwrap().unwrap(), bytes.len());
        }
        drop(server);
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(received, bytes.concat());
    }

    #[test]
    fn full_and_broken_sockets_answer_for_themselves() {
        let Some(mut ring) = ring() else { return };
        let (full, _unread) = pair();
        let (broken, gone) = pair();
        let (well, mut client) = pair();
        drop(gone);
        let much = vec![0; 64 << 20];
        let answers = send(
            &mut ring,
            &[(&full, &much), (&full, b"x"), (&well, b"hello")],
        );
        let first = answers[0].taken().unwrap().unwrap();
        assert!(first > 0 && first < much.len());
        assert_eq!(answers[1].taken().unwrap().unwrap(), 0);
        assert_eq!(answers[2].taken().unwrap().unwrap(), 5);
        let mut received = [0; 5];
        client.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
        // The peer's reset comes as the answer to the first bytes that it did not want.
        let ended = (0..1000).any(|_| {
            let answers = send(&mut ring, &[(&broken, b"x")]);
            answers[0].taken().unwrap().is_err()
        });
        assert!(ended);
    }

    #[test]
    fn nothing_to_send_is_nothing_to_answer() {
        let Some(mut ring) = ring() else { return };
        assert!(send(&mut ring, &[]).is_empty());
    }
}
