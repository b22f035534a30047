//! ROUTERs that connect to their clients, instead of waiting for them.
//!
//! What connects is a socket of its own as a rule, since nothing tells which connections one socket opened. But a ROUTER hands
//! out identities over all of its connections. So those that ROUTERs of one host opened to REQs and DEALERs are taken for
//! connections of one ROUTER, as long as no two of them lead to the same endpoint at the same time.

use super::{SocketId, Sockets};
use crate::base::endpoint::Endpoint;
use crate::correlate::connection::Connection;
use crate::zmtp::wire::socket_type::SocketType;
use std::collections::HashMap;
use std::net::IpAddr;

/// ROUTERs of one host that are told apart; what others open are sockets of their own.
const MOST: usize = 64;

/// The ROUTERs that connect, by host.
#[derive(Debug, Default)]
pub(super) struct Calling(HashMap<IpAddr, Vec<Caller>>);

/// One of them.
#[derive(Debug)]
struct Caller {
    socket: SocketId,
    /// How many connections it has to each endpoint.
    open: HashMap<Endpoint, u32>,
}

impl Calling {
    /// The socket that a connection is of: one of those known, or if that cannot be, `own`. `None` if there are too many.
    fn join(&mut self, client: Endpoint, server: Endpoint, own: SocketId) -> Option<SocketId> {
        let callers = self.0.entry(client.ip).or_default();
        let is_free = |caller: &Caller| caller.open.get(&server).is_none_or(|open| *open == 0);
        let at = match callers.iter().position(is_free) {
            Some(at) => at,
            None if callers.len() < MOST => {
                callers.push(Caller { socket: own, open: HashMap::new() });
                callers.len() - 1
            }
            None => return None,
        };
        *callers[at].open.entry(server).or_default() += 1;
        Some(callers[at].socket)
    }

    /// A connection of one of them is over.
    pub(super) fn leave(&mut self, connection: &Connection) {
        let callers = self.0.get_mut(&connection.client.ip).into_iter().flatten();
        for caller in callers.filter(|caller| caller.socket == connection.sockets.c2s) {
            if let Some(open) = caller.open.get_mut(&connection.server) {
                *open = open.saturating_sub(1);
            }
        }
    }

    /// Forgets sockets that are not known any more, and endpoints that nothing is connected to.
    pub(super) fn retain(&mut self, is_known: impl Fn(SocketId) -> bool) {
        self.0.retain(|_, callers| {
            callers.retain_mut(|caller| {
                caller.open.retain(|_, open| *open > 0);
                is_known(caller.socket)
            });
            !callers.is_empty()
        });
    }
}

impl Sockets {
    /// Whether a socket is, or may be several of, a ROUTER that connects.
    pub fn is_caller(&self, socket: SocketId) -> bool {
        !super::is_accepting(socket) && self.shared.contains_key(&socket)
    }

    /// A connection of which both types are known may be one of a ROUTER that has others.
    pub(super) fn recognise_caller(&mut self, conn: u32) {
        let own = 2 * conn + 1;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if !connection.calls_a_client() || connection.sockets.c2s != own || self.shared.contains_key(&own) {
            return;
        }
        let Some(joined) = self.calling.join(connection.client, connection.server, own) else { return };
        connection.sockets.c2s = joined;
        let socket = self.shared.entry(joined).or_default();
        socket.kind = Some(SocketType::ROUTER);
        socket.connections.push(conn);
    }
}
