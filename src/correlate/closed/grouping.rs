//! Closed frames put together to messages.
//!
//! Two things tell where a message begins. libzmq hands over whole messages, and writes what there is at once, so the first
//! frame of a packet mostly begins one. And requests and replies carry an envelope: identities, then an empty delimiter
//! (RFC 28), which is at the same depth in all messages of a connection. Where a message has empty parts behind the
//! delimiter too, the least that was ever sent by itself tells how many parts one has.
//!
//! What has no delimiter is put together by packets, if all those of a connection have the same number of frames; else it
//! stays as it is, each frame a message.

use crate::base::direction::Direction;
use crate::base::time::Duration;
use crate::correlate::window::{Fate, Window};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// A message may go on for so long after the last frame that was seen.
const MAY_GO_ON: Duration = Duration::from_millis(50);

/// Nodes in a row that envelopes are looked for.
const DEEPEST: usize = 16;

/// Frames without delimiter of which a message may consist, and how many packets must agree.
const MOST_WITHOUT_DELIMITER: usize = 8;
const ENOUGH_PACKETS: usize = 4;

/// libzmq's PING and PONG, commands inside a box.
const PING: u64 = 7;
const PONG: u64 = 5;

/// Frames among which the answer to a PING is.
const PONG_WITHIN: usize = 16;

/// A closed frame that nothing was put together with yet.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Its place in the window.
    record: usize,
    length: u64,
    /// It is the first that ended in its packet.
    is_first: bool,
    after_gap: bool,
}

/// The frames of one direction of a connection.
type Frames = Vec<Frame>;

/// Puts the closed frames of a sorted window together; `waits` if more is to come.
pub(in crate::correlate) fn group(window: &mut Window, waits: bool) {
    let mut directions: BTreeMap<(u32, Direction), Frames> = BTreeMap::new();
    let mut fates = vec![Fate::Stays; window.len()];
    let mut last = BTreeMap::new();
    for (number, record) in window.records().iter().enumerate() {
        let [part] = window.parts(number as u32) else { continue };
        if !record.is_closed {
            continue;
        }
        let way = (record.conn, record.direction);
        let packet = record.position.packet;
        let is_first = last.insert(way, packet) != Some(packet);
        let frame = Frame { record: number, length: part.length, is_first, after_gap: record.after_gap };
        directions.entry(way).or_default().push(frame);
    }
    drop_heartbeats(&mut directions, &mut fates);
    let Some(newest) = window.records().last().map(|record| record.available) else { return };
    for frames in directions.values() {
        let starts = starts(frames);
        for (at, &start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).copied().unwrap_or(frames.len());
            let last = frames[end - 1].record;
            // The last one waits for more, but not for ever.
            if waits && end == frames.len() && newest - window.records()[last].available < MAY_GO_ON {
                continue;
            }
            for frame in &frames[start..end - 1] {
                fates[frame.record] = Fate::GoesInto(last);
            }
        }
    }
    window.regroup(&fates);
}

/// Takes out what is likely a heartbeat: a frame of PING's size by itself, and the next one the other way, of PONG's. Where
/// nothing else is sent, that is what the application says.
fn drop_heartbeats(directions: &mut BTreeMap<(u32, Direction), Frames>, fates: &mut [Fate]) {
    // A part of this size stands behind others in its packet, or before a delimiter.
    let alone = |frames: &Frames, at: usize| {
        let is_beat = |frame: &Frame| frame.is_first && matches!(frame.length, PING | PONG);
        let begins = frames[at].is_first || at > 0 && is_beat(&frames[at - 1]);
        begins && frames.get(at + 1).is_none_or(|next| next.is_first || next.length > 0)
    };
    let conns: BTreeSet<u32> = directions.keys().map(|(conn, _)| *conn).collect();
    for conn in conns {
        for asks in Direction::BOTH {
            let (Some(asking), Some(asked)) = (directions.get(&(conn, asks)), directions.get(&(conn, asks.reverse())))
            else {
                continue;
            };
            let mut beats: Vec<(usize, usize)> = Vec::new();
            let mut next = 0;
            for (at, frame) in asking.iter().enumerate() {
                if frame.length != PING || !alone(asking, at) {
                    continue;
                }
                next += asked[next..].partition_point(|other| other.record < frame.record);
                // What was sent before the PING arrived may be in between.
                let answers = next..asked.len().min(next + PONG_WITHIN);
                if let Some(pong) = answers.into_iter().find(|&at| asked[at].length == PONG && alone(asked, at)) {
                    beats.push((at, pong));
                    next = pong + 1;
                }
            }
            if beats.is_empty() || !asking.iter().chain(asked).any(|frame| frame.length == 0) {
                continue;
            }
            let (asked_by, answers): (BTreeSet<usize>, BTreeSet<usize>) = beats.into_iter().unzip();
            for (way, gone) in [(asks, asked_by), (asks.reverse(), answers)] {
                let Entry::Occupied(mut entry) = directions.entry((conn, way)) else { continue };
                let mut number = 0;
                entry.get_mut().retain(|frame| {
                    let goes = gone.contains(&number);
                    number += 1;
                    if goes {
                        fates[frame.record] = Fate::Goes;
                    }
                    !goes
                });
            }
        }
    }
}

/// Where messages begin.
fn starts(frames: &[Frame]) -> Vec<usize> {
    let each = || (0..frames.len()).collect();
    let Some(depth) = depth(frames) else {
        return by_packet(frames).unwrap_or_else(each);
    };
    let heads = lengths_in_front(frames, depth);
    let begins = |at: usize| {
        frames.get(at..=at + depth).is_some_and(|front| {
            front[depth].length == 0
                && front[..depth].iter().all(|frame| (1..=255).contains(&frame.length))
                && (depth == 0 || heads.contains(&front[0].length))
        })
    };
    // Packets begin where messages do, if what they begin with can be that.
    let sure = |at: usize| (at == 0 || frames[at].is_first || frames[at].after_gap) && begins(at);
    let mut blocks: Vec<usize> = (0..frames.len()).filter(|&at| sure(at)).collect();
    if blocks.first() != Some(&0) {
        blocks.insert(0, 0);
    }
    let units = units(&blocks, frames.len());
    let mut starts = Vec::new();
    for (number, &block) in blocks.iter().enumerate() {
        let end = blocks.get(number + 1).copied().unwrap_or(frames.len());
        let mut start = block;
        starts.push(start);
        // A message has a part behind its delimiter, and as many in all as one that was sent by itself.
        let mut at = start + depth + 2;
        while at < end {
            if begins(at) && units.contains(&(at - start)) {
                start = at;
                starts.push(start);
                at += depth + 2;
            } else {
                at += 1;
            }
        }
    }
    starts
}

/// How many parts stand before the delimiter: what is most common where packets begin. `None` without a delimiter.
fn depth(frames: &[Frame]) -> Option<usize> {
    let mut votes = [0_usize; DEEPEST];
    for (at, frame) in frames.iter().enumerate() {
        if frame.is_first || at == 0 {
            let front = frames[at..].iter().take(DEEPEST);
            if let Some(depth) = front.take_while(|frame| frame.length <= 255).position(|frame| frame.length == 0) {
                votes[depth] += 1;
            }
        }
    }
    let (depth, &most) = votes.iter().enumerate().rev().max_by_key(|(_, votes)| **votes)?;
    let all = votes.iter().sum::<usize>();
    (most > 0 && most * 2 > all).then_some(depth)
}

/// Lengths that stand in front of the envelope where packets begin, more often than by chance.
fn lengths_in_front(frames: &[Frame], depth: usize) -> BTreeSet<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, frame) in frames.iter().enumerate() {
        let delimited = frames.get(at + depth).is_some_and(|frame| frame.length == 0);
        if delimited && (frame.is_first || at == 0) {
            *counts.entry(frame.length).or_default() += 1;
        }
    }
    let all: usize = counts.values().sum();
    counts.into_iter().filter(|(_, count)| count * 50 >= all).map(|(length, _)| length).collect()
}

/// Numbers of parts that were sent at once, without those that smaller ones add up to.
fn units(blocks: &[usize], end: usize) -> BTreeSet<usize> {
    let ends = blocks.iter().skip(1).copied().chain([end]);
    let sizes: BTreeSet<usize> = blocks.iter().zip(ends).map(|(start, end)| end - start).collect();
    let mut units = BTreeSet::new();
    // What the units so far add up to, up to the largest size worth a look.
    let longest = sizes.last().copied().unwrap_or_default().min(4096);
    let mut sums = vec![false; longest + 1];
    sums[0] = true;
    for size in sizes {
        if size > longest || sums[size] {
            continue;
        }
        units.insert(size);
        for at in size..=longest {
            sums[at] |= sums[at - size];
        }
    }
    units
}

/// Without delimiter: all packets begin a message, if they have the same number of frames.
fn by_packet(frames: &[Frame]) -> Option<Vec<usize>> {
    let starts: Vec<usize> = (0..frames.len()).filter(|&at| at == 0 || frames[at].is_first).collect();
    let count = frames.len() / starts.len().max(1);
    let even = starts.iter().enumerate().all(|(number, &start)| start == number * count);
    let alike = frames.chunks(count.max(1)).all(|frames| (1..=255).contains(&frames[0].length));
    let is_enough = starts.len() >= ENOUGH_PACKETS && (2..=MOST_WITHOUT_DELIMITER).contains(&count);
    (is_enough && even && alike && starts.len() * count == frames.len()).then_some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames by the packets that they came in.
    fn frames(packets: &[&[u64]]) -> Frames {
        let firsts = packets.iter().flat_map(|lengths| (0..lengths.len()).map(|at| at == 0));
        let lengths = packets.iter().flat_map(|lengths| lengths.iter().copied());
        let frame = |(record, (length, is_first))| Frame { record, length, is_first, after_gap: false };
        lengths.zip(firsts).enumerate().map(frame).collect()
    }

    #[test]
    fn an_envelope_tells_where_each_of_several_messages_begins() {
        assert_eq!(starts(&frames(&[&[0, 7], &[0, 9, 0, 8], &[0, 300]])), [0, 2, 4, 6]);
        assert_eq!(starts(&frames(&[&[5, 0, 7], &[5, 0, 9, 5, 0, 5]])), [0, 3, 6]);
        assert_eq!(starts(&frames(&[&[5, 5, 0, 7], &[5, 5, 0, 0]])), [0, 4], "an empty body");
    }

    #[test]
    fn a_message_has_no_fewer_parts_than_what_was_sent_by_itself() {
        assert_eq!(starts(&frames(&[&[0, 3, 0, 40], &[0, 3, 0, 41, 0, 3, 0, 42]])), [0, 4, 8]);
        assert_eq!(starts(&frames(&[&[5, 0, 3, 0, 40], &[5, 0, 3, 0, 41, 5, 0, 3, 0, 9]])), [0, 5, 10]);
    }

    #[test]
    fn a_long_part_ends_in_a_later_packet() {
        assert_eq!(starts(&frames(&[&[5, 0], &[20_000], &[5, 0, 9], &[5, 0], &[30_000]])), [0, 3, 6]);
    }

    #[test]
    fn without_delimiter_packets_decide_if_all_are_alike() {
        assert_eq!(starts(&frames(&[&[5, 70], &[5, 80], &[5, 90], &[5, 7]])), [0, 2, 4, 6]);
        assert_eq!(starts(&frames(&[&[70], &[80, 81], &[90], &[7]])), [0, 1, 2, 3, 4], "nobody knows");
    }
}
