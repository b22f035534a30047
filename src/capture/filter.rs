//! BPF expressions (pcap-filter(7)) applied to packets of files.
//!
//! A program depends on the link type; it is compiled when the first packet of a type is met. Lengths in expressions
//! (`greater 100`) mean what was captured.

#[cfg(not(feature = "libpcap"))]
pub use absent::Filter;
#[cfg(feature = "libpcap")]
pub use present::Filter;

#[cfg(feature = "libpcap")]
mod present {
    use crate::capture::error::CaptureError;
    use crate::capture::packet::LinkType;
    use pcap::{BpfProgram, Capture, Linktype};

    /// A BPF expression and its programs.
    pub struct Filter {
        expression: String,
        /// One a link type met; two or three at most, so a list is the fastest map.
        programs: Vec<(LinkType, BpfProgram)>,
    }

    impl Filter {
        /// A filter from an expression.
        ///
        /// # Errors
        /// [`CaptureError::Filter`] if it compiles neither for Ethernet nor for a Linux "cooked" capture.
        pub fn new(expression: &str) -> Result<Self, CaptureError> {
            let expression = expression.to_owned();
            compile(&expression, LinkType::ETHERNET)
                .or_else(|error| compile(&expression, LinkType::LINUX_SLL2).map_err(|_| error))?;
            Ok(Self { expression, programs: Vec::new() })
        }

        /// Whether the expression holds for a packet.
        ///
        /// # Errors
        /// [`CaptureError::Filter`] if the expression makes no sense for this link type.
        pub fn matches(&mut self, link: LinkType, bytes: &[u8]) -> Result<bool, CaptureError> {
            let known = self.programs.iter().position(|(other, _)| *other == link);
            let index = if let Some(index) = known {
                index
            } else {
                let program = compile(&self.expression, link)?;
                self.programs.push((link, program));
                self.programs.len() - 1
            };
            Ok(self.programs[index].1.filter(bytes))
        }
    }

    fn compile(expression: &str, link: LinkType) -> Result<BpfProgram, CaptureError> {
        Capture::dead(Linktype(link.to_dlt())).and_then(|dead| dead.compile(expression, true)).map_err(|error| {
            CaptureError::Filter {
                expression: expression.to_owned(),
                what: match error {
                    pcap::Error::PcapError(what) => what,
                    other => other.to_string(),
                },
            }
        })
    }
}

#[cfg(not(feature = "libpcap"))]
mod absent {
    use crate::capture::error::CaptureError;
    use crate::capture::packet::LinkType;
    use std::convert::Infallible;

    /// A BPF expression; without libpcap there are none.
    pub struct Filter(Infallible);

    impl Filter {
        /// # Errors
        /// Always [`CaptureError::WithoutLibpcap`].
        pub fn new(_expression: &str) -> Result<Self, CaptureError> {
            Err(CaptureError::WithoutLibpcap)
        }

        /// # Errors
        /// None: there is no such filter.
        pub fn matches(&mut self, _link: LinkType, _bytes: &[u8]) -> Result<bool, CaptureError> {
            match self.0 {}
        }
    }
}

#[cfg(all(test, feature = "libpcap"))]
mod tests {
    use super::*;
    use crate::capture::error::CaptureError;
    use crate::capture::packet::LinkType;
    use etherparse::PacketBuilder;

    #[test]
    fn one_expression_serves_several_link_types() {
        let mut filter = Filter::new("tcp port 5555").expect("a right expression");
        for port in [5555, 5556] {
            let mut ip = Vec::new();
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
                .tcp(40_000, port, 1, 1024)
                .write(&mut ip, b"x")
                .expect("a Vec takes all");
            let mut ethernet = [0; 14].to_vec();
            ethernet[12] = 8;
            ethernet.extend_from_slice(&ip);
            let wanted = port == 5555;
            for (link, bytes) in [(LinkType::ETHERNET, &ethernet), (LinkType::RAW, &ip), (LinkType::IPV4, &ip)] {
                let matches = filter.matches(link, bytes).expect("compiles");
                assert_eq!(matches, wanted, "{link:?} {port}");
            }
        }
    }

    #[test]
    fn a_wrong_expression_is_an_error_at_once() {
        let error = Filter::new("tcp prot 5555").err().expect("a wrong word");
        assert!(matches!(error, CaptureError::Filter { .. }), "{error}");
        assert!(Filter::new("ifindex 3").is_ok());
    }
}
