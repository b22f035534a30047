//! The interfaces that can be captured on, and why not where they cannot.

use super::error::CaptureError;
use super::packet::LinkType;
use std::net::IpAddr;

/// An interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As the system calls it.
    pub name: String,
    /// In words, where the system has any.
    pub description: Option<String>,
    /// Its IP addresses.
    pub addresses: Vec<IpAddr>,
    /// Administratively up.
    pub up: bool,
    /// Running: it has a carrier.
    pub running: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// How its packets begin, where capture is possible.
    pub link: Option<LinkType>,
    /// libpcap's words for the link type.
    pub link_name: Option<String>,
    /// `Err` with the reason, and what to do, if this process cannot capture on it.
    pub usable: Result<(), String>,
}

/// All interfaces that libpcap knows. Each is opened for a moment, to see whether that is allowed.
///
/// # Errors
/// [`CaptureError::Device`] if they cannot be listed, [`CaptureError::WithoutLibpcap`].
#[cfg(feature = "libpcap")]
pub fn list() -> Result<Vec<Interface>, CaptureError> {
    use super::live::explain;
    use pcap::{Capture, Device};

    let devices = Device::list()
        .map_err(|error| CaptureError::Device { name: "interfaces".to_owned(), what: error.to_string() })?;
    let described = devices.into_iter().map(|device| {
        let opened =
            Capture::from_device(device.name.as_str()).and_then(|capture| capture.snaplen(64).timeout(1).open());
        let link = opened.as_ref().ok().map(Capture::get_datalink);
        Interface {
            addresses: device.addresses.iter().map(|entry| entry.addr).collect(),
            up: device.flags.is_up(),
            running: device.flags.is_running(),
            loopback: device.flags.is_loopback(),
            link: link.map(|link| LinkType::from_dlt(link.0)),
            link_name: link.and_then(|link| link.get_description().ok()),
            usable: opened.map(drop).map_err(|error| explain(&device.name, &error)),
            description: device.desc,
            name: device.name,
        }
    });
    Ok(described.collect())
}

/// All interfaces that libpcap knows.
///
/// # Errors
/// Always [`CaptureError::WithoutLibpcap`].
#[cfg(not(feature = "libpcap"))]
pub fn list() -> Result<Vec<Interface>, CaptureError> {
    Err(CaptureError::WithoutLibpcap)
}

#[cfg(all(test, feature = "libpcap"))]
mod tests {
    #[test]
    fn an_interface_is_usable_or_says_why_not() {
        let interfaces = super::list().expect("interfaces can be listed");
        for interface in interfaces {
            assert_eq!(interface.link.is_some(), interface.usable.is_ok());
            if let Err(why) = interface.usable {
                assert!(!why.is_empty(), "{}", interface.name);
            }
        }
    }
}
