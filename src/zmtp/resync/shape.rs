//! How the messages of a direction looked so far, by which a frame is told to begin one.

use crate::zmtp::wire::frame::FrameHeader;

/// So many messages must have been alike before it is believed that others are.
const ENOUGH: u32 = 4;

/// What the messages of one direction have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// How the latest began.
    first: Option<FrameHeader>,
    /// Whole messages.
    messages: u32,
    /// Parts of the message under way.
    parts: u64,
    /// How many parts each had; `None` once they differ.
    always: Option<u64>,
    /// Packets that began with a message, and those that began with a later part.
    packets: [u32; 2],
}

impl Shape {
    /// The next frame of a message; `begins_packet` if a packet does where it does.
    pub fn frame(&mut self, header: FrameHeader, begins_packet: bool) {
        if begins_packet {
            let count = &mut self.packets[usize::from(self.parts > 0)];
            *count = count.saturating_add(1);
        }
        if self.parts == 0 {
            self.first = Some(header);
        }
        self.parts += 1;
        if !header.flags.more() {
            if self.messages == 0 {
                self.always = Some(self.parts);
            }
            self.always = self.always.filter(|&parts| parts == self.parts);
            self.messages = self.messages.saturating_add(1);
            self.parts = 0;
        }
    }

    /// Frames were lost: the next one that is told begins a message.
    pub fn interrupt(&mut self) {
        self.parts = 0;
    }

    /// Whether the next frame begins a message.
    pub fn is_between_messages(&self) -> bool {
        self.parts == 0
    }

    /// Whether there were enough messages to tell what they have in common.
    pub fn is_settled(&self) -> bool {
        self.messages >= ENOUGH
    }

    /// Whether packets that begin with a frame begin with a message. libzmq writes whole messages while they are short and
    /// it keeps up.
    pub fn packets_begin_messages(&self) -> bool {
        self.packets[0] >= ENOUGH && self.packets[1] == 0
    }

    /// Whether a message like the others begins with these frames.
    pub fn fits(&self, frames: &mut dyn Iterator<Item = FrameHeader>) -> bool {
        let mut frames = frames.filter(|header| !header.flags.command());
        let Some(first) = frames.next() else { return false };
        let Some(always) = self.always.filter(|_| self.messages >= ENOUGH) else {
            let mut last = first;
            while self.first.is_none() && last.flags.more() {
                match frames.next() {
                    Some(next) => last = next,
                    None => return false,
                }
            }
            let other = self.first.or_else(|| frames.next());
            // Messages of different numbers of parts: an empty first part still tells, since it is a delimiter.
            return other.is_some_and(|other| looks_like(first, other))
                && (self.messages < ENOUGH || is_delimiter(first));
        };
        count(first, &mut frames) == (always, true)
    }

    /// Whether whole messages among these frames have other numbers of parts than all that came before. They may be the
    /// content of one, where ZMTP is carried in ZMTP.
    pub fn contradicts(&self, frames: &mut dyn Iterator<Item = FrameHeader>) -> bool {
        let Some(always) = self.always.filter(|_| self.messages >= ENOUGH) else { return false };
        let mut parts = None;
        for header in frames.filter(|header| !header.flags.command()) {
            parts = parts.map(|parts: u64| parts + 1);
            if !header.flags.more() {
                if parts.is_some_and(|parts| parts != always) {
                    return true;
                }
                parts = Some(0);
            }
        }
        false
    }
}

/// Whether enough messages follow each other here to see that they have equally many parts, and do.
pub(super) fn are_alike(frames: impl Iterator<Item = FrameHeader>) -> bool {
    let mut frames = frames.filter(|header| !header.flags.command());
    let mut next = || frames.next().map(|first| count(first, &mut frames));
    match next() {
        Some((parts, true)) => (1..ENOUGH).all(|_| next() == Some((parts, true))),
        _ => false,
    }
}

/// How many parts a message has that begins so, as far as they are known, and whether the last one is.
fn count(first: FrameHeader, frames: &mut dyn Iterator<Item = FrameHeader>) -> (u64, bool) {
    let (mut last, mut parts) = (first, 1);
    while last.flags.more() {
        let Some(next) = frames.next() else { return (parts, false) };
        (last, parts) = (next, parts + 1);
    }
    (parts, true)
}

/// Whether two frames can be the first of messages of the same shape.
fn looks_like(a: FrameHeader, b: FrameHeader) -> bool {
    (a.flags, is_delimiter(a)) == (b.flags, is_delimiter(b))
}

fn is_delimiter(header: FrameHeader) -> bool {
    header.flags.more() && header.length == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::wire::frame::FrameFlags;

    fn headers(message: &[u64]) -> Vec<FrameHeader> {
        let last = message.len() - 1;
        let flags = |number| FrameFlags::of(number < last, false, false);
        message.iter().enumerate().map(|(number, &length)| FrameHeader { flags: flags(number), length }).collect()
    }

    fn shape(messages: &[&[u64]]) -> Shape {
        let mut shape = Shape::default();
        for header in messages.iter().flat_map(|message| headers(message)) {
            shape.frame(header, shape.parts == 0);
        }
        shape
    }

    fn fits(shape: &Shape, messages: &[&[u64]]) -> bool {
        let mut frames = messages.iter().flat_map(|message| headers(message));
        shape.fits(&mut frames)
    }

    #[test]
    fn a_constant_number_of_parts_tells() {
        let two = shape(&[&[5, 9], &[0, 3], &[7, 7], &[2, 1]]);
        assert!(fits(&two, &[&[80, 4]]));
        assert!(!fits(&two, &[&[4], &[80, 4]]), "the last part of one");
        assert!(!fits(&two, &[&[4, 4, 4]]));
        let contradicts = |messages: &[&[u64]]| {
            let mut frames = messages.iter().flat_map(|message| headers(message));
            two.contradicts(&mut frames)
        };
        assert!(contradicts(&[&[9], &[4], &[4]]), "other messages inside of one");
        assert!(!contradicts(&[&[9], &[4, 4], &[5, 5]]), "the first may be the end of one");
        assert!(two.packets_begin_messages());
    }

    #[test]
    fn where_it_changes_only_a_delimiter_tells() {
        let mixed = shape(&[&[5], &[0, 3], &[7, 7, 7], &[2, 1]]);
        assert!(!fits(&mixed, &[&[2, 3]]), "any part may begin so");
        let delimited = shape(&[&[0, 3], &[0, 3, 4], &[0, 3], &[0, 1]]);
        assert!(fits(&delimited, &[&[0, 9, 9, 9]]));
        assert!(!fits(&delimited, &[&[9, 9]]));
    }

    #[test]
    fn without_a_past_the_next_message_is_compared() {
        let none = Shape::default();
        assert!(!fits(&none, &[&[0, 3]]), "there is none");
        assert!(fits(&none, &[&[0, 3], &[0, 30]]));
        assert!(!fits(&none, &[&[3], &[0, 30]]));
    }
}
