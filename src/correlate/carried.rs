//! What passed the back ends of a ROUTER, by the identities that it carries.

use super::sockets::Frontend;
use super::window::Rank;

/// The messages tagged with one identity.
#[derive(Clone, Copy, Debug)]
pub struct Tagged<'a> {
    /// Requests that carry it, in order.
    pub requests: &'a [TaggedMessage],
    /// Replies that carry it, in order.
    pub replies: &'a [TaggedMessage],
    /// Others that carry it may have gone by other sockets: those of a DEALER that connects to several endpoints.
    pub is_part: bool,
}

/// A message at the back end of a node.
#[derive(Clone, Copy, Debug)]
pub struct TaggedMessage {
    /// Which.
    pub rank: Rank,
    /// Hash of the parts after the identity.
    pub suffix: u64,
    /// How many parts of its counterpart at the front end stand before these.
    pub strip: usize,
    /// Its number among all messages of this direction at the node's back ends.
    pub place: u32,
}

/// The messages at the back ends of a ROUTER in one of its eras.
#[derive(Debug)]
pub struct Carried {
    /// The ROUTER.
    pub frontend: Frontend,
    /// For each identity its requests, then its replies.
    messages: Vec<TaggedMessage>,
    /// In order of their first messages: what happened at about the same time stands together in memory.
    identities: Vec<Carrying>,
}

/// Where the messages with one identity begin, and where its replies.
#[derive(Clone, Copy, Debug)]
struct Carrying {
    identity: u64,
    requests: u32,
    replies: u32,
    is_part: bool,
}

impl Carried {
    /// Groups messages with their identities; both lists in order of time.
    pub fn new(frontend: Frontend, requests: &[(u64, TaggedMessage)], replies: &[(u64, TaggedMessage)]) -> Self {
        let both = requests.iter().chain(replies);
        let mut order: Vec<(u64, u32)> = both.zip(0..).map(|((identity, _), at)| (*identity, at)).collect();
        // Sorted and not hashed: peers choose identities.
        order.sort_unstable();
        let at = |at: u32| requests.get(at as usize).unwrap_or_else(|| &replies[at as usize - requests.len()]).1;
        let mut groups: Vec<(Rank, &[(u64, u32)])> =
            order.chunk_by(|a, b| a.0 == b.0).map(|same| (at(same[0].1).rank, same)).collect();
        groups.sort_unstable();
        let mut messages = Vec::with_capacity(order.len());
        let mut identities = Vec::with_capacity(groups.len());
        for (_, same) in groups {
            let first = messages.len() as u32;
            let replies = first + same.partition_point(|&(_, at)| (at as usize) < requests.len()) as u32;
            identities.push(Carrying { identity: same[0].0, requests: first, replies, is_part: false });
            messages.extend(same.iter().map(|&(_, number)| at(number)));
        }
        Self { frontend, messages, identities }
    }

    /// Says of which identities others may have gone by other sockets.
    pub fn set_parts(&mut self, mut is_part: impl FnMut(u64) -> bool) {
        self.identities.iter_mut().for_each(|carrying| carrying.is_part = is_part(carrying.identity));
    }

    /// The messages of each identity.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Tagged<'_>)> {
        let ends = self.identities.iter().skip(1).map(|next| next.requests).chain([self.messages.len() as u32]);
        self.identities.iter().zip(ends).map(|(&Carrying { identity, requests, replies, is_part }, end)| {
            let of = |from: u32, to: u32| &self.messages[from as usize..to as usize];
            (identity, Tagged { requests: of(requests, replies), replies: of(replies, end), is_part })
        })
    }

    /// All messages, those of an identity next to each other.
    pub fn messages(&self) -> &[TaggedMessage] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_an_identity_stand_together_in_order() {
        let message = |rank| TaggedMessage { rank, suffix: 0, strip: 0, place: 0 };
        let requests = [(9, message(0)), (4, message(2)), (9, message(3))];
        let replies = [(9, message(1)), (5, message(6))];
        let carried = Carried::new(Frontend { socket: 0, era: 0 }, &requests, &replies);
        let ranks = |messages: &[TaggedMessage]| messages.iter().map(|message| message.rank).collect::<Vec<_>>();
        let found: Vec<_> = carried
            .iter()
            .map(|(identity, tagged)| (identity, ranks(tagged.requests), ranks(tagged.replies)))
            .collect();
        assert_eq!(found, [(9, vec![0, 3], vec![1]), (4, vec![2], vec![]), (5, vec![], vec![6])]);
    }
}
