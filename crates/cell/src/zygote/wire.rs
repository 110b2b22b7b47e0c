//! The wire between the supervisor and a zygote: small messages over a socket that keeps their boundaries.
//!
//! To the zygote: `W` (make `/box` or `/tmp` anew), `J` (a job, in an anonymous file that the fork reads), `K` (kill
//! the program). From it: `M` (made, with descriptors), `D` (done), `L` (processes are left; weaker tiers), `E`
//! (an error). `inside/wire.rs` holds the other half. Replies are read as if anybody could have written them.

use crate::CellError;
use crate::types::{Entry, Limits, Program};
use crate::watch::path::unescape;
use crate::zygote::marshal::Tuple;
use std::os::unix::ffi::OsStrExt;

#[path = "../../inside/head.rs"]
mod head;
pub(crate) use head::{BARE, Head, INNER_FILTER, NO_INPUT, PROC, SCOPED, WATCHED};

/// The numbers for a program with these limits; `length` is filled in by [`job`].
pub(crate) fn head(limits: &Limits, beside: u64, flags: u64) -> Head {
    Head {
        memory: limits.memory_bytes.min(1 << 46),
        processes: u64::from(limits.processes) + beside,
        // One byte more than is kept of an output, so that who prints too much is seen to.
        file: limits.file_bytes.max(limits.output_bytes.saturating_add(1)).min(1 << 46),
        seconds: (limits.cpu_seconds.ceil() as u64).max(1),
        flags,
        ..Head::NONE
    }
}

/// Size of `/box`, and of `/tmp`, under these limits.
pub(crate) fn scratch_bytes(limits: &Limits) -> u64 {
    (limits.file_bytes.saturating_mul(4)).clamp(1 << 20, 1 << 40)
}

/// The prepared texts a source begins with, by number, and what follows them.
pub(crate) fn begins<'a>(mut source: &'a str, prepared: &[String]) -> (Vec<usize>, &'a str) {
    let mut found = Vec::new();
    while let Some((i, rest)) = prepared.iter().enumerate().find_map(|(i, t)| Some((i, source.strip_prefix(&**t)?))) {
        // An empty one would be found for ever.
        if rest.len() == source.len() {
            break;
        }
        found.push(i);
        source = rest;
    }
    (found, source)
}

/// All that the fork reads: the head, then (with `cwd` as the program calls the folder it starts in) a tuple in Python's `marshal` format.
pub(crate) fn job(program: &Program, env: &[(String, String)], prepared: &[String], cwd: &str, head: &Head) -> Vec<u8> {
    let mut job = Tuple::new();
    let mut argv = Tuple::new();
    // How many lines stand before the source, and which prepared texts they are.
    let mut first = Tuple::new();
    match &program.entry {
        Entry::Python(source) => {
            let (found, rest) = begins(source, prepared);
            if !found.is_empty() {
                first.int(source[..source.len() - rest.len()].matches('\n').count() as u64);
                found.iter().for_each(|i| first.int(*i as u64));
            }
            job.int(0);
            job.text(rest);
        }
        Entry::PythonFile(path) => {
            job.int(1);
            job.system_text(&unescape(path));
        }
        Entry::Command(words) => {
            job.int(2);
            job.text("");
            words.iter().for_each(|w| argv.system_text(w.as_bytes()));
        }
    }
    program.args.iter().for_each(|a| argv.system_text(a.as_bytes()));
    job.tuple(argv);
    let mut pairs = Tuple::new();
    // A fork has the zygote's already.
    let base = if matches!(program.entry, Entry::Command(_)) { env } else { &[] };
    let base = base.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let own = program.env.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    for (name, value) in base.chain(own) {
        let mut pair = Tuple::new();
        pair.system_text(name);
        pair.system_text(value);
        pairs.tuple(pair);
    }
    job.tuple(pairs);
    job.tuple(first);
    job.text(cwd);
    let body = job.finish();
    let Head { memory, processes, file, seconds, flags, .. } = *head;
    let mut out = Vec::with_capacity(size_of::<Head>() + body.len());
    for n in [memory, processes, file, seconds, flags, body.len() as u64] {
        out.extend(n.to_ne_bytes());
    }
    out.extend(body);
    out
}

/// "Make these anew, of this size."
pub(crate) fn wipe(places: u8, bytes: u64) -> [u8; 16] {
    let mut message = [0u8; 16];
    (message[0], message[1]) = (b'W', places);
    message[8..].copy_from_slice(&bytes.to_le_bytes());
    message
}

/// What the zygote says about a program that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// As `wait` gives it.
    pub(crate) status: i32,
    /// Whether it was killed as told, with the reason that came along.
    pub(crate) killed: u8,
    pub(crate) cpu_micros: u64,
    pub(crate) peak_kib: u64,
    pub(crate) leftover: u32,
    pub(crate) crowded: bool,
}

/// What a zygote says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The places asked for are made; their descriptors come along.
    Made,
    /// Processes without a namespace are left and are to be killed.
    Left,
    /// The program ended.
    Done(Ended),
}

/// Reads a reply.
///
/// # Errors
/// [`CellError::Machine`] for an error told, and for anything that is no reply.
pub(crate) fn parse(message: &[u8]) -> Result<Reply, CellError> {
    let machine = |what: String| Err(CellError::Machine(what));
    match (message.first(), message.len()) {
        (None, _) => machine("the cell died".to_owned()),
        (Some(b'M'), 1) => Ok(Reply::Made),
        (Some(b'L'), 1) => Ok(Reply::Left),
        (Some(b'D'), 56) => {
            let mut words = [0u64; 6];
            for (word, bytes) in words.iter_mut().zip(message[8..].chunks_exact(8)) {
                let mut b = [0u8; 8];
                b.copy_from_slice(bytes);
                *word = u64::from_le_bytes(b);
            }
            let [status, killed, cpu_micros, peak_kib, leftover, crowded] = words;
            let (Ok(status), Ok(killed), Ok(leftover)) =
                (u32::try_from(status), u8::try_from(killed), u32::try_from(leftover))
            else {
                return machine(format!("a cell sent numbers out of range: {words:?}"));
            };
            let status = status.cast_signed();
            Ok(Reply::Done(Ended { status, killed, cpu_micros, peak_kib, leftover, crowded: crowded != 0 }))
        }
        (Some(b'E'), 3) => {
            let error = std::io::Error::from_raw_os_error(i32::from(message[2]));
            machine(format!("a cell failed at step '{}': {error}", char::from(message[1])))
        }
        (Some(b'E'), _) => machine(String::from_utf8_lossy(&message[1..]).into_owned()),
        (Some(first), length) => machine(format!("a cell sent {length} bytes beginning with {first:#04x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn done(words: [u64; 6]) -> Vec<u8> {
        let mut message = b"D\0\0\0\0\0\0\0".to_vec();
        words.iter().for_each(|w| message.extend(w.to_le_bytes()));
        message
    }

    proptest! {
        #[test]
        fn anything_may_be_received(message in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&message);
        }

        #[test]
        fn a_reply_with_a_byte_more_or_less_is_none(words: [u64; 6], cut in 1usize..56, more: u8) {
            let whole = done(words);
            prop_assert!(parse(&whole[..cut]).is_err());
            prop_assert!(parse(&[whole, vec![more]].concat()).is_err());
        }

        #[test]
        fn numbers_arrive_as_sent(status: u32, killed: u8, cpu: u64, peak: u64, left: u32, crowded: bool) {
            let words = [status.into(), killed.into(), cpu, peak, left.into(), crowded.into()];
            let Ok(Reply::Done(ended)) = parse(&done(words)) else { panic!("no reply") };
            prop_assert_eq!(ended.status, status.cast_signed());
            prop_assert_eq!((ended.killed, ended.leftover, ended.crowded), (killed, left, crowded));
            prop_assert_eq!((ended.cpu_micros, ended.peak_kib), (cpu, peak));
        }

        #[test]
        fn numbers_out_of_range_are_refused(which in prop_oneof![Just(0usize), Just(1), Just(4)], big in (1u64 << 32)..) {
            let mut words = [0; 6];
            words[which] = big;
            prop_assert!(parse(&done(words)).is_err());
        }
    }

    #[test]
    fn errors_are_told() {
        let text = |m: &[u8]| parse(m).unwrap_err().to_string();
        assert!(text(b"").contains("died"));
        assert!(text(&[b'E', b'u', 1]).contains("step 'u'"));
        assert!(text(b"EOSError(1)").contains("OSError(1)"));
    }
}
