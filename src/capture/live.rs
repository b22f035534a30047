//! Packets of an interface, as they come.
//!
//! Invariants: [`Next::Idle`](super::packet::Next::Idle) comes every few hundredths of a second while nothing arrives,
//! so that the caller can look at its clocks and its stop flag; a packet is at most some 100 ms behind the clock. Drops
//! are those that the kernel counted, as of the last idle moment or the last 256 packets.
//!
//! libpcap's own read timeout does not serve for that: on Linux, with a current kernel, it does not end the wait while an
//! interface is silent. The handle is therefore non-blocking, and an idle source sleeps.

use super::error::CaptureError;
#[cfg(not(feature = "libpcap"))]
use super::packet::{Next, PacketSource, SourceStats};
#[cfg(feature = "libpcap")]
pub(super) use present::explain;

/// How to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Name of the interface; `any` is all of them on Linux.
    pub interface: String,
    /// Receive what is for other stations too.
    pub promiscuous: bool,
    /// BPF expression, applied by the kernel.
    pub filter: Option<String>,
    /// Kernel buffer. A burst longer than it is dropped, and counted.
    pub buffer_bytes: usize,
    /// Bytes kept of each packet.
    pub snaplen: u32,
    /// Deliver each packet at once, at the price of one wake-up a packet.
    pub immediate: bool,
}

impl LiveOptions {
    /// The defaults for an interface: whole packets, 32 MiB of buffer (a quarter of a second of 1 Gbit/s).
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            promiscuous: false,
            filter: None,
            buffer_bytes: 32 << 20,
            snaplen: 262_144,
            immediate: false,
        }
    }
}

#[cfg(feature = "libpcap")]
pub use present::LiveSource;

#[cfg(feature = "libpcap")]
mod present {
    use super::{CaptureError, LiveOptions};
    use crate::base::chunk::PacketId;
    use crate::base::time::Timestamp;
    use crate::capture::batch::{Batch, Filled};
    use crate::capture::packet::{InputStats, LinkType, Next, Packet, PacketSource, SourceStats};
    use pcap::{Active, Capture, Device, Error, Precision};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    /// How long the kernel gathers packets before it hands them over.
    const GATHER_MILLISECONDS: i32 = 50;

    /// How long to sleep where there is nothing. The kernel's buffer holds what arrives meanwhile.
    const SLEEP: Duration = Duration::from_millis(20);

    /// So many packets between two looks at the kernel's drop counters.
    const STATS_EVERY: u64 = 256;

    /// An interface that is being captured on.
    pub struct LiveSource {
        capture: Capture<Active>,
        name: String,
        link: LinkType,
        /// Nanoseconds in one unit of the fraction of a timestamp.
        unit: i64,
        packets: u64,
        dropped: Option<u64>,
        stats_due: bool,
        warnings: Vec<String>,
    }

    impl LiveSource {
        /// Opens an interface; packets are captured from now on.
        ///
        /// # Errors
        /// [`CaptureError::Device`] if there is no such interface or no permission, with what to do;
        /// [`CaptureError::Filter`].
        pub fn open(options: &LiveOptions) -> Result<Self, CaptureError> {
            let name = options.interface.clone();
            let failed = |error| CaptureError::Device { name: name.clone(), what: explain(&name, &error) };
            let mut warnings = Vec::new();
            let mut capture = match activate(options, options.promiscuous) {
                // libpcap's warning that this device has no promiscuous mode arrives as an error.
                Err(Error::PcapError(what)) if options.promiscuous && what.contains("romiscuous") => {
                    warnings.push(format!("not in promiscuous mode: {what}"));
                    activate(options, false)
                }
                opened => opened,
            }
            .map_err(failed)?;
            if let Some(expression) = &options.filter {
                let compiled = capture.filter(expression, true);
                compiled
                    .map_err(|error| CaptureError::Filter { expression: expression.clone(), what: words(&error) })?;
            }
            let capture = capture.setnonblock().map_err(failed)?;
            let link = LinkType::from_dlt(capture.get_datalink().0);
            Ok(Self {
                unit: if precision(link) == Precision::Nano { 1 } else { 1_000 },
                capture,
                name,
                link,
                packets: 0,
                dropped: None,
                stats_due: true,
                warnings,
            })
        }
    }

    impl LiveSource {
        /// The next packet, or [`Next::Idle`] at once if there is none now.
        fn poll(&mut self) -> Result<Next<'_>, CaptureError> {
            if self.stats_due {
                let stats = self.capture.stats().ok();
                self.dropped = stats.map(|stats| u64::from(stats.dropped) + u64::from(stats.if_dropped));
            }
            match self.capture.next_packet() {
                Ok(packet) => {
                    self.packets += 1;
                    self.stats_due = self.packets.is_multiple_of(STATS_EVERY);
                    let header = packet.header;
                    Ok(Next::Packet(Packet {
                        id: PacketId::new(0, self.packets),
                        at: Timestamp::from_parts(header.ts.tv_sec, header.ts.tv_usec * self.unit),
                        link: self.link,
                        bytes: packet.data,
                        wire_length: header.len.max(header.caplen),
                    }))
                }
                Err(Error::TimeoutExpired) => {
                    self.stats_due = true;
                    Ok(Next::Idle(now()))
                }
                Err(Error::NoMorePackets) => Ok(Next::End),
                Err(error) => Err(CaptureError::Device { name: self.name.clone(), what: explain(&self.name, &error) }),
            }
        }
    }

    impl PacketSource for LiveSource {
        fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
            let next = self.poll()?;
            if matches!(next, Next::Idle(_)) {
                std::thread::sleep(SLEEP);
                return Ok(Next::Idle(now()));
            }
            Ok(next)
        }

        /// What there is does not wait for what comes.
        fn fill(&mut self, batch: &mut Batch, most: u64) -> Result<Filled, CaptureError> {
            while !batch.is_full(most) {
                match self.poll()? {
                    Next::Packet(packet) => batch.push(&packet),
                    Next::Idle(_) if !batch.is_empty() => break,
                    Next::Idle(_) => {
                        std::thread::sleep(SLEEP);
                        return Ok(Filled::Idle(now()));
                    }
                    Next::End => return Ok(Filled::End),
                }
            }
            Ok(Filled::More)
        }

        fn is_slow(&self) -> bool {
            true
        }

        fn stats(&self) -> SourceStats {
            SourceStats {
                inputs: vec![InputStats {
                    name: self.name.clone(),
                    format: "live",
                    packets: self.packets,
                    filtered: 0,
                    dropped: self.dropped,
                    warnings: self.warnings.clone(),
                }],
                read_bytes: 0,
                total_bytes: None,
            }
        }
    }

    fn activate(options: &LiveOptions, promiscuous: bool) -> Result<Capture<Active>, Error> {
        Capture::from_device(options.interface.as_str())?
            .promisc(promiscuous)
            .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
            .buffer_size(i32::try_from(options.buffer_bytes).unwrap_or(i32::MAX))
            .immediate_mode(options.immediate)
            .timeout(GATHER_MILLISECONDS)
            .precision(precision(LinkType::ETHERNET))
            .open()
    }

    /// libpcap has nanoseconds for Linux network interfaces. It stays with microseconds elsewhere, and the `pcap` crate
    /// does not tell which it was.
    fn precision(link: LinkType) -> Precision {
        let network = [LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType::LINUX_SLL2, LinkType::RAW, LinkType::NULL];
        if cfg!(target_os = "linux") && network.contains(&link) { Precision::Nano } else { Precision::Micro }
    }

    fn now() -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Timestamp(-i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX)),
        }
    }

    fn words(error: &Error) -> String {
        match error {
            Error::PcapError(what) => what.clone(),
            other => other.to_string(),
        }
    }

    /// Why an interface cannot be opened, and what to do.
    pub(in crate::capture) fn explain(name: &str, error: &Error) -> String {
        let what = words(error);
        let lower = what.to_lowercase();
        let says = |text: &str| lower.contains(text);
        if says("permission") || says("not permitted") {
            return format!("no permission to capture; {}", permission());
        }
        if says("no such device") {
            let names: Vec<_> = Device::list().unwrap_or_default().into_iter().map(|device| device.name).collect();
            return format!("there is no such interface; there are: {}", names.join(", "));
        }
        if says("not up") || says("network is down") {
            return format!("the interface is down; bring it up: sudo ip link set dev {name} up");
        }
        what
    }

    fn permission() -> String {
        if !cfg!(target_os = "linux") {
            return "run it with sudo".to_owned();
        }
        let path = std::env::current_exe().map_or_else(|_| "zmtpscope".to_owned(), |path| path.display().to_string());
        let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
        let path = if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) };
        format!("allow it once with: sudo setcap cap_net_raw,cap_net_admin=eip {path}")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_interface_that_is_not_there_is_answered_with_those_that_are() {
            let what = explain("eth9", &Error::PcapError("eth9: No such device exists".to_owned()));
            assert!(what.starts_with("there is no such interface; there are: "), "{what}");
        }

        #[test]
        fn a_missing_permission_is_answered_with_the_command_that_gives_it() {
            let error = Error::PcapError("socket: Operation not permitted".to_owned());
            let what = explain("lo", &error);
            let exe = std::env::current_exe().expect("a path");
            let command = format!("sudo setcap cap_net_raw,cap_net_admin=eip {}", exe.display());
            assert!(!cfg!(target_os = "linux") || what.contains(&command), "{what}");
        }

        #[test]
        fn link_types_of_interfaces_become_those_of_files() {
            assert_eq!(LinkType::from_dlt(1), LinkType::ETHERNET);
            assert_eq!(LinkType::from_dlt(LinkType::RAW.to_dlt()), LinkType::RAW);
            assert_eq!(LinkType::from_dlt(LinkType::LOOP.to_dlt()), LinkType::LOOP);
            assert_eq!(LinkType::from_dlt(276), LinkType::LINUX_SLL2);
        }
    }
}

/// An interface that is being captured on; without libpcap there is none.
#[cfg(not(feature = "libpcap"))]
pub struct LiveSource(std::convert::Infallible);

#[cfg(not(feature = "libpcap"))]
impl LiveSource {
    /// # Errors
    /// Always [`CaptureError::WithoutLibpcap`].
    pub fn open(_options: &LiveOptions) -> Result<Self, CaptureError> {
        Err(CaptureError::WithoutLibpcap)
    }
}

#[cfg(not(feature = "libpcap"))]
impl PacketSource for LiveSource {
    fn next_packet(&mut self) -> Result<Next<'_>, CaptureError> {
        match self.0 {}
    }

    fn stats(&self) -> SourceStats {
        match self.0 {}
    }
}
