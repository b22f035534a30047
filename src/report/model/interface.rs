//! `{"type":"interface"}`.

use super::SCHEMA;
use super::bytes::Shown;
use crate::capture::interfaces::Interface;
use serde::Serialize;
use std::net::IpAddr;

/// One interface of this machine.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, clippy::struct_excessive_bools)] // the names say it; each is a fact of its own
pub struct InterfaceModel<'a> {
    pub r#type: &'static str,
    pub schema: u32,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub addresses: Vec<Shown<IpAddr>>,
    pub up: bool,
    pub running: bool,
    pub loopback: bool,
    pub link: Option<u32>,
    pub link_name: Option<&'a str>,
    pub usable: bool,
    /// Why it is not usable, and what to do.
    pub reason: Option<&'a str>,
}

impl<'a> InterfaceModel<'a> {
    /// The row of `interface`.
    pub fn new(interface: &'a Interface) -> Self {
        Self {
            r#type: "interface",
            schema: SCHEMA,
            name: &interface.name,
            description: interface.description.as_deref(),
            addresses: interface.addresses.iter().copied().map(Shown).collect(),
            up: interface.up,
            running: interface.running,
            loopback: interface.loopback,
            link: interface.link.map(|link| link.0),
            link_name: interface.link_name.as_deref(),
            usable: interface.usable.is_ok(),
            reason: interface.usable.as_ref().err().map(String::as_str),
        }
    }
}
